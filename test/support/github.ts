/**
 * Stands where GitHub would be, which cannot be reached from here: it takes what GitHub documents and refuses everything
 * else as GitHub does. Apps have to show a JWT that was signed with their key.
 */
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { z } from "zod";
import { type Received, type Reply, TargetServer } from "./target.ts";

const sha = z.string().regex(/^[0-9a-f]{40}$/);
const short = z.string().max(140);
const url = z.url();
const commitStatus = z.strictObject({
  state: z.enum(["error", "failure", "pending", "success"]),
  context: z.string().max(255),
  description: short.nullable(),
  target_url: url.optional(),
});
const output = z.strictObject({ title: z.string().max(255), summary: z.string().max(65_535) });
const checkRun = z
  .strictObject({
    name: z.string().min(1),
    head_sha: sha,
    external_id: z.string(),
    details_url: url.optional(),
    status: z.enum(["queued", "in_progress", "completed"]),
    conclusion: z
      .enum(["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"])
      .optional(),
    completed_at: z.iso.datetime().optional(),
    output,
  })
  .refine((it) => (it.status === "completed") === (it.conclusion !== undefined), "completed needs a conclusion");
const deployment = z.strictObject({
  ref: z.string(),
  task: z.string(),
  environment: z.string(),
  description: z.string(),
  payload: z.record(z.string(), z.unknown()),
  auto_merge: z.literal(false),
  required_contexts: z.array(z.string()).length(0),
});
const deploymentStatus = z.strictObject({
  state: z.enum(["error", "failure", "inactive", "in_progress", "queued", "pending", "success"]),
  environment: z.string(),
  description: short,
  log_url: url.optional(),
});

export const APP_ID = 4711;
const INSTALLATION = 99;
export const TOKEN = "ghp_of-a-person-0123456789";

export class FakeGithub implements AsyncDisposable {
  readonly server: TargetServer;
  /** What the app signs with. */
  readonly key: string;
  /** Of a commit and a context, all that was said, the first first. */
  readonly statuses: (z.infer<typeof commitStatus> & { readonly sha: string })[] = [];
  readonly checks: (z.infer<typeof checkRun> & { readonly id: number; readonly said: string[] })[] = [];
  readonly deployments: (z.infer<typeof deployment> & {
    readonly id: number;
    readonly said: z.infer<typeof deploymentStatus>[];
  })[] = [];
  /** Answers before GitHub would, to whom it likes. */
  before: (asked: Received) => Reply | null = () => null;
  tokensGiven = 0;
  readonly #publicKey;
  #ids = 1_000;

  private constructor(server: TargetServer) {
    this.server = server;
    const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
    // GitHub gives keys of this kind.
    this.key = pair.privateKey.export({ type: "pkcs1", format: "pem" });
    this.#publicKey = createPublicKey(pair.privateKey);
    server.reply = (asked) => this.before(asked) ?? this.#reply(asked);
  }

  static async start(): Promise<FakeGithub> {
    return new FakeGithub(await TargetServer.start());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }

  #reply({ method, path, headers, body }: Received): Reply {
    if (headers["user-agent"] === undefined) return refused(403, "Request forbidden by administrative rules");
    const [where = "", query = ""] = path.split("?");
    const action = where
      .replace(/^\/repos\/acme\/api/, "")
      .replace(/[0-9a-f]{40}/, ":sha")
      .replaceAll(/\/\d+(?=\/|$)/g, "/:id");
    const what = `${method} ${action}`;
    const said: unknown = body === "" ? null : JSON.parse(body);
    const authorization = headers.authorization ?? "";
    if (what === "GET /installation" || what === "GET /app" || what.startsWith("POST /app/installations/")) {
      if (!this.#isApp(authorization)) return refused(401, "A JSON web token could not be decoded");
      if (what === "GET /installation") return { status: 200, body: { id: INSTALLATION } };
      if (what === "GET /app") return { status: 200, body: { id: APP_ID } };
      if (!where.startsWith(`/app/installations/${INSTALLATION}/`)) return refused(404, "Not Found");
      this.tokensGiven += 1;
      const expires = new Date(Date.now() + 3_600_000).toISOString();
      const permissions = { checks: "write", deployments: "write" };
      return {
        status: 201,
        body: { token: "ghs_installation", expires_at: expires, permissions, repository_selection: "all" },
      };
    }
    const isPerson = authorization === `token ${TOKEN}`;
    const isInstallation = authorization === "token ghs_installation" && this.tokensGiven > 0;
    if (!isPerson && !isInstallation) return refused(401, "Bad credentials");
    if (!where.startsWith("/repos/acme/api/") && what !== "GET /rate_limit") return refused(404, "Not Found");
    const id = Number(/\/(\d+)(\/|$)/.exec(where)?.[1] ?? 0);
    switch (what) {
      case "GET /rate_limit":
        return { status: 200, body: { resources: {} } };
      case "POST /statuses/:sha":
        return this.#taken(
          commitStatus,
          said,
          (one) => void this.statuses.push({ ...one, sha: where.split("/").at(-1) ?? "" }),
        );
      case "POST /check-runs":
        // Only apps may.
        if (!isInstallation) return refused(403, "You must authenticate via a GitHub App.");
        return this.#taken(checkRun, said, (one) => this.checks.push({ ...one, id: this.#id(), said: [one.status] }));
      case "PATCH /check-runs/:id": {
        const known = this.checks.find((one) => one.id === id);
        if (known === undefined) return refused(404, "Not Found");
        return this.#taken(checkRun, { head_sha: known.head_sha, ...(said as object) }, (one) => {
          Object.assign(known, one);
          known.said.push(one.status);
          return known.id;
        });
      }
      case "GET /commits/:sha/check-runs": {
        const name = new URLSearchParams(query).get("check_name");
        const found = this.checks.filter((one) => one.name === name && where.includes(one.head_sha));
        return { status: 200, body: { total_count: found.length, check_runs: found } };
      }
      case "POST /deployments":
        return this.#taken(deployment, said, (one) => this.deployments.push({ ...one, id: this.#id(), said: [] }));
      case "GET /deployments": {
        const wanted = new URLSearchParams(query);
        const fits = (one: z.infer<typeof deployment>): boolean =>
          one.ref === wanted.get("sha") && one.environment === wanted.get("environment");
        return { status: 200, body: this.deployments.filter(fits) };
      }
      case "POST /deployments/:id/statuses": {
        const known = this.deployments.find((one) => one.id === id);
        if (known === undefined) return refused(404, "Not Found");
        return this.#taken(deploymentStatus, said, (one) => void known.said.push(one));
      }
      default:
        return refused(404, `Not Found: ${what}`);
    }
  }

  #taken<T>(schema: z.ZodType<T>, said: unknown, keep: (one: T) => unknown): Reply {
    const read = schema.safeParse(said);
    if (!read.success)
      return refused(422, `Validation Failed: ${read.error.issues.map(({ message }) => message).join()}`);
    keep(read.data);
    return { status: 201, body: { id: this.#ids } };
  }

  #id(): number {
    this.#ids += 1;
    return this.#ids;
  }

  /** RS256, of the app, not older than ten minutes. */
  #isApp(authorization: string): boolean {
    const [head = "", payload = "", signature = ""] = authorization.replace(/^bearer /i, "").split(".");
    const text = (part: string): string => Buffer.from(part, "base64url").toString();
    if (head === "" || (JSON.parse(text(head)) as { alg: string }).alg !== "RS256") return false;
    const signed = verify(
      "sha256",
      Buffer.from(`${head}.${payload}`),
      this.#publicKey,
      Buffer.from(signature, "base64url"),
    );
    const { iss, iat, exp } = JSON.parse(text(payload)) as { iss: number | string; iat: number; exp: number };
    const now = Date.now() / 1_000;
    return signed && String(iss) === String(APP_ID) && iat <= now && exp > now && exp - iat <= 660;
  }
}

function refused(status: number, message: string): Reply {
  return { status, body: { message, documentation_url: "https://docs.github.com/rest" } };
}
