import { isIPv4 } from "node:net";
import { isAbsolute, join } from "node:path";
import { z } from "zod";
import { DEFAULT_SYSTEM, REGION } from "../protocol/ami.ts";
import { ToroidError } from "../protocol/errors.ts";
import { labelProblem } from "../protocol/pipeline/text-rules.ts";
import { type ArtifactsPlace, placeIn } from "./artifacts/place.ts";
import type { BakeConfig } from "./bake/settings.ts";
import type { SecretsConfig } from "./secrets.ts";

/** Everything an operator may choose, read once at start. */
export interface Config {
  readonly natsUrl: string;
  /** Executors of one pool share its work. */
  readonly pool: string;
  /** What stages may ask for; the same on all executors of the pool. */
  readonly labels: string[];
  /** How many stages run at once; null: as many as the machine has processors. */
  readonly slots: number | null;
  /** Mirrors, images and workspaces; one executor at a time. */
  readonly stateDir: string;
  /** What a stage without an image gets: `host`, a name in the image store, or an absolute path. */
  readonly defaultImage: string;
  readonly imagesDir: string;
  readonly images: ImagesConfig;
  /** Of `toroid run`, and of nothing else: images that were made. */
  readonly cacheDir: string;
  /** Shared by all executors that run stages of the same repositories. */
  readonly artifacts: ArtifactsPlace;
  /** What unpacked artifacts may take on this host. */
  readonly artifactCacheBytes: number;
  readonly secrets: SecretsConfig;
  /** The helper's binary. */
  readonly sandbox: string;
  /** Of a `toroid-sandbox serve`, for an executor that is not started by root; null: there is none. */
  readonly sandboxSocket: string | null;
  /** Name or uid of who an executor started by root becomes; null: the usual one. */
  readonly user: string | null;
  /** The program of Packer; null: what PATH finds, if anything. */
  readonly packer: string | null;
  /** Where AMIs are baked, and as whom; null: nowhere. */
  readonly bake: BakeConfig | null;
  /** A delegated cgroup v2 directory; null: the helper finds one. */
  readonly cgroup: string | null;
  /** What this host may fail to hold builds to, by the names in `weak`; anything else it lacks keeps us from starting. */
  readonly allowWeak: readonly string[];
  /** How long it may finish what runs once it is told to stop. */
  readonly drainMs: number;
  /** What the output of one attempt may take on disk while NATS is away. */
  readonly spoolBytes: number;
  readonly git: GitConfig;
  readonly network: NetworkConfig;
  /** Where people find the web page; null: builds are not told. */
  readonly publicUrl: string | null;
}

/** Of images that are fetched or made, and kept. */
export interface ImagesConfig {
  /** The program; null: what PATH finds, if anything. */
  readonly skopeo: string | null;
  /** Logins of registries; null: none. */
  readonly authFile: string | null;
  /** In place of /etc/containers/registries.conf; null: that one. */
  readonly registriesFile: string | null;
  /** How long a registry is believed about what a tag means. */
  readonly refreshMs: number;
  /** Where Debian comes from; null: as mmdebstrap has it. */
  readonly debianMirror: string | null;
  /** How old a Debian may be. */
  readonly debianMs: number;
  /** What all that is kept may take; null: no limit. */
  readonly cacheBytes: number | null;
}

export interface NetworkConfig {
  /** `pool`: a network of its own for each slot, or no start. `auto`: the same where the host can, else the host's. */
  readonly mode: "auto" | "pool" | "host";
  /** Networks that builds may reach although they are private. */
  readonly open: readonly string[];
  /** Where the pool's addresses are taken from; null: the helper's choice. */
  readonly subnet: string | null;
  /** Resolvers; none: the host's. */
  readonly dns: readonly string[];
  /** That a slot may have open, and begin in a minute; null: the helper's choice. */
  readonly connections: number | null;
  /** We may switch the host's forwarding of packets on. */
  readonly forward: boolean;
}

export interface GitConfig {
  /** Which of a repository's two addresses to fetch from. */
  readonly remote: "https" | "ssh";
  /** Paths and `file://` URLs may be fetched from: for trials and tests, never where strangers can push. */
  readonly allowLocal: boolean;
  /** A git configuration of the operator's (credential helpers, proxies); null: none is read. */
  readonly configFile: string | null;
  /** How long a fetch may be silent. */
  readonly silenceMs: number;
}

const path = z.string().refine(isAbsolute, "must be an absolute path");
const text = z.string().min(1, "must not be empty");
const flag = z.enum(["0", "1"], { error: "must be 0 or 1" });
/** As the sandbox has it. */
export const SLOTS_MOST = 256;
const LABELS_MOST = 32;
const CONNECTIONS_MOST = 1_000_000;

/** Values that no error repeats. */
const SECRET = /_(SECRET_ACCESS_KEY|SESSION_TOKEN)$/;

const words = z.string().transform((value) => value.split(/[\s,]+/).filter((word) => word !== ""));

/** `10.1.0.0/16`, or one address. */
function isNetwork(word: string, least: number, most: number): boolean {
  const [address = "", prefix = "32", ...more] = word.split("/");
  if (!isIPv4(address) || !/^\d{1,2}$/.test(prefix) || more.length > 0) return false;
  if (Number(prefix) < least || Number(prefix) > most) return false;
  const bits = address.split(".").map((part) => Number(part).toString(2).padStart(8, "0"));
  return !bits.join("").slice(Number(prefix)).includes("1");
}

const environment = z.object({
  TOROID_NATS_URL: text.default("nats://127.0.0.1:4222"),
  TOROID_POOL: text.max(64, "must have 64 characters at most").default("default"),
  TOROID_LABELS: words
    .refine(
      (all) => all.length <= LABELS_MOST && all.every((one) => labelProblem(one) === null && !one.includes("$")),
      {
        error: `must be labels such as \`gpu\` or \`arch=arm64\`, ${LABELS_MOST} at most, with commas or spaces`,
      },
    )
    .optional(),
  TOROID_SLOTS: z
    .string()
    .regex(/^[1-9][0-9]*$/, `must be a whole number from 1 to ${SLOTS_MOST}`)
    .transform(Number)
    .refine((n) => n <= SLOTS_MOST, `must be a whole number from 1 to ${SLOTS_MOST}`)
    .optional(),
  TOROID_EXECUTOR_STATE: path.default("/var/lib/toroid/executor"),
  TOROID_DEFAULT_IMAGE: text.default("host"),
  TOROID_IMAGES: path.optional(),
  TOROID_IMAGE_CACHE_BYTES: z
    .string()
    .regex(/^(0|[1-9][0-9]{0,15})$/, "must be a number of bytes; 0 is no limit")
    .default("21474836480"),
  TOROID_IMAGE_REFRESH_SECONDS: z
    .string()
    .regex(/^(0|[1-9][0-9]{0,7})$/, "must be a number of seconds from 0 to 99999999")
    .default("600"),
  TOROID_SKOPEO: path.optional(),
  TOROID_DEBIAN_MIRROR: z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).optional(),
  TOROID_DEBIAN_REFRESH_HOURS: z
    .string()
    .regex(/^(0|[1-9][0-9]{0,4})$/, "must be a number of hours from 0 to 99999")
    .default("168"),
  TOROID_REGISTRY_AUTH: path.optional(),
  TOROID_REGISTRIES: path.optional(),
  TOROID_CACHE: path.default("/var/cache/toroid"),
  TOROID_ARTIFACTS: z
    .string()
    .transform(placeIn)
    .refine((at) => at !== null, "must be an absolute path, or `s3://bucket/prefix`")
    .optional(),
  TOROID_ARTIFACTS_ENDPOINT: z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).optional(),
  TOROID_ARTIFACTS_REGION: text.optional(),
  TOROID_ARTIFACTS_ACCESS_KEY_ID: text.optional(),
  TOROID_ARTIFACTS_SECRET_ACCESS_KEY: text.optional(),
  TOROID_ARTIFACTS_SESSION_TOKEN: text.optional(),
  TOROID_ARTIFACT_CACHE_BYTES: z
    .string()
    .regex(/^[1-9][0-9]{0,14}$/, "must be a number of bytes")
    .default("10737418240"),
  TOROID_SECRETS: path.optional(),
  TOROID_SECRETS_FROM: words
    .refine((all) => all.every((one) => /^(https?:\/\/|ssh:\/\/|\/|[^/@\s]+@).*[/:]$/.test(one)), {
      error: "must be beginnings of addresses such as `https://github.com/`, each with `/` or `:` at its end",
    })
    .default(["https://github.com/", "git@github.com:", "ssh://git@github.com/"]),
  TOROID_SANDBOX: path.default(join(import.meta.dirname, "..", "sandbox", "build", "toroid-sandbox")),
  TOROID_SANDBOX_SOCKET: path.optional(),
  TOROID_USER: z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, "must be the name or uid of a user")
    .optional(),
  TOROID_PACKER: path.optional(),
  TOROID_BAKE_REGION: z.string().regex(REGION, "must be the name of a region, such as `eu-west-1`").optional(),
  TOROID_BAKE_ENDPOINT: z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).optional(),
  TOROID_BAKE_ACCESS_KEY_ID: text.optional(),
  TOROID_BAKE_SECRET_ACCESS_KEY: text.optional(),
  TOROID_BAKE_SESSION_TOKEN: text.optional(),
  TOROID_BAKE_SOURCE: path.optional(),
  TOROID_BAKE_PATIENCE_SECONDS: z
    .string()
    .regex(/^[1-9][0-9]{0,4}$/, "must be a number of seconds from 1 to 99999")
    .default("1800"),
  TOROID_SYSTEM: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, "must be a name of letters, digits, `_`, `.` and `-`, 64 at most")
    .optional(),
  TOROID_CGROUP: path.optional(),
  TOROID_ALLOW_WEAK: words
    .refine((all) => all.every((word) => /^[a-z]+(-[a-zA-Z]+)+$/.test(word)), {
      error: "must be names such as `no-limit-pids`, with commas or spaces",
    })
    .optional(),
  TOROID_DRAIN_SECONDS: z
    .string()
    .regex(/^(0|[1-9][0-9]{0,5})$/, "must be a number of seconds from 0 to 999999")
    .default("80"),
  TOROID_SPOOL_BYTES: z
    .string()
    .regex(/^[1-9][0-9]{0,14}$/, "must be a number of bytes")
    .default("67108864"),
  TOROID_GIT_REMOTE: z.enum(["https", "ssh"], { error: "must be `https` or `ssh`" }).default("https"),
  TOROID_GIT_CONFIG: path.optional(),
  TOROID_GIT_SILENCE_SECONDS: z
    .string()
    .regex(/^[1-9][0-9]{0,4}$/, "must be a number of seconds from 1 to 99999")
    .default("60"),
  TOROID_ALLOW_LOCAL_REMOTES: flag.default("0"),
  TOROID_NETWORK: z.enum(["pool", "host"], { error: "must be `pool` or `host`" }).optional(),
  TOROID_NETWORK_OPEN: words
    .refine((all) => all.length <= 64 && all.every((word) => isNetwork(word, 0, 32)), {
      error: "must be IPv4 networks such as `10.1.0.0/16`, 64 at most, with nothing set behind the prefix",
    })
    .optional(),
  TOROID_NETWORK_SUBNET: z
    .string()
    .refine(
      (word) => isNetwork(word, 8, 29),
      "must be an IPv4 network from /8 to /29, with nothing set behind the prefix",
    )
    .optional(),
  TOROID_NETWORK_DNS: words
    .refine((all) => all.length <= 8 && all.every(isIPv4), { error: "must be IPv4 addresses, 8 at most" })
    .optional(),
  TOROID_NETWORK_CONNECTIONS: z
    .string()
    .regex(/^[1-9][0-9]*$/, "must be a whole number from 1 to 1000000")
    .transform(Number)
    .refine((n) => n <= CONNECTIONS_MOST, "must be a whole number from 1 to 1000000")
    .optional(),
  TOROID_NETWORK_FORWARD: flag.default("0"),
  TOROID_PUBLIC_URL: z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).optional(),
});

/**
 * Reads the configuration from environment variables. A variable that is set to nothing counts as not set.
 *
 * @throws {ToroidError} TOR_CONFIG_INVALID with one sentence for each wrong value.
 */
export function configFrom(variables: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(variables).filter(([, value]) => value !== undefined && value !== ""),
  );
  const read = environment.safeParse(given);
  if (!read.success) {
    const sentences = read.error.issues.map((issue) => {
      const name = String(issue.path[0]);
      return `${name} ${issue.message}, and is ${SECRET.test(name) ? "not shown" : JSON.stringify(given[name])}`;
    });
    throw new ToroidError("TOR_CONFIG_INVALID", sentences.join("; "));
  }
  const e = read.data;
  return {
    natsUrl: e.TOROID_NATS_URL,
    pool: e.TOROID_POOL,
    labels: [...new Set(e.TOROID_LABELS)].toSorted(),
    slots: e.TOROID_SLOTS ?? null,
    stateDir: e.TOROID_EXECUTOR_STATE,
    defaultImage: e.TOROID_DEFAULT_IMAGE,
    imagesDir: e.TOROID_IMAGES ?? join(e.TOROID_EXECUTOR_STATE, "images"),
    images: {
      skopeo: e.TOROID_SKOPEO ?? null,
      authFile: e.TOROID_REGISTRY_AUTH ?? null,
      registriesFile: e.TOROID_REGISTRIES ?? null,
      refreshMs: Number(e.TOROID_IMAGE_REFRESH_SECONDS) * 1_000,
      debianMirror: e.TOROID_DEBIAN_MIRROR ?? null,
      debianMs: Number(e.TOROID_DEBIAN_REFRESH_HOURS) * 3_600_000,
      cacheBytes: Number(e.TOROID_IMAGE_CACHE_BYTES) || null,
    },
    cacheDir: e.TOROID_CACHE,
    artifacts: artifactsIn(e),
    artifactCacheBytes: Number(e.TOROID_ARTIFACT_CACHE_BYTES),
    secrets: { dir: e.TOROID_SECRETS ?? null, from: e.TOROID_SECRETS_FROM },
    sandbox: e.TOROID_SANDBOX,
    sandboxSocket: e.TOROID_SANDBOX_SOCKET ?? null,
    user: e.TOROID_USER ?? null,
    packer: e.TOROID_PACKER ?? null,
    bake: bakeOf(e),
    cgroup: e.TOROID_CGROUP ?? null,
    allowWeak: e.TOROID_ALLOW_WEAK ?? [],
    drainMs: Number(e.TOROID_DRAIN_SECONDS) * 1_000,
    spoolBytes: Number(e.TOROID_SPOOL_BYTES),
    git: {
      remote: e.TOROID_GIT_REMOTE,
      allowLocal: e.TOROID_ALLOW_LOCAL_REMOTES === "1",
      configFile: e.TOROID_GIT_CONFIG ?? null,
      silenceMs: Number(e.TOROID_GIT_SILENCE_SECONDS) * 1_000,
    },
    network: {
      mode: e.TOROID_NETWORK ?? "auto",
      open: e.TOROID_NETWORK_OPEN ?? [],
      subnet: e.TOROID_NETWORK_SUBNET ?? null,
      dns: e.TOROID_NETWORK_DNS ?? [],
      connections: e.TOROID_NETWORK_CONNECTIONS ?? null,
      forward: e.TOROID_NETWORK_FORWARD === "1",
    },
    publicUrl: e.TOROID_PUBLIC_URL?.replace(/\/+$/, "") ?? null,
  };
}

/** @throws {ToroidError} TOR_CONFIG_INVALID */
function artifactsIn(e: z.infer<typeof environment>): ArtifactsPlace {
  const at = e.TOROID_ARTIFACTS ?? { path: join(e.TOROID_EXECUTOR_STATE, "artifacts") };
  if ("path" in at) return { kind: "directory", ...at };
  const [accessKeyId, secretAccessKey] = [e.TOROID_ARTIFACTS_ACCESS_KEY_ID, e.TOROID_ARTIFACTS_SECRET_ACCESS_KEY];
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    throw new ToroidError(
      "TOR_CONFIG_INVALID",
      "TOROID_ARTIFACTS_ACCESS_KEY_ID and TOROID_ARTIFACTS_SECRET_ACCESS_KEY are a pair: set both or none",
    );
  }
  const token = e.TOROID_ARTIFACTS_SESSION_TOKEN;
  const session = token === undefined ? {} : { sessionToken: token };
  return {
    kind: "bucket",
    ...at,
    endpoint: e.TOROID_ARTIFACTS_ENDPOINT ?? null,
    region: e.TOROID_ARTIFACTS_REGION ?? null,
    credentials:
      accessKeyId === undefined || secretAccessKey === undefined ? null : { accessKeyId, secretAccessKey, ...session },
  };
}

/** All of it or nothing. */
function bakeOf(e: z.infer<typeof environment>): BakeConfig | null {
  const needed = {
    TOROID_BAKE_REGION: e.TOROID_BAKE_REGION,
    TOROID_BAKE_ACCESS_KEY_ID: e.TOROID_BAKE_ACCESS_KEY_ID,
    TOROID_BAKE_SECRET_ACCESS_KEY: e.TOROID_BAKE_SECRET_ACCESS_KEY,
    TOROID_BAKE_SOURCE: e.TOROID_BAKE_SOURCE,
  };
  const missing = Object.entries(needed).flatMap(([name, value]) => (value === undefined ? [name] : []));
  if (missing.length === Object.keys(needed).length) return null;
  if (missing.length > 0) {
    const message = `${missing.join(", ")} must be set too: who bakes AMIs needs ${Object.keys(needed).join(", ")}`;
    throw new ToroidError("TOR_CONFIG_INVALID", message);
  }
  return {
    region: e.TOROID_BAKE_REGION ?? "",
    endpoint: e.TOROID_BAKE_ENDPOINT ?? null,
    credentials: {
      accessKeyId: e.TOROID_BAKE_ACCESS_KEY_ID ?? "",
      secretAccessKey: e.TOROID_BAKE_SECRET_ACCESS_KEY ?? "",
      sessionToken: e.TOROID_BAKE_SESSION_TOKEN ?? null,
    },
    sourceFile: e.TOROID_BAKE_SOURCE ?? "",
    patienceMs: Number(e.TOROID_BAKE_PATIENCE_SECONDS) * 1_000,
    system: e.TOROID_SYSTEM ?? DEFAULT_SYSTEM,
  };
}
