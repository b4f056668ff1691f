/** A host of a storm's own, and how much of workspaces is on it, counted from outside. */
import { mkdir, readdir, readFile, readlink, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { HELPER, makeCgroup } from "../abuse/rig.ts";
import { type Namespace, namespace } from "../support/namespace.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { until } from "../support/until.ts";

/** Where nothing answers: nobody asks for a name. */
export const RESOLVER = "10.99.0.53";

const UIDS = 65_536;
/** Below those that are chosen for runs that ask for none. */
const FIRST_BASE = 536_870_912;
const MOST_LANES = 64;

/** Everything that a workspace could leave; what is none of ours does not count. */
export interface Counts {
  readonly processes: readonly string[];
  readonly namespaces: number;
  readonly mounts: number;
  readonly cgroups: number;
  readonly scratches: readonly string[];
  readonly links: string;
  readonly rules: string;
}

export class StormRig implements AsyncDisposable {
  readonly host: Namespace;
  /** Where scratches are made. */
  readonly state: string;
  /** Where a pool of networks is made. */
  readonly net: string;
  readonly cgroup: string | null;
  readonly dir: string;
  readonly #temp: TempDir;
  /** First uids of the ranges that workspaces had. */
  readonly #bases = new Set<number>();

  private constructor(host: Namespace, temp: TempDir, cgroup: string | null) {
    this.host = host;
    this.dir = temp.path;
    this.#temp = temp;
    this.cgroup = cgroup;
    this.state = join(temp.path, "state");
    this.net = join(temp.path, "net");
  }

  static async start(): Promise<StormRig> {
    const rig = new StormRig(await namespace(), await tempDir("toroid-storm-"), await makeCgroup());
    await mkdir(rig.state, { mode: 0o700 });
    await mkdir(rig.net, { mode: 0o700 });
    return rig;
  }

  /** The words that start the helper on this host. */
  helper(...words: readonly string[]): readonly [string, ...string[]] {
    const [enter = "", ...rest] = this.host.enter;
    return [enter, ...rest, HELPER, ...words];
  }

  async run(...words: readonly string[]): Promise<string> {
    const [file, ...rest] = this.helper(...words);
    return (await execa(file, rest, { env: {} })).stdout;
  }

  get cgroupOptions(): readonly string[] {
    return this.cgroup === null ? [] : ["--cgroup", this.cgroup];
  }

  /** Uids for the workspaces of one lane, which no other test has. */
  uidBase(lane: number): number {
    const base = FIRST_BASE + ((process.pid % 256) * MOST_LANES + lane) * UIDS;
    this.#bases.add(base);
    return base;
  }

  /** A workspace had the uids from this one on. */
  hadUids(base: number): void {
    this.#bases.add(base);
  }

  /** From now on anybody may have them. */
  forgetUids(): void {
    this.#bases.clear();
  }

  async count(): Promise<Counts> {
    const ours = await this.#processes();
    const [namespaces, mounts, cgroups, scratches, links, rules] = await Promise.all([
      namespacesOf(ours.map(({ pid }) => pid)),
      this.#mounts(),
      this.#cgroups(),
      readdir(this.state),
      this.host.sh("ip -o link | cut -d: -f2 | cut -d@ -f1 | xargs"),
      this.host.sh("nft list ruleset"),
    ]);
    return { processes: ours.map(({ what }) => what), namespaces, mounts, cgroups, scratches, links, rules };
  }

  /** Those that have uids of a workspace, are in a cgroup of one, or name our directory. */
  async #processes(): Promise<readonly { readonly pid: string; readonly what: string }[]> {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const seen = await Promise.all(
      pids.map(async (pid) => {
        const [status, words, cgroup] = await Promise.all([
          text(pid, "status"),
          text(pid, "cmdline"),
          text(pid, "cgroup"),
        ]);
        const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? 0);
        const hasUid = [...this.#bases].some((base) => uid >= base && uid < base + UIDS);
        const isIn = this.cgroup !== null && cgroup.includes(`/${this.cgroup.split("/").at(-1)}/`);
        const what = `${pid} uid ${uid} ${words.replaceAll("\0", " ").slice(0, 120)}`;
        return hasUid || isIn || words.includes(`${this.dir}/`) ? { pid, what } : undefined;
      }),
    );
    return seen.filter((one) => one !== undefined);
  }

  /** In every mount namespace that a process is in, each counted once. */
  async #mounts(): Promise<number> {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const tables = new Set(await Promise.all(pids.map((pid) => text(pid, "mountinfo"))));
    return [...tables].flatMap((table) => table.split("\n")).filter((line) => line.includes(`${this.dir}/`)).length;
  }

  async #cgroups(): Promise<number> {
    if (this.cgroup === null) return 0;
    const entries = await readdir(this.cgroup, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).length;
  }

  /** After a failure too, so that it is the failure that is told: what still runs is killed, and collected. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { cgroup } = this;
    if (cgroup !== null) {
      await writeFile(join(cgroup, "cgroup.kill"), "1");
      await until("the last helper to go", async () => (await this.#processes()).length === 0, { withinMs: 30_000 });
      await this.run("gc", "--state", this.state, "--cgroup", cgroup);
      await rmdir(cgroup);
    }
    await this.host[Symbol.asyncDispose]();
    await this.#temp[Symbol.asyncDispose]();
  }
}

/** What is left once nothing is. */
export const NOTHING: Counts = {
  processes: [],
  namespaces: 0,
  mounts: 0,
  cgroups: 0,
  scratches: [],
  links: "lo",
  rules: "",
};

/** How many descriptors a process has open. */
export async function descriptorsOf(pid: number | "self"): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Those that are not also this process's. */
async function namespacesOf(pids: readonly string[]): Promise<number> {
  const own = new Set(await namespacesAt("self"));
  const all = (await Promise.all(pids.map(namespacesAt))).flat();
  return new Set(all.filter((name) => !own.has(name))).size;
}

async function namespacesAt(pid: string): Promise<readonly string[]> {
  const kinds = await readdir(`/proc/${pid}/ns`).catch(() => []);
  const names = await Promise.all(kinds.map((kind) => readlink(`/proc/${pid}/ns/${kind}`).catch(() => "")));
  return names.filter(Boolean);
}

async function text(pid: string, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
}

/** Runs one thing for each fate, so many side by side. */
export async function sideBySide<T>(
  things: readonly T[],
  width: number,
  run: (thing: T, lane: number) => Promise<void>,
): Promise<void> {
  const waiting = things.values();
  const lanes = Array.from({ length: width }, async (_, lane) => {
    for (const thing of waiting) await run(thing, lane);
  });
  const failed = (await Promise.allSettled(lanes)).find((lane) => lane.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
