/**
 * Start to end of `/bin/true` in a Debian image, with all that the sandbox has, beside what others need for it: every
 * case in turn in one loop. One small C program starts them all, so that nothing of Node is in the figures. `ours` goes
 * through `serve`, as an executor's do; `run` is the command that a person types.
 */
import { mkdir, rmdir } from "node:fs/promises";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import { sentenceOf } from "../../protocol/errors.ts";
import { makeCgroup } from "../abuse/rig.ts";
import { debianImage } from "../support/debian.ts";
import { type Engine, Engines } from "../support/docker.ts";
import { namespace } from "../support/namespace.ts";
import { tempDir } from "../support/temp.ts";
import { until } from "../support/until.ts";
import type { Report } from "./report.ts";
import { type Case, Driver, type Times } from "./sandbox/driver.ts";
import { describe, runCase, startPool, startServe } from "./sandbox/ours.ts";
import { hasBothCgroups, PEERS, type Peer, type Task, tidyUp } from "./sandbox/peers.ts";
import { makePlace } from "./sandbox/place.ts";
import { type Loops, loopFigures, ratios, startFigures } from "./sandbox/results.ts";

const ROUNDS = 100;
const LOOP_ROUNDS = 200;
/** Of each case, not counted. */
const WARM_UP = 3;
const DESCRIBED = 20;
const LIMITS = { memoryBytes: 1 << 30, pids: 1_000 } as const;
export async function benchSandbox(): Promise<Report> {
  await using stack = new AsyncDisposableStack();
  const bench = new Bench(stack);
  if (process.getuid?.() !== 0) bench.missing.push("everything: it needs root");
  else await bench.attempt("everything", () => bench.measure());
  return bench.report();
}

class Bench {
  readonly missing: string[] = [];
  readonly #stack: AsyncDisposableStack;
  readonly #peers: Peer[] = [];
  #times: Times = new Map();
  #loops: Loops | undefined;
  #setup: Readonly<Record<string, unknown>> = {};

  constructor(stack: AsyncDisposableStack) {
    this.#stack = stack;
  }

  /** Something that this machine may lack: then it is named, with the reason. */
  async attempt<T>(name: string, make: () => Promise<T>): Promise<T | undefined> {
    try {
      return await make();
    } catch (error) {
      this.missing.push(`${name}: ${sentenceOf(error)}`);
      return undefined;
    }
  }

  async measure(): Promise<void> {
    const dir = this.#stack.use(await tempDir("toroid-bench-")).path;
    const cgroup = await this.#makeCgroup();
    const place = this.#stack.use(await makePlace(dir));
    const driver = await Driver.build(dir, place);
    const task = await this.#makeTask(dir);
    const run = runCase("run", task, cgroup, ["--network", "none"]);
    const cases = [run];

    const pool = await this.attempt("runFull", () => startPool(task, place, cgroup));
    if (pool !== undefined) cases.push(this.#stack.use(pool).full);
    const serve = await this.attempt("serve", () => startServe(task, place, cgroup));
    if (serve !== undefined) {
      this.#stack.use(serve);
      cases.push(serve.case("ours", 0, "none"), serve.case("networkFull", 0, "full"));
    }
    for (const [name, make] of Object.entries(PEERS)) {
      const peer = await this.attempt(name, async () => {
        await mkdir(join(dir, name));
        return make(task, driver);
      });
      if (peer === undefined) continue;
      this.#peers.push(peer);
      cases.push(peer.case);
    }
    this.#stack.defer(() => tidyUp(this.#peers, task));
    this.#times = await this.#run(driver, await this.#thatWork(driver, cases), ROUNDS);
    if (serve !== undefined)
      this.#loops = await this.#runLoops(driver, [serve.case("first", 0, "none"), serve.case("second", 1, "none")]);
    this.#setup = { ...machine(), scratch: place.disk, ...(await describe(place, run, DESCRIBED)) };
  }

  async #makeCgroup(): Promise<string | null> {
    const cgroup = await makeCgroup();
    this.#stack.defer(async () => {
      if (cgroup !== null) await until("the last cgroup to go", () => rmdir(cgroup).then(() => true));
    });
    return cgroup;
  }

  async #makeTask(dir: string): Promise<Task> {
    const hidden = hasBothCgroups() ? this.#stack.use(await namespace()) : undefined;
    await hidden?.sh("umount -l /sys/fs/cgroup/unified");
    const wanted = process.env["TOROID_BENCH_DOCKER"] === "1";
    const engine = wanted ? await this.attempt("docker", () => this.#startEngine(dir)) : undefined;
    return {
      dir,
      image: await debianImage(),
      command: ["/bin/true"],
      ...LIMITS,
      ...(hidden === undefined ? {} : { onlyCgroup1: `/proc/${hidden.pid}/ns/mnt` }),
      ...(engine === undefined ? {} : { docker: engine.client }),
    };
  }

  async #startEngine(dir: string): Promise<Engine> {
    const cgroup = `toroid-bench-docker-${process.pid}`;
    const engines = this.#stack.use(new Engines({ dir: join(dir, "engine"), cgroup }));
    return this.#stack.use(await engines.start("none"));
  }

  /** Names what failed, and answers with the rest. */
  async #run(driver: Driver, cases: readonly Case[], rounds: number): Promise<Times> {
    const { times, failed } = await driver.run(cases, rounds);
    for (const [name, why] of failed) this.missing.push(`${name}: ${why}`);
    return times;
  }

  /** Each alone, so that it says in its own words why it does not work here; those that go on are warm. */
  async #thatWork(driver: Driver, cases: readonly Case[]): Promise<readonly Case[]> {
    const working: Case[] = [];
    for (const one of cases) {
      if ((await this.#run(driver, [one], WARM_UP)).size > 0) working.push(one);
    }
    return working;
  }

  /** One loop alone, then two side by side. */
  async #runLoops(driver: Driver, [first, second]: readonly [Case, Case]): Promise<Loops | undefined> {
    const one = await this.#run(driver, [first], LOOP_ROUNDS);
    const two = await Promise.all([first, second].map((each) => this.#run(driver, [each], LOOP_ROUNDS)));
    const us = [one, ...two].map((times) => [...times.values()].flat());
    return us.some((each) => each.length === 0) ? undefined : { one: us[0] ?? [], two: us.slice(1) };
  }

  report(): Report {
    const peers = this.#peers.filter((peer) => this.#times.has(peer.case.name));
    const figures = { ...startFigures(this.#times), ...(this.#loops === undefined ? {} : loopFigures(this.#loops)) };
    return {
      bench: "sandbox",
      figures,
      ratios: ratios(figures),
      setup: {
        ...this.#setup,
        peers: Object.fromEntries(peers.map((peer) => [peer.case.name, peer.is])),
        missing: this.missing,
      },
    };
  }
}

function machine(): Readonly<Record<string, unknown>> {
  return {
    runs: ROUNDS,
    image: "a directory: Debian bookworm, minbase",
    kernel: release(),
    cpus: cpus().length,
    load: loadavg()[0]?.toFixed(1),
  };
}
