import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import fastifyCookie from "@fastify/cookie";
import fastifyStatic from "@fastify/static";
import fastify, { type FastifyBaseLogger, type FastifyInstance } from "fastify";
import { serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import type { Jet } from "../../kit/jetstream.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { GithubSignIn } from "../access/github.ts";
import type { HttpConfig } from "../config.ts";
import { guardRoutes, identifyLocal, openToAll } from "./access.ts";
import { amiRoutes } from "./amis.ts";
import { auditRoutes, recordChanges } from "./audit.ts";
import { badgeRoutes } from "./badges.ts";
import { buildListRoutes } from "./build-list.ts";
import { buildPartRoutes } from "./build-parts.ts";
import { buildRoutes } from "./builds.ts";
import { trayRoutes } from "./cctray.ts";
import { cookiesFor } from "./cookies.ts";
import { deliveryRoutes } from "./deliveries.ts";
import { deploymentRoutes } from "./deployments.ts";
import { environmentRoutes } from "./environments.ts";
import { sendError } from "./errors.ts";
import { eventRoutes } from "./events/routes.ts";
import { executorRoutes } from "./executors.ts";
import { identifyBy } from "./identify.ts";
import { endLapsedStreams } from "./lapses.ts";
import { letterRoutes } from "./letters.ts";
import { limitRates } from "./limits.ts";
import { logRoutes } from "./logs.ts";
import { meRoutes } from "./me.ts";
import { countRequests, metricRoutes } from "./metrics.ts";
import { describeApi, descriptionRoutes, isReader, readerPolicy } from "./openapi/routes.ts";
import { refuseForeign } from "./origin.ts";
import type { HttpParts } from "./ports.ts";
import { requestIdOf } from "./request-id.ts";
import { settingsRoutes } from "./settings.ts";
import { signInRoutes } from "./sign-in.ts";
import { tokenRoutes } from "./tokens.ts";

const BODY_LIMIT_BYTES = 256 * 1024;
/** Whoever takes longer for the head of a request, or for all of it, is cut off; looked at so often. */
const HEADERS_MS = 10_000;
const CHECK_MS = 1_000;
const WEB = join(import.meta.dirname, "..", "..", "web", "dist");

/** Scripts, styles and data from here only; no plug-ins, no frames around or in the page. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const READER_POLICY = readerPolicy(CONTENT_SECURITY_POLICY);

export interface HttpServer extends AsyncDisposable {
  readonly url: string;
}

/**
 * Listens, and answers until disposed of.
 *
 * @throws {ToroidError} TOR_ADDRESS_IN_USE
 */
export async function serveHttp(parts: HttpParts, at: HttpConfig): Promise<HttpServer> {
  const logger: FastifyBaseLogger = parts.log.child({ room: "http" }, { level: "warn" });
  const hasPage = existsSync(WEB);
  const app = fastify({
    loggerInstance: logger,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: at.requestMs,
    http: {
      headersTimeout: Math.min(HEADERS_MS, at.requestMs),
      connectionsCheckingInterval: Math.min(CHECK_MS, at.requestMs),
    },
    trustProxy: at.proxies.length === 0 ? false : [...at.proxies],
    routerOptions: { maxParamLength: 500 },
    forceCloseConnections: true,
    genReqId: requestIdOf,
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler<Error>(sendError);
  app.setNotFoundHandler((request, reply) => {
    // Addresses of pages are made by the page itself.
    if (hasPage && request.method === "GET" && isPage(request.url)) return reply.sendFile("index.html");
    sendError(new ToroidError("TOR_NOT_FOUND", `there is nothing at ${request.url.slice(0, 200)}`), request, reply);
    return undefined;
  });
  app.decorateRequest("refusedWith", null);
  const limits = await limitRates(app, at);
  recordChanges(app, parts, limits);
  app.addHook("onSend", (request, reply, payload, done) => {
    void reply.headers({
      "content-security-policy": isReader(request.url) ? READER_POLICY : CONTENT_SECURITY_POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "x-request-id": request.id,
    });
    done(null, payload);
  });
  refuseForeign(app, at);
  const { tokens, sessions, jet } = parts;
  const credentials = { tokens, sessions, roles: at.roles, cookies: cookiesFor(at) };
  await app.register(fastifyCookie);
  guardRoutes(app, at.auth === "none" ? identifyLocal : identifyBy(credentials, limits));
  endLapsedStreams(app, parts, jet.clock.nowMs);
  countRequests(app, parts);
  await describeApi(app);
  app.get("/healthz", { config: { needs: "nothing" } }, () => ({ status: "ok" }));
  app.get("/readyz", { config: { needs: "nothing" } }, async (_request, reply) => {
    const ready = await answers(parts.jet);
    return reply.status(ready ? 200 : 503).send({ status: ready ? "ok" : "NATS is away", store: parts.durability });
  });
  buildListRoutes(app, parts);
  buildRoutes(app, parts);
  buildPartRoutes(app, parts);
  environmentRoutes(app, parts);
  deploymentRoutes(app, parts);
  executorRoutes(app, parts);
  amiRoutes(app, parts);
  deliveryRoutes(app, parts);
  const hub = await eventRoutes(app, parts);
  letterRoutes(app, parts);
  logRoutes(app, parts);
  auditRoutes(app, parts);
  settingsRoutes(app, parts);
  badgeRoutes(app, parts);
  trayRoutes(app, parts);
  metricRoutes(app, parts, () => hub.size);
  tokenRoutes(app, parts);
  meRoutes(app, at);
  const github = at.github === null ? null : new GithubSignIn(at.github);
  signInRoutes(app, { ...credentials, github }, at, jet.clock.nowMs);
  await descriptionRoutes(app);
  if (hasPage) await app.register(servePage);
  else parts.log.warn({ path: "web/dist" }, "the web page is not built; only the API is served");

  try {
    const url = await app.listen({ host: at.host, port: at.port });
    return { url, [Symbol.asyncDispose]: () => app.close() };
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE") {
      throw new ToroidError(
        "TOR_ADDRESS_IN_USE",
        `port ${at.port} on ${at.host} is in use: stop what listens there, or choose another with TOROID_HTTP_PORT`,
        { port: at.port },
        { cause },
      );
    }
    throw cause;
  }
}

async function servePage(scope: FastifyInstance): Promise<void> {
  openToAll(scope);
  await scope.register(fastifyStatic, { root: WEB });
}

/** First parts of the addresses that `web/live/location.ts` reads. */
const PAGES: ReadonlySet<string> = new Set(["builds", "executors", "dead-letters", "audit", "settings", "sign-in"]);

function isPage(url: string): boolean {
  return PAGES.has(/^\/([a-z-]+)/.exec(url)?.[1] ?? "");
}

const ANSWER_MS = 1_000;

async function answers(jet: Jet): Promise<boolean> {
  const late = new AbortController();
  const never = delay(ANSWER_MS, false, { signal: late.signal }).catch(() => false);
  const rtt = jet.nc.rtt().then(
    () => true,
    () => false,
  );
  const answered = await Promise.race([rtt, never]);
  late.abort();
  return answered;
}
