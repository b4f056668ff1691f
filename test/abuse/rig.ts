/** The real sandbox for tests: one directory of scratches, one cgroup, and both must be empty at the end. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rmdir, stat, statfs } from "node:fs/promises";
import { join, resolve } from "node:path";
import { execa } from "execa";
import { type TempDir, tempDir } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { allowWeak } from "../support/weak.ts";

const ROOT = join(import.meta.dirname, "..", "..");
/** `TOROID_SANDBOX_BIN=sandbox/build/san/toroid-sandbox` runs the same tests over the sanitized build. */
export const HELPER = resolve(ROOT, process.env["TOROID_SANDBOX_BIN"] ?? "sandbox/build/toroid-sandbox");
export const NEEDS = { root: true, path: HELPER } as const;
const CGROUP2_MAGIC = 0x63677270;

export interface Created {
  readonly event: "created";
  readonly cgroup: string | null;
  readonly network: string;
  readonly uidBase: number;
  readonly limits: Readonly<Record<string, string>>;
  readonly weak: readonly string[];
  readonly singleUidMessage?: string;
  /** How many places an allow list has. */
  readonly allowed?: number;
}
export interface Started {
  readonly event: "started";
  readonly pid: number;
  readonly setupUs: Readonly<Record<string, number>>;
  readonly setupTotalUs: number;
  readonly weak?: readonly string[];
}
export interface Exit {
  readonly event: "exit";
  readonly code: number | null;
  readonly signal: number | null;
  readonly reason: string;
  readonly message: string;
  readonly step?: string;
  readonly lacks?: readonly string[];
  readonly stats: Readonly<Record<string, number | null>>;
  /** With the reason `oom`: which process was chosen. */
  readonly culprit?: string | null;
}
export interface Gone {
  readonly event: "gone";
  readonly leftoverProcesses: number;
  readonly teardownUs: number;
}
type Event = Created | Started | Exit | Gone;

export interface Outcome {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly created: Created | undefined;
  readonly started: Started | undefined;
  readonly exit: Exit | undefined;
  readonly gone: Gone | undefined;
}

export interface Running extends AsyncDisposable {
  readonly pid: number;
  readonly scratch: string;
  readonly outcome: Promise<Outcome>;
  /** The first event of that kind, once it has been written. */
  heard<K extends Event["event"]>(kind: K): Promise<Extract<Event, { event: K }>>;
  /** Waits until the command has printed `text`. */
  printed(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

export interface Options {
  /** The image; `host` unless said. */
  readonly image?: string;
  readonly scratch?: string;
  /** Written to a descriptor that is given as `--args`, each ended by NUL. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** In place of the rig's. */
  readonly where?: readonly string[];
  /** Words before the helper's, in place of the rig's. */
  readonly within?: readonly string[];
}

export interface Rig extends AsyncDisposable {
  readonly dir: string;
  /** The cgroup that every run of this rig is made below; null where there is no cgroup v2. */
  readonly cgroup: string | null;
  /** Options that every run here needs: its cgroup, and leave for what this machine cannot hold. */
  readonly where: readonly string[];
  scratch(): Promise<string>;
  start(options: readonly string[], argv: readonly string[], more?: Options): Promise<Running>;
  run(options: readonly string[], argv: readonly string[], more?: Options): Promise<Outcome>;
  /** Runs a line of shell inside. */
  sh(line: string, options?: readonly string[], more?: Options): Promise<Outcome>;
  /** Fails unless nothing of any run is left: no process, no cgroup, no scratch. */
  assertClean(): Promise<void>;
}

/**
 * @param within words before the helper's, that start it elsewhere: `nsenter …`
 * @param theirs a cgroup of somebody else's in which runs are, or none; unless given one is made
 */
export async function rig(within: readonly string[] = [], theirs?: string | null): Promise<Rig> {
  const temp = await tempDir("toroid-sandbox-");
  if (theirs !== undefined) return new RealRig(temp, theirs, within, false);
  return new RealRig(temp, await makeCgroup(), within, true);
}

const UIDS = 65_536;
let kept = 0;

/**
 * A scratch that is kept goes on under the same uids, which nobody holds between two runs: test files run side by side,
 * so each such scratch has a range that no other run is given.
 */
function ownUids(options: readonly string[], scratch: string): readonly string[] {
  const chooses = options.includes("--keep-scratch") && !options.includes("--uid-base");
  if (!chooses || existsSync(join(scratch, "lock"))) return [];
  kept += 1;
  return ["--uid-base", String(UIDS * (1_000 + ((process.pid * 16 + kept) % 27_000)))];
}

class RealRig implements Rig {
  readonly dir: string;
  readonly cgroup: string | null;
  readonly #temp: TempDir;
  readonly #within: readonly string[];
  readonly #ownsCgroup: boolean;

  constructor(temp: TempDir, cgroup: string | null, within: readonly string[], ownsCgroup: boolean) {
    this.#ownsCgroup = ownsCgroup;
    this.#temp = temp;
    this.#within = within;
    this.dir = temp.path;
    this.cgroup = cgroup;
  }

  get where(): readonly string[] {
    return [...(this.cgroup === null ? [] : ["--cgroup", this.cgroup]), ...allowWeak()];
  }

  async scratch(): Promise<string> {
    return mkdtemp(join(this.dir, "scratch-"));
  }

  async start(options: readonly string[], argv: readonly string[], more: Options = {}): Promise<Running> {
    const scratch = more.scratch ?? (await this.scratch());
    const words = ["--image", more.image ?? "host", "--scratch", scratch, "--json-status-fd", "3"];
    words.push(...(more.where ?? this.where));
    const within = more.within ?? this.#within;
    if (within.length === 0) words.push(...ownUids(options, scratch));
    if (more.args !== undefined) words.push("--args", "4");
    return launch([...within, HELPER, "run", ...words, ...options, "--", ...argv], scratch, more);
  }

  async run(options: readonly string[], argv: readonly string[], more: Options = {}): Promise<Outcome> {
    return (await this.start(options, argv, more)).outcome;
  }

  async sh(line: string, options: readonly string[] = [], more: Options = {}): Promise<Outcome> {
    return this.run(options, ["/bin/sh", "-c", line], more);
  }

  async assertClean(): Promise<void> {
    await until("every process of a run to be gone", async () => (await this.#processes()) === 0);
    await until("every cgroup of a run to be gone", async () => (await this.#cgroups()).length === 0);
    await until(
      "what is deleted in the background to be gone",
      async () => !(await this.#names(".toroid-trash-")).length,
    );
    assert.deepEqual(await this.#names("scratch-"), []);
  }

  async #names(prefix: string): Promise<string[]> {
    return (await readdir(this.dir)).filter((name) => name.startsWith(prefix));
  }

  async #cgroups(): Promise<string[]> {
    if (this.cgroup === null) return [];
    const entries = await readdir(this.cgroup, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  }

  async #processes(): Promise<number> {
    const counts = (await this.#cgroups()).map(async (name) => {
      const procs = await readFile(join(this.cgroup ?? "", name, "cgroup.procs"), "utf8").catch(() => "");
      return procs.split("\n").filter(Boolean).length;
    });
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.assertClean();
    } finally {
      await this.#temp[Symbol.asyncDispose]();
      if (this.cgroup !== null && this.#ownsCgroup) await rmdir(this.cgroup);
    }
  }
}

function launch([program = "", ...words]: readonly string[], scratch: string, more: Options): Running {
  const given = (more.args ?? []).map((word) => `${word}\0`).join("");
  const child = execa(program, words, {
    reject: false,
    stdio: ["ignore", "pipe", "pipe", "pipe", new TextEncoder().encode(given)],
    ...(more.env === undefined ? {} : { env: more.env }),
    stripFinalNewline: false,
    maxBuffer: 256 * 1024 * 1024,
  });
  const lines = { out: "", status: "" };
  child.stdout.on("data", (chunk: Buffer) => (lines.out += chunk.toString("latin1")));
  const status = child.stdio[3];
  assert.ok(status !== null && "on" in status);
  status.on("data", (chunk: Buffer) => (lines.status += chunk.toString("utf8")));
  const events = (): Event[] => lines.status.split("\n").filter(Boolean).map(decode);
  const find = <K extends Event["event"]>(kind: K): Extract<Event, { event: K }> | undefined =>
    events().find((event): event is Extract<Event, { event: K }> => event.event === kind);
  const outcome = child.then((result) => ({
    code: result.exitCode,
    stdout: result.stdout,
    stderr: result.stderr,
    created: find("created"),
    started: find("started"),
    exit: find("exit"),
    gone: find("gone"),
  }));
  return {
    pid: child.pid ?? 0,
    scratch,
    outcome,
    heard: (kind) => until(`the event ${kind}`, () => find(kind)),
    printed: async (text) => void (await until(`the output ${text}`, () => lines.out.includes(text))),
    kill: (signal) => void child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await outcome;
    },
  };
}

function decode(line: string): Event {
  const event: Event = JSON.parse(line);
  assert.ok(["created", "started", "exit", "gone"].includes(event.event), line);
  return event;
}

/** Ours, so that what is left in it at the end is ours to answer for. */
export async function makeCgroup(): Promise<string | null> {
  for (const mount of ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]) {
    if (!existsSync(join(mount, "cgroup.procs"))) continue;
    if ((await statfs(mount)).type !== CGROUP2_MAGIC) continue;
    const path = join(mount, `toroid-test-${process.pid}-${randomBytes(4).toString("hex")}`);
    await mkdir(path);
    return path;
  }
  return null;
}

/** A root file system of one's own with nothing in it but the attempts: what hostile images are made from. */
export async function makeImage(dir: string): Promise<string> {
  const image = await mkdtemp(join(dir, "image-"));
  await chmod(image, 0o755);
  for (const name of ["proc", "dev", "tmp", "run", "etc"]) await mkdir(join(image, name));
  await copyFile(join(await compileAttempts(dir), "attempts"), join(image, "attempts"));
  return image;
}

/** The programs of `attempts.c`, in a directory that can be bound into a sandbox; undefined without a C compiler. */
export async function compileAttempts(dir: string): Promise<string> {
  const folder = join(dir, "attempts");
  await mkdir(folder, { recursive: true });
  const source = join(import.meta.dirname, "attempts.c");
  if (!existsSync(join(folder, "attempts")))
    await execa("cc", ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-static", "-o", join(folder, "attempts"), source]);
  await chmod(folder, 0o755);
  return folder;
}

export async function ownerOf(path: string): Promise<string> {
  const { uid, gid } = await stat(path);
  return `${uid}:${gid}`;
}
