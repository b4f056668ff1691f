/** A guest with the helper in it, and what its runs say. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, type TestContext } from "node:test";
import { execa } from "execa";
import { compileAttempts, type Outcome } from "../abuse/rig.ts";
import { missing, needs } from "../support/skips.ts";
import { tempDir } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { Guest, type Reply } from "../support/vm.ts";
import { PartsMissing } from "../support/vm-packages.ts";

/** For the hook that boots: the first time it downloads a kernel. */
export const BOOT = { timeout: 300_000 } as const;
/** For tests that start a lot: an emulated processor has a hard time on a busy machine. */
export const SLOW = { timeout: 120_000 } as const;

const HELPER = join(import.meta.dirname, "..", "..", "sandbox", "build", "toroid-sandbox");

/** Once per boot: controllers passed on as systemd passes them, a cgroup to give away, and a small root as an image. */
const SET_UP = `set -e
  echo "+cpu +io +memory +pids" > $CGROUPS/cgroup.subtree_control
  mkdir $DELEGATED $STATE
  chmod 711 $STATE
  mkdir -p /image/bin /image/etc /image/proc /image/dev /image/tmp /image/run /image/var
  cp -a /bin/. /image/bin/
  echo "root:x:0:0::/:/bin/sh" > /image/etc/passwd
  cat /proc/mounts > /run/mounts`;

export interface Done {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What the run of that name left. */
  readonly run: (name: string) => Outcome;
}

/** One guest for all tests of a suite, told to `take` before the first; after each nothing of its runs may be left. */
export function machineForAll(take: (machine: Machine) => void, boot = (): Promise<Machine> => Machine.boot()): void {
  let machine: Machine;
  before(async () => {
    machine = await boot();
    take(machine);
  }, BOOT);
  afterEach(() => machine.assertClean());
  after(() => machine[Symbol.asyncDispose]());
}

export class Machine implements AsyncDisposable {
  readonly #guest: Guest | undefined;
  readonly #prelude: string;
  /** Why there is no guest, as a sentence for a skip. */
  readonly #why: string | undefined;

  private constructor(guest: Guest | undefined, prelude: string, why: string | undefined) {
    this.#guest = guest;
    this.#prelude = prelude;
    this.#why = why;
  }

  /**
   * @param more files, by their place in the guest, from where
   * @param drivers that it loads besides those of every guest
   */
  static async boot(
    more: () => Promise<Readonly<Record<string, string>>> = async () => ({}),
    drivers: readonly string[] = [],
  ): Promise<Machine> {
    const prelude = await readFile(join(import.meta.dirname, "prelude.sh"), "utf8");
    if (process.arch !== "x64") return new Machine(undefined, prelude, undefined);
    const why = missing({ path: HELPER, program: "cc" }) ?? (await whyNotStatic());
    if (why !== undefined) return new Machine(undefined, prelude, why);
    await using programs = await tempDir("toroid-vm-programs-");
    try {
      const attempts = await compileAttempts(programs.path);
      const load = await compileLoad(programs.path);
      const ours = { "bin/toroid-sandbox": HELPER, "bin/attempts": join(attempts, "attempts"), "bin/load": load };
      const files = { ...ours, ...(await more()) };
      const machine = new Machine(await Guest.boot({ files, drivers }), prelude, undefined);
      return await machine.#setUp();
    } catch (error) {
      if (error instanceof PartsMissing) return new Machine(undefined, prelude, error.message);
      throw error;
    }
  }

  async #setUp(): Promise<Machine> {
    try {
      const { code, stderr } = await this.sh(SET_UP);
      assert.equal(code, 0, stderr);
      return this;
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** False when the test is skipped. */
  ready(t: TestContext): boolean {
    return needs(t, { x64: true, other: this.#why });
  }

  get release(): string {
    return this.#guest?.release ?? "";
  }

  /** Runs a script in the guest, after the prelude, and gives what it and its runs said. */
  async sh(script: string, { withinMs = 40_000 } = {}): Promise<Done> {
    assert.ok(this.#guest, "there is no guest");
    const reply = await this.#guest.sh(`${this.#prelude}\n${script}`, { withinMs });
    const text = (name: string): string => reply.files.get(name) ?? "";
    return {
      code: reply.code,
      stdout: text("stdout"),
      stderr: text("stderr"),
      run: (name) => outcomeOf(reply, name),
    };
  }

  /** Fails unless nothing of any run is left: no cgroup, no scratch, no mount, no process. */
  async assertClean(): Promise<void> {
    if (this.#guest === undefined) return;
    let left = "";
    const isClean = async (): Promise<boolean> => {
      left = (await this.sh("traces")).stdout;
      return left === "";
    };
    await until("the guest to be clean", isClean, { withinMs: 10_000, everyMs: 100 }).catch(() =>
      assert.equal(left, "", "left in the guest"),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guest?.[Symbol.asyncDispose]();
  }
}

/** As `assert.deepEqual` likes it. */
export function summary({ code, exit }: Outcome): unknown[] {
  return [code, exit?.code, exit?.signal, exit?.reason];
}

export function stat(outcome: Outcome, name: string): number {
  const value = outcome.exit?.stats[name];
  assert.equal(typeof value, "number", `${name} in ${JSON.stringify(outcome.exit)}`);
  return value ?? Number.NaN;
}

function outcomeOf({ files }: Reply, name: string): Outcome {
  const text = (kind: string): string => files.get(`${name}.${kind}`) ?? "";
  const events = text("status").split("\n").filter(Boolean).map(decode);
  const find = <K extends Event["event"]>(kind: K): Extract<Event, { event: K }> | undefined =>
    events.find((event): event is Extract<Event, { event: K }> => event.event === kind);
  return {
    code: text("code") === "" ? undefined : Number(text("code")),
    stdout: text("out"),
    stderr: text("err"),
    created: find("created"),
    started: find("started"),
    exit: find("exit"),
    gone: find("gone"),
  };
}

type Event = NonNullable<Outcome["created" | "started" | "exit" | "gone"]>;

function decode(line: string): Event {
  const event: Event = JSON.parse(line);
  assert.ok(["created", "started", "exit", "gone"].includes(event.event), line);
  return event;
}

/** In the guest there is no C library to link to. */
async function whyNotStatic(): Promise<string | undefined> {
  const isDynamic = (await readFile(HELPER, "latin1")).includes("/ld-linux");
  return isDynamic ? "needs a static C library, to have a helper for the guest" : undefined;
}

async function compileLoad(dir: string): Promise<string> {
  const program = join(dir, "load");
  const source = join(import.meta.dirname, "load.c");
  await execa("cc", ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-static", "-pthread", "-o", program, source]);
  return program;
}
