import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdir, readFile, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after as afterAll, before as beforeAll } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

/** Every process that a test starts inherits it, and its children in turn, however far they run from their parents. */
const MARK = "TOROID_TEST_MARK";
const CGROUP_DEPTH = 5;

/** What was there before: made by `snapshot`, asked about by `assertNoLeaks`. */
export interface Snapshot {
  readonly scope: Scope;
  readonly mark: string;
  readonly things: ReadonlySet<string>;
}

/**
 * `file`: this test file alone; others may run beside it. `run`: a whole test run, to which the system's temp
 * directory (`TMPDIR`) belongs.
 */
export type Scope = "file" | "run";

/**
 * Notes what is there now, and marks the processes that are started from here on. Only what is ours counts: processes
 * with our mark or with our directories on their command line, our temp directories, mounts inside them, and cgroups
 * and network interfaces named `toroid*`.
 */
export async function snapshot(scope: Scope = "file"): Promise<Snapshot> {
  const mark = `${process.env[MARK] ?? ""}/${randomUUID()}`;
  process.env[MARK] = mark;
  return { scope, mark, things: new Set(await look(scope, mark)) };
}

/** Waits until nothing is there that was not there `before`; fails with a list of what stayed. */
export async function assertNoLeaks(before: Snapshot, { withinMs = 5_000 } = {}): Promise<void> {
  const left = await leaksSince(before, { withinMs });
  assert.ok(left.length === 0, `still here after ${withinMs} ms:\n${left.map((thing) => `  ${thing}`).join("\n")}`);
}

/** Of a whole test file: after the last test nothing may be there that was not there before the first. */
export function noLeaksAfterAll(o: { readonly withinMs?: number } = {}): void {
  let leaks: Snapshot;
  beforeAll(async () => {
    leaks = await snapshot();
  });
  afterAll(() => assertNoLeaks(leaks, o));
}

/** What is there that was not there `before`, once it has had the time to go. */
export async function leaksSince(before: Snapshot, { withinMs = 5_000 } = {}): Promise<readonly string[]> {
  const deadline = performance.now() + withinMs;
  // Of things that anybody on this machine may make, only those count that stayed all the time.
  let left = await newSince(before);
  while (left.length > 0 && performance.now() < deadline) {
    await sleep(25);
    const now = new Set(await newSince(before));
    left = isOver(deadline) ? left.filter((thing) => now.has(thing)) : merged(left, now);
  }
  return left;
}

/** Kills what was started since `before` and still runs. */
export async function killSince(before: Snapshot): Promise<void> {
  for (const thing of await newSince(before)) {
    const pid = /^process (\d+): /.exec(thing)?.[1];
    if (pid === undefined) continue;
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }
}

async function newSince({ scope, mark, things }: Snapshot): Promise<string[]> {
  return (await look(scope, mark)).filter((thing) => !things.has(thing));
}

/** Ours may still come (a dying parent's children); everybody's must have been there from the start. */
function merged(left: readonly string[], now: ReadonlySet<string>): string[] {
  const shared = (thing: string): boolean => thing.startsWith("cgroup ") || thing.startsWith("interface ");
  return [...now].filter((thing) => !shared(thing) || left.includes(thing));
}

function isOver(deadline: number): boolean {
  return performance.now() >= deadline;
}

async function look(scope: Scope, mark: string): Promise<string[]> {
  const ours = scope === "run" ? `${tmpdir()}/` : `-${process.pid}-`;
  const found = await Promise.all([
    processes(mark, ours),
    mounts(ours),
    tempDirs(scope, ours),
    named("cgroup", "/sys/fs/cgroup", CGROUP_DEPTH),
    named("interface", "/sys/class/net", 1),
  ]);
  return found.flat().sort();
}

async function processes(mark: string, ours: string): Promise<string[]> {
  const ids = (await names("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const seen = await Promise.all(ids.map((id) => describeIfOurs(id, mark, ours)));
  return seen.filter((line) => line !== undefined);
}

async function describeIfOurs(id: string, mark: string, ours: string): Promise<string | undefined> {
  const [environment, words] = await Promise.all([text(`/proc/${id}/environ`), text(`/proc/${id}/cmdline`)]);
  const marked = environment.split("\0").some((entry) => entry.startsWith(`${MARK}=${mark}`));
  const touching = words.includes("toroid-") && words.includes(ours);
  if (!marked && !touching) return undefined;
  const folder = await readlink(`/proc/${id}/cwd`).catch(() => "?");
  return `process ${id}: ${words.split("\0").join(" ").trim().slice(0, 160)} (in ${folder})`;
}

async function mounts(ours: string): Promise<string[]> {
  const points = (await text("/proc/self/mountinfo")).split("\n").map((line) => line.split(" ")[4] ?? "");
  return points.filter((point) => point.includes("toroid-") && point.includes(ours)).map((point) => `mount ${point}`);
}

async function tempDirs(scope: Scope, ours: string): Promise<string[]> {
  const entries = await names(tmpdir());
  return entries
    .filter((name) => name.startsWith("toroid-") && (scope === "run" || name.includes(ours)))
    .map((name) => `temp ${join(tmpdir(), name)}`);
}

/** Directories below `root` with `toroid` at the start of their name. A cgroup with processes in it is theirs to answer for. */
async function named(kind: string, root: string, depth: number): Promise<string[]> {
  if (depth === 0) return [];
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((entry) => entry.isDirectory() || (depth === 1 && entry.isSymbolicLink()));
  const below = await Promise.all(
    folders.map(async ({ name }) => {
      const path = join(root, name);
      if (!name.startsWith("toroid")) return named(kind, path, depth - 1);
      return (await isPopulated(path)) ? [] : [`${kind} ${path}`];
    }),
  );
  return below.flat();
}

async function isPopulated(cgroup: string): Promise<boolean> {
  const events = await text(join(cgroup, "cgroup.events"));
  return events === "" ? (await text(join(cgroup, "cgroup.procs"))) !== "" : events.includes("populated 1");
}

async function names(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

async function text(file: string): Promise<string> {
  return readFile(file, "utf8").catch(() => "");
}
