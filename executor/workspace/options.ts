/** The sandbox's options for one run. Pure. */
import { ToroidError } from "../../protocol/errors.ts";
import type { Limits } from "../../protocol/pipeline/plan.ts";

export interface Bind {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

export interface RunOptions {
  /** The upper ones first; the last is `host` or a directory, the others are directories of layers. */
  readonly images: readonly string[];
  readonly binds: readonly Bind[];
  readonly variables: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly hostname: string;
  readonly network: "none" | "full" | "host";
  /** What it reaches although its network is `none`, as `--allow-host` takes it. */
  readonly places: readonly string[];
  /** What the host may fail to hold the run to, where no `serve` knows. */
  readonly allowWeak: readonly string[];
  readonly limits: Limits;
  readonly wallMs: number;
  readonly graceMs: number;
  /** Without output; null: for as long as it likes. */
  readonly silenceMs: number | null;
  /** Paths of the host that the image `host` must not show. */
  readonly masks: readonly string[];
}

/**
 * All but what the slot adds: the scratch, the uids, where the output goes.
 *
 * @throws {ToroidError} TOR_INTERNAL for places without a network that a build can be held to
 */
export function runOptions(o: RunOptions): readonly string[] {
  if (o.places.length > 0 && o.network !== "full")
    throw new ToroidError("TOR_INTERNAL", "a list of hosts came to a host without networks");
  const words = [...o.images.flatMap((image) => ["--image", image]), "--keep-scratch", "--network", o.network];
  for (const place of o.places) words.push("--allow-host", place);
  // What may be written to is the workspace's own, and on the account of what it may write to disk.
  const written = o.limits.diskBytes === null ? "" : ":counted";
  for (const bind of o.binds) words.push("--bind", `${bind.source}:${bind.target}${bind.readOnly ? ":ro" : written}`);
  for (const [name, value] of Object.entries(o.variables)) words.push("--env", `${name}=${value}`);
  words.push("--cwd", o.cwd, "--hostname", o.hostname);
  for (const name of o.allowWeak) words.push("--allow-weak", name);
  if (o.limits.memoryBytes !== null) words.push("--memory-bytes", String(o.limits.memoryBytes));
  if (o.limits.pids !== null) words.push("--pids", String(o.limits.pids));
  if (o.limits.cpuMilli !== null) words.push("--cpu-milli", String(o.limits.cpuMilli));
  if (o.limits.diskBytes !== null) words.push("--disk-bytes", String(o.limits.diskBytes));
  words.push("--wall-ms", String(Math.max(1, Math.round(o.wallMs))), "--grace-ms", String(o.graceMs));
  if (o.silenceMs !== null) words.push("--silence-ms", String(o.silenceMs));
  if (isOnHost(o.images)) for (const mask of o.masks) words.push("--mask", mask);
  return words;
}

/** Is the executor's own root what is at the bottom? */
export function isOnHost(images: readonly string[]): boolean {
  return images.at(-1) === "host";
}

/**
 * What of the stage's wishes this host cannot hold it to, by the names that the helper uses.
 *
 * @param host what a run with every limit was called weak in; `network-host` where there is no pool of networks
 */
export function weakOf(
  host: readonly string[],
  asked: { readonly images: readonly string[]; readonly network: "none" | "full"; readonly limits: Limits },
): readonly string[] {
  const weak: string[] = [];
  if (asked.network === "full" && host.includes("network-host")) weak.push("network-host");
  if (isOnHost(asked.images)) weak.push("image-host");
  for (const name of host) {
    const limit = /^no-limit-(memoryBytes|pids|cpuMilli|diskBytes)$/.exec(name)?.[1];
    if (limit === undefined ? name === "no-cgroup" : asked.limits[limit as "pids"] !== null) weak.push(name);
  }
  return weak;
}
