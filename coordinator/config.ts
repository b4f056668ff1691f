import { isIP } from "node:net";
import { z } from "zod";
import { DEFAULT_SYSTEM, REGION } from "../protocol/ami.ts";
import { ToroidError } from "../protocol/errors.ts";
import { DEFAULT_STORE_BYTES } from "../protocol/streams.ts";
import type { GithubConfig } from "./access/github.ts";
import { parseRoles, type Role } from "./access/roles.ts";
import type { QueueConfig } from "./intake/sqs.ts";

/** Everything an operator may choose, read once at start. */
export interface Config {
  readonly natsUrl: string;
  /** Monitoring ports of its servers, which tell how it writes to disk. */
  readonly natsMonitorUrls: readonly string[];
  /** A loss of power may lose what was acknowledged. */
  readonly allowLazySync: boolean;
  /** Size of the store that the streams share. */
  readonly storeBytes: number;
  readonly replicas: number;
  /** How long a build is kept after its end; null: for ever. */
  readonly keepBuildsMs: number | null;
  /** How long build output is kept. */
  readonly keepLogsMs: number;
  /** Pool of executors that stages go to. */
  readonly pool: string;
  /** null: builds come by the API only. */
  readonly queue: QueueConfig | null;
  readonly http: HttpConfig;
  readonly amis: AmiConfig;
  /** File that says whom to notify; null: nobody. */
  readonly notify: string | null;
}

export interface HttpConfig {
  readonly host: string;
  readonly port: number;
  /** `none`: everybody who reaches it may do everything. */
  readonly auth: "none" | "token" | "github";
  /** Where people and programs find it, when that is not its loopback address; null: there. */
  readonly publicUrl: string | null;
  /** Addresses of proxies in front, whose word for where a request comes from is taken. */
  readonly proxies: readonly string[];
  /** Of one person or program, where they sign in; 0: as many as they like. */
  readonly requestsPerMinute: number;
  /** How long a request may take to arrive. */
  readonly requestMs: number;
  /** How long people stay signed in at the page. */
  readonly sessionMs: number;
  /** Who of GitHub may do what. */
  readonly roles: readonly Role[];
  /** null: nobody signs in there. */
  readonly github: GithubConfig | null;
}

export interface AmiConfig {
  /** The name of this Toroid in tags: what has it is ours. */
  readonly system: string;
  /** Of a server that speaks like EC2; null: AWS. */
  readonly endpoint: string | null;
  /** Where AMIs are listed, tagged, swept and retired; empty: nowhere. */
  readonly regions: readonly string[];
  /** How often that is done; null: only when somebody asks for it. */
  readonly everyMs: number | null;
  /** How old what an ended bake left must be, and how long ago that must have been, before it is removed. */
  readonly sweepAfterMs: number;
  /** An AMI goes that is neither among so many of its repository nor that young; both null: none goes. */
  readonly keep: { readonly newest: number | null; readonly ms: number | null };
}

const text = z.string().min(1, "must not be empty");
const wholeNumber = (most: number) =>
  z
    .string()
    .regex(/^[0-9]+$/, `must be a whole number from 0 to ${most}`)
    .transform(Number)
    .refine((n) => n <= most, `must be a whole number from 0 to ${most}`);

const MINUTE_MS = 60 * 1_000;
const MOST_MINUTES = 365 * 24 * 60;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * 60 * 60 * 1_000;
const MOST_DAYS = 36_500;
const LOOPBACK = /^(127\.[0-9.]+|localhost|\[?::1\]?)$/;

const environment = z.object({
  TOROID_NATS_URL: text.default("nats://127.0.0.1:4222"),
  TOROID_NATS_MONITOR_URL: z
    .string()
    .transform((urls) => urls.split(",").map((url) => url.trim()))
    .refine(
      (urls) => urls.every((url) => /^https?:$/.test(URL.parse(url)?.protocol ?? "")),
      "must be an http or https URL, or several with commas",
    )
    .optional(),
  TOROID_ALLOW_LAZY_SYNC: z.enum(["0", "1"], { error: "must be 0 or 1" }).default("0"),
  TOROID_STORE_BYTES: wholeNumber(Number.MAX_SAFE_INTEGER).optional(),
  TOROID_REPLICAS: z.enum(["1", "3", "5"], { error: "must be 1, 3 or 5" }).default("1"),
  TOROID_KEEP_BUILDS_DAYS: wholeNumber(MOST_DAYS).default(90),
  TOROID_KEEP_LOGS_DAYS: wholeNumber(MOST_DAYS)
    .refine((days) => days > 0, "must be 1 day at least")
    .default(30),
  TOROID_POOL: text.max(64, "must have 64 characters at most").default("default"),
  TOROID_QUEUE_URL: z
    .url({ protocol: /^https?$/, error: "must be the http or https URL that SQS returned" })
    .optional(),
  TOROID_DEAD_LETTER_URL: z
    .url({ protocol: /^https?$/, error: "must be the http or https URL that SQS returned" })
    .optional(),
  TOROID_QUEUE_ENDPOINT: z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).optional(),
  AWS_REGION: text.optional(),
  TOROID_HTTP_HOST: text.default("127.0.0.1"),
  TOROID_AUTH: z.enum(["none", "token", "github"], { error: "must be none, token or github" }).default("none"),
  TOROID_ROLES: z
    .string()
    .transform((given, context) => {
      const roles = parseRoles(given);
      if (!("problem" in roles)) return roles;
      context.addIssue({ code: "custom", message: `has a mistake: ${roles.problem}` });
      return z.NEVER;
    })
    .optional(),
  TOROID_SESSION_HOURS: wholeNumber(30 * 24)
    .refine((hours) => hours > 0, "must be 1 hour at least")
    .default(12),
  TOROID_GITHUB_CLIENT_ID: text.optional(),
  TOROID_GITHUB_CLIENT_SECRET: text.optional(),
  TOROID_GITHUB_URL: z.url({ protocol: /^https?$/, error: "must be an https URL" }).default("https://github.com"),
  TOROID_GITHUB_API_URL: z.url({ protocol: /^https?$/, error: "must be an https URL" }).optional(),
  TOROID_PUBLIC_URL: z
    .url({ protocol: /^https?$/, error: "must be the http or https URL by which people reach this coordinator" })
    .refine((url) => URL.parse(url)?.pathname === "/", "must have no path: the page and the API are at its root")
    .optional(),
  TOROID_HTTP_TRUST_NETWORK: z.enum(["0", "1"], { error: "must be 0 or 1" }).default("0"),
  TOROID_HTTP_PROXIES: z
    .string()
    .transform((addresses) => addresses.split(",").map((address) => address.trim()))
    .refine(
      (addresses) => addresses.every(isNetwork),
      "must be addresses or networks with commas: 10.0.0.5,10.1.0.0/16",
    )
    .optional(),
  TOROID_HTTP_REQUESTS_PER_MINUTE: wholeNumber(10_000_000).default(6_000),
  TOROID_HTTP_REQUEST_SECONDS: wholeNumber(3_600)
    .refine((seconds) => seconds > 0, "must be 1 second at least")
    .default(30),
  TOROID_HTTP_PORT: wholeNumber(65_535).default(7433),
  TOROID_SYSTEM: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/, "must be 64 letters, digits, `_`, `.` and `-` at most")
    .optional(),
  TOROID_EC2_ENDPOINT: z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).optional(),
  TOROID_AMI_REGIONS: z
    .string()
    .transform((regions) => regions.split(",").map((region) => region.trim()))
    .refine(
      (regions) => regions.every((region) => REGION.test(region)),
      "must be regions with commas: eu-west-1,us-east-1",
    )
    .optional(),
  TOROID_AMI_EVERY_MINUTES: wholeNumber(MOST_MINUTES).default(5),
  TOROID_AMI_SWEEP_AFTER_MINUTES: wholeNumber(MOST_MINUTES).default(60),
  TOROID_AMI_KEEP: wholeNumber(1_000_000)
    .refine((count) => count > 0, "must be 1 at least; leave it out to keep all")
    .optional(),
  TOROID_AMI_KEEP_DAYS: wholeNumber(MOST_DAYS).optional(),
  TOROID_NOTIFY: text.optional(),
});

/** What settings mean together. Each is said by itself first. */
const listening = environment
  .refine((e) => e.TOROID_AUTH !== "none" || e.TOROID_HTTP_TRUST_NETWORK === "1" || LOOPBACK.test(e.TOROID_HTTP_HOST), {
    path: ["TOROID_HTTP_HOST"],
    error:
      "must be a loopback address (127.0.0.1, ::1, localhost) while nobody has to sign in: set TOROID_AUTH; in a network where everybody may do everything, as in a container whose port is published on loopback, TOROID_HTTP_TRUST_NETWORK=1 allows any address",
    when: () => true,
  })
  .refine((e) => e.TOROID_AUTH === "none" || e.TOROID_PUBLIC_URL !== undefined || LOOPBACK.test(e.TOROID_HTTP_HOST), {
    path: ["TOROID_PUBLIC_URL"],
    error: "must say how people reach a coordinator that listens on more than loopback: https://ci.example.com",
  })
  .refine((e) => e.TOROID_AUTH === "none" || e.TOROID_HTTP_TRUST_NETWORK === "1" || isPrivateUrl(e.TOROID_PUBLIC_URL), {
    path: ["TOROID_PUBLIC_URL"],
    error:
      "must be https, or of a loopback address: tokens and sessions would be read on the way; TOROID_HTTP_TRUST_NETWORK=1 allows http where nobody else listens",
  });

const openEnvironment = listening
  .refine((e) => e.TOROID_AUTH !== "github" || e.TOROID_ROLES !== undefined, {
    path: ["TOROID_ROLES"],
    error: "must say who may do what when people sign in by GitHub: `@ada admin; acme read; acme/dev operate`",
  })
  .refine(
    (e) =>
      e.TOROID_AUTH !== "github" ||
      (e.TOROID_GITHUB_CLIENT_ID !== undefined && e.TOROID_GITHUB_CLIENT_SECRET !== undefined),
    {
      path: ["TOROID_GITHUB_CLIENT_ID"],
      error: "and TOROID_GITHUB_CLIENT_SECRET must be those of an OAuth app of GitHub",
    },
  )
  .refine((e) => isPrivateUrl(e.TOROID_GITHUB_URL) && isPrivateUrl(e.TOROID_GITHUB_API_URL), {
    path: ["TOROID_GITHUB_URL"],
    error: "and TOROID_GITHUB_API_URL must be https",
  });

/** Does nobody on the way read what is sent there? */
function isPrivateUrl(given: string | undefined): boolean {
  const url = given === undefined ? null : URL.parse(given);
  return url === null || url.protocol === "https:" || LOOPBACK.test(url.hostname);
}

/**
 * Reads the configuration from environment variables. A variable that is set to nothing counts as not set.
 *
 * @throws {ToroidError} TOR_CONFIG_INVALID with one sentence for each wrong value.
 */
export function configFrom(variables: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(variables).filter(([, value]) => value !== undefined && value !== ""),
  );
  const read = openEnvironment.safeParse(given);
  if (!read.success) {
    const sentences = read.error.issues.map((issue) => `${String(issue.path[0])} ${issue.message}`);
    throw new ToroidError("TOR_CONFIG_INVALID", sentences.join("; "));
  }
  const e = read.data;
  return {
    natsUrl: e.TOROID_NATS_URL,
    natsMonitorUrls: e.TOROID_NATS_MONITOR_URL ?? [],
    allowLazySync: e.TOROID_ALLOW_LAZY_SYNC === "1",
    storeBytes: e.TOROID_STORE_BYTES ?? DEFAULT_STORE_BYTES,
    replicas: Number(e.TOROID_REPLICAS),
    keepBuildsMs: e.TOROID_KEEP_BUILDS_DAYS === 0 ? null : e.TOROID_KEEP_BUILDS_DAYS * DAY_MS,
    keepLogsMs: e.TOROID_KEEP_LOGS_DAYS * DAY_MS,
    pool: e.TOROID_POOL,
    queue:
      e.TOROID_QUEUE_URL === undefined
        ? null
        : {
            url: e.TOROID_QUEUE_URL,
            deadLetterUrl: e.TOROID_DEAD_LETTER_URL ?? null,
            endpoint: e.TOROID_QUEUE_ENDPOINT ?? null,
            region: e.AWS_REGION ?? null,
            credentials: null,
          },
    http: {
      host: e.TOROID_HTTP_HOST,
      port: e.TOROID_HTTP_PORT,
      auth: e.TOROID_AUTH,
      publicUrl: e.TOROID_PUBLIC_URL === undefined ? null : new URL(e.TOROID_PUBLIC_URL).origin,
      proxies: e.TOROID_HTTP_PROXIES ?? [],
      requestsPerMinute: e.TOROID_HTTP_REQUESTS_PER_MINUTE,
      requestMs: e.TOROID_HTTP_REQUEST_SECONDS * 1_000,
      sessionMs: e.TOROID_SESSION_HOURS * HOUR_MS,
      roles: e.TOROID_ROLES ?? [],
      github: e.TOROID_AUTH === "github" ? githubOf(e) : null,
    },
    notify: e.TOROID_NOTIFY ?? null,
    amis: {
      system: e.TOROID_SYSTEM ?? DEFAULT_SYSTEM,
      endpoint: e.TOROID_EC2_ENDPOINT ?? null,
      regions: [...new Set(e.TOROID_AMI_REGIONS ?? [])],
      everyMs: e.TOROID_AMI_EVERY_MINUTES === 0 ? null : e.TOROID_AMI_EVERY_MINUTES * MINUTE_MS,
      sweepAfterMs: e.TOROID_AMI_SWEEP_AFTER_MINUTES * MINUTE_MS,
      keep: {
        newest: e.TOROID_AMI_KEEP ?? null,
        ms: e.TOROID_AMI_KEEP_DAYS === undefined ? null : e.TOROID_AMI_KEEP_DAYS * DAY_MS,
      },
    },
  };
}

function githubOf(e: z.infer<typeof environment>): GithubConfig {
  const url = withoutSlash(e.TOROID_GITHUB_URL);
  const ownApi = url === "https://github.com" ? "https://api.github.com" : `${url}/api/v3`;
  return {
    url,
    apiUrl: withoutSlash(e.TOROID_GITHUB_API_URL ?? ownApi),
    clientId: e.TOROID_GITHUB_CLIENT_ID ?? "",
    clientSecret: e.TOROID_GITHUB_CLIENT_SECRET ?? "",
  };
}

/** `10.0.0.5`, `10.1.0.0/16`, `fd00::/8` */
function isNetwork(given: string): boolean {
  const [address = "", prefix] = given.split("/");
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  return bits > 0 && (prefix === undefined || (/^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= bits));
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, "");
}
