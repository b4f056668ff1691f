/** Signing in at the page: by GitHub, or by a token; and out. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { me, type SessionRecord } from "../../protocol/access.ts";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import type { GithubSignIn } from "../access/github.ts";
import { rolesOf } from "../access/roles.ts";
import { tokenPrincipal } from "../access/token-rules.ts";
import type { HttpConfig } from "../config.ts";
import { refuseForged } from "./csrf.ts";
import { accountPrincipal, type Credentials } from "./identify.ts";
import { signInLimit } from "./limits.ts";
import { meOf } from "./me.ts";

const JOURNEY_MS = 10 * 60_000;
const WAY = { needs: "nothing", rateLimit: signInLimit } as const;
const TOKEN_BYTES = 4_096;

/** What is kept in a cookie between going to GitHub and coming back. */
const journeyCookie = z.object({ state: z.string(), verifier: z.string(), to: z.string() });

export function signInRoutes(
  plain: FastifyInstance,
  credentials: Credentials & { readonly github: GithubSignIn | null },
  config: HttpConfig,
  nowMs: () => number,
): void {
  const { tokens, sessions, roles, cookies, github } = credentials;
  const app = plain.withTypeProvider<ZodTypeProvider>();

  /** A new session, never one that a cookie named before. */
  async function begin(
    request: FastifyRequest,
    reply: FastifyReply,
    who: Pick<SessionRecord, "account" | "token">,
    lifeMs: number,
  ): Promise<void> {
    await endOf(request);
    cookies.set(reply, "session", await sessions.begin(who, lifeMs), lifeMs);
  }

  async function endOf(request: FastifyRequest): Promise<void> {
    const before = cookies.read(request, "session");
    if (before !== null) await sessions.end(before);
  }

  app.post(
    "/auth/token",
    {
      config: { ...WAY, action: "sign in" },
      bodyLimit: TOKEN_BYTES,
      schema: { body: z.object({ token: z.string().trim().min(1).max(200) }), response: { 200: me } },
    },
    async (request, reply) => {
      refuseWithoutSignIn(config);
      refuseForged(request);
      const record = await tokens.verify(request.body.token);
      const left = record.expiresAtMs === null ? config.sessionMs : record.expiresAtMs - nowMs();
      await begin(request, reply, { account: null, token: record.id }, Math.min(config.sessionMs, left));
      request.principal = tokenPrincipal(record, (account) => rolesOf(roles, account));
      return reply.header("cache-control", "no-store").send(meOf(request.principal, config));
    },
  );

  app.post("/auth/sign-out", { config: { needs: "nothing", action: "sign out" } }, async (request, reply) => {
    await endOf(request);
    cookies.clear(reply, "session");
    return reply.status(204).send();
  });

  app.get(
    "/auth/github",
    { config: WAY, schema: { querystring: z.object({ to: z.string().max(2_000).default("/") }) } },
    async (request, reply) => {
      const { url, journey } = await known(github).leave(callbackUrl(request, config));
      const kept = { ...journey, to: ownPath(request.query.to) };
      cookies.set(reply, "journey", Buffer.from(JSON.stringify(kept)).toString("base64url"), JOURNEY_MS);
      return reply.header("cache-control", "no-store").redirect(url, 303);
    },
  );

  app.get(
    "/auth/github/callback",
    { config: { ...WAY, action: "sign in", recorded: true } },
    async (request, reply) => {
      const there = known(github);
      const kept = journeyOf(cookies.read(request, "journey"));
      // Whatever comes of it, it is not to be used again.
      cookies.clear(reply, "journey");
      void reply.header("cache-control", "no-store");
      try {
        if (kept === null) throw new ToroidError("TOR_NOT_ALLOWED", "this sign-in was begun elsewhere, or long ago");
        const answer = new URL(request.url, "http://here").searchParams;
        const account = await there.arrive(answer, callbackUrl(request, config), kept);
        const grants = rolesOf(roles, account);
        request.principal = accountPrincipal(account, grants, []);
        if (grants.length === 0) {
          request.refusedWith = "TOR_NOT_ALLOWED";
          return await reply.redirect("/sign-in?problem=not-listed", 303);
        }
        await begin(request, reply, { account, token: null }, config.sessionMs);
        return await reply.redirect(ownPath(kept.to), 303);
      } catch (error) {
        if (!(error instanceof ToroidError)) throw error;
        // Without where in our code it came up: strangers make as many of these as they like.
        const cause = error.cause === undefined ? null : sentenceOf(error.cause);
        request.log.warn({ why: error.message, cause, from: request.ip }, "somebody could not sign in");
        request.refusedWith = error.code;
        const problem = error.code === "TOR_GITHUB_UNREACHABLE" ? "failed" : "denied";
        return await reply.redirect(`/sign-in?problem=${problem}`, 303);
      }
    },
  );
}

function refuseWithoutSignIn({ auth }: Pick<HttpConfig, "auth">): void {
  if (auth === "none") throw new ToroidError("TOR_REFUSED", "nobody has to sign in here: TOROID_AUTH is none");
}

function known(github: GithubSignIn | null): GithubSignIn {
  if (github !== null) return github;
  throw new ToroidError("TOR_NOT_FOUND", "nobody signs in by GitHub here: TOROID_AUTH is not github");
}

function callbackUrl({ headers }: Pick<FastifyRequest, "headers">, { publicUrl }: HttpConfig): string {
  // Without a public address it is a loopback one: others are refused before.
  return `${publicUrl ?? `http://${headers.host ?? "127.0.0.1"}`}/auth/github/callback`;
}

/** Where to go afterwards, if that is here; no address of somebody else is one of ours. */
export function ownPath(to: string): string {
  const base = "http://toroid.invalid";
  const url = URL.parse(to, base);
  if (url === null || url.origin !== base || !to.startsWith("/") || url.pathname.startsWith("//")) return "/";
  return url.pathname + url.search + url.hash;
}

function journeyOf(cookie: string | null): z.infer<typeof journeyCookie> | null {
  if (cookie === null) return null;
  try {
    return journeyCookie.parse(JSON.parse(Buffer.from(cookie, "base64url").toString("utf8")));
  } catch {
    return null;
  }
}
