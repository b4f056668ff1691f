/** What a host lacks for an executor, found by trying. Data, for `toroid doctor` and for the start. */
import { existsSync } from "node:fs";
import { mkdir, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { z } from "zod";
import { sentenceOf } from "../protocol/errors.ts";
import { type BucketConfig, BucketStore } from "./artifacts/bucket.ts";
import { urlOf } from "./artifacts/bucket-error.ts";
import type { Config } from "./config.ts";
import { findProgram } from "./images/find-program.ts";
import { findPacker } from "./images/packer/tools.ts";
import { NETWORK_HOST, sharesNetwork } from "./network.ts";
import { SandboxClient } from "./sandbox/client.ts";
import { serviceUser, socketGiven } from "./sandbox.ts";
import { askHelper } from "./workspace/helper.ts";
import { runOptions } from "./workspace/options.ts";
import type { Verdict } from "./workspace/verdict.ts";
import type { Slot } from "./workspace.ts";

export interface Finding {
  readonly what: string;
  readonly ok: boolean;
  /** One sentence for people. */
  readonly says: string;
}

const GIB = 1024 ** 3;
/** The helper's check of what `network` below asks with this executor's settings. */
const NETWORK_CHECK = "network-pool";
const DISK_LEAST_BYTES = 2 * GIB;
const PROBE_DISK_BYTES = 16 * 1024 ** 2;
const NO_DISK_LIMIT = "no-limit-diskBytes";
/** The first that has `safe.bareRepository`. */
const GIT_LEAST = [2, 38] as const;

const sentences = z.array(z.string());
const check = z.looseObject({
  id: z.string(),
  verdict: z.enum(["works", "weak", "lacks"]),
  says: z.string(),
  follows: z.string().default(""),
  how: z.string().default(""),
});
const checked = z.looseObject({ ok: z.boolean(), allow: sentences, checks: z.array(check) });
const networkChecked = z.looseObject({ lacks: sentences });

/** Looks at everything, and never throws. */
export async function examineHost(config: Config): Promise<readonly Finding[]> {
  const findings = await Promise.all([
    process.geteuid?.() === 0 ? byRoot(config) : bySocket(config),
    git(),
    tool("tar", "to unpack images and artifacts"),
    tool("mkfifo", "to read what builds print"),
    ...(config.git.remote === "ssh" ? [tool("ssh", "because TOROID_GIT_REMOTE is ssh")] : []),
    packer(config),
    skopeo(config),
    ...(config.artifacts.kind === "bucket" ? [bucket(config.artifacts)] : []),
    disk(config.stateDir),
  ]);
  return findings.flat();
}

async function bucket(config: BucketConfig): Promise<Finding> {
  const what = "artifacts";
  try {
    await new BucketStore(config).check();
    return { what, ok: true, says: `${urlOf(config)} can be read and written` };
  } catch (error) {
    return { what, ok: false, says: sentenceOf(error) };
  }
}

/** Which nobody has to have. */
async function packer(config: Config): Promise<Finding> {
  const what = "packer";
  try {
    const program = await findPacker(config.packer, process.env["PATH"] ?? "");
    const none = "it is not installed, so stages whose image it makes cannot run here: `apt-get install packer`";
    return { what, ok: true, says: program === null ? none : `${program} makes images` };
  } catch (error) {
    return { what, ok: false, says: sentenceOf(error) };
  }
}

/** The same. */
async function skopeo({ images }: Config): Promise<Finding> {
  const what = "skopeo";
  const named = { named: images.skopeo, variable: "TOROID_SKOPEO", path: process.env["PATH"] ?? "" };
  try {
    const program = await findProgram("skopeo", named);
    const none = "it is not installed, so images of registries cannot be fetched here: `apt-get install skopeo`";
    return { what, ok: true, says: program === null ? none : `${program} fetches images` };
  } catch (error) {
    return { what, ok: false, says: sentenceOf(error) };
  }
}

/** Of an executor that root starts: who it becomes, and what the helper finds by trying. */
async function byRoot(config: Config): Promise<readonly Finding[]> {
  const found = await Promise.all([sandbox(config), network(config)]);
  return [becomes(config), ...found.flat()];
}

function becomes(config: Config): Finding {
  const what = "user";
  try {
    const { uid, account } = serviceUser(config);
    const who = account === null ? `uid ${uid}, which no account has` : `${account.name} (uid ${uid})`;
    return { what, ok: true, says: `started by root, an executor becomes ${who}` };
  } catch (error) {
    return { what, ok: false, says: sentenceOf(error) };
  }
}

/** Of one that is the client of a `serve`, which knows the rest. */
async function bySocket(config: Config): Promise<readonly Finding[]> {
  try {
    const socket = socketGiven(config);
    const { slots, pool, poolMessage } = await new SandboxClient(socket).hello();
    const says = pool ? "each slot has one of its own" : `serve has none for each slot: ${poolMessage ?? ""}`;
    return [
      { what: "sandbox", ok: true, says: `serve answers at ${socket}, with ${slots} slots` },
      { what: "network", ok: pool || config.network.mode === "host" || sharesNetwork(config), says },
    ];
  } catch (error) {
    return [{ what: "user", ok: false, says: sentenceOf(error) }];
  }
}

async function sandbox(config: Config): Promise<readonly Finding[]> {
  const what = "sandbox";
  const asked = await askCheck(config);
  if (typeof asked === "string") return [{ what, ok: false, says: asked }];
  const { ok, allow, checks } = asked;
  const findings = checks
    .filter(({ id, verdict }) => verdict !== "works" && id !== NETWORK_CHECK)
    .map((one) => ({ what: `${what} ${one.id}`, ok: one.verdict === "weak", says: sentencesOf(one) }));
  if (ok) findings.unshift({ what, ok: true, says: "works" });
  if (allow.length > 0) {
    const names = [...config.allowWeak, ...allow].join(",");
    const says = `an executor does not start on such a host, unless TOROID_ALLOW_WEAK=${names} allows it to do without`;
    findings.push({ what: "sandbox limits", ok: false, says });
  }
  return findings;
}

/** What is there, what follows, and how to get it. */
function sentencesOf({ says, follows, how }: z.infer<typeof check>): string {
  return [`${says}.`, follows, how].filter((part) => part !== "").join(" ");
}

/** A sentence when there is no answer. */
async function askCheck({ sandbox: helper, cgroup, allowWeak }: Config): Promise<z.infer<typeof checked> | string> {
  const where = cgroup === null ? [] : ["--cgroup", cgroup];
  const allowed = allowWeak.flatMap((name) => ["--allow-weak", name]);
  const asked = await askHelper(helper, ["check", "--json", ...where, ...allowed]);
  const read = checked.safeParse(jsonOrNull(asked.stdout));
  return read.success ? read.data : `${helper} cannot be asked: ${asked.stderr.trim().slice(0, 300)}`;
}

async function network(config: Config): Promise<Finding> {
  const what = "network";
  if (config.network.mode === "host")
    return { what, ok: true, says: "builds share the host's, as TOROID_NETWORK says" };
  const missing = await networkLacks(config);
  if (missing.length === 0) return { what, ok: true, says: "each slot has one of its own" };
  const why = missing.join("; ");
  if (sharesNetwork(config)) return { what, ok: true, says: `builds share the host's: ${why}` };
  return { what, ok: false, says: `there can be none for each slot: ${why}` };
}

async function networkLacks({ sandbox: helper, network: { forward, dns } }: Config): Promise<readonly string[]> {
  const asked = await askHelper(helper, ["net", "check", "--json", ...(forward ? ["--forward"] : [])]);
  const read = networkChecked.safeParse(jsonOrNull(asked.stdout));
  const lacks = read.success ? read.data.lacks : [`${helper} cannot be asked`];
  return lacks.filter((says) => dns.length === 0 || !says.includes("--dns"));
}

/** What of this host would have to be in TOROID_ALLOW_WEAK for an executor to start; empty where it cannot be asked. */
export async function wouldNeedLeave(config: Config): Promise<readonly string[]> {
  const [asked, missing] = await Promise.all([
    askCheck(config),
    config.network.mode === "auto" ? networkLacks(config) : [],
  ]);
  const names = typeof asked === "string" ? [] : asked.allow;
  return missing.length === 0 ? names : [...names, NETWORK_HOST];
}

async function git(): Promise<Finding> {
  const { stdout, exitCode } = await execa("git", ["--version"], { reject: false, stdin: "ignore" });
  const [, major = "0", minor = "0"] = /(\d+)\.(\d+)/.exec(stdout ?? "") ?? [];
  const version = `${major}.${minor}`;
  if (exitCode !== 0) return { what: "git", ok: false, says: "git is not on PATH" };
  const ok = Number(major) > GIT_LEAST[0] || (Number(major) === GIT_LEAST[0] && Number(minor) >= GIT_LEAST[1]);
  return {
    what: "git",
    ok,
    says: ok ? version : `git ${version} is too old: ${GIT_LEAST.join(".")} or newer is needed`,
  };
}

async function tool(name: string, why: string): Promise<Finding> {
  const { failed, exitCode } = await execa(name, [name === "ssh" ? "-V" : "--version"], {
    reject: false,
    stdin: "ignore",
  });
  const ok = !failed || exitCode !== undefined;
  return { what: name, ok, says: ok ? "is there" : `${name} is not on PATH; it is needed ${why}` };
}

async function disk(stateDir: string): Promise<Finding> {
  try {
    const { bavail, bsize } = await statfs(existing(stateDir));
    const free = bavail * bsize;
    const says = `${Math.floor(free / GIB)} GiB are free at ${stateDir}`;
    return { what: "disk", ok: free >= DISK_LEAST_BYTES, says: free >= DISK_LEAST_BYTES ? says : `only ${says}` };
  } catch (error) {
    return { what: "disk", ok: false, says: `${stateDir} cannot be used: ${sentenceOf(error)}` };
  }
}

/** What it will be made in. */
function existing(path: string): string {
  return existsSync(path) ? path : existing(dirname(path));
}

export interface ProbePlace {
  /** Where an attempt's directory could be. */
  readonly workspace: string;
  /** `host` or a directory. */
  readonly images: readonly string[];
}

/**
 * Runs `true` in a real workspace with every limit: what the verdict calls weak is what this host cannot do. A host
 * without quota is no reason not to start: a stage that asks for it is told.
 */
export async function probeSandbox(slot: Slot, at: ProbePlace): Promise<Verdict> {
  const verdict = await probe(slot, at, PROBE_DISK_BYTES);
  if (!verdict.lacks.includes(NO_DISK_LIMIT)) return verdict;
  const without = await probe(slot, at, null);
  return { ...without, weak: [...without.weak, NO_DISK_LIMIT] };
}

async function probe(slot: Slot, { workspace, images }: ProbePlace, diskBytes: number | null): Promise<Verdict> {
  const never = new AbortController().signal;
  const source = join(workspace, "src");
  const options = runOptions({
    images,
    binds: [{ source, target: "/workspace", readOnly: false }],
    variables: {},
    cwd: "/",
    hostname: "probe",
    network: "none",
    places: [],
    allowWeak: [],
    limits: { memoryBytes: GIB, cpuMilli: 1_000, pids: 1_000, diskBytes, logBytes: 0 },
    wallMs: 30_000,
    graceMs: 0,
    silenceMs: null,
    masks: [],
  });
  const command = ["/bin/sh", "-c", "true"];
  const ends = { cancelled: never, abandoned: never };
  try {
    await mkdir(source, { recursive: true, mode: 0o755 });
    const { output, verdict } = await slot.run({ workspace, options, command, ...ends });
    output.resume();
    return await verdict;
  } finally {
    await slot.clear(workspace);
  }
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
