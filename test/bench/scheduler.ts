/** Stages that do nothing, through real coordinators, JetStream and executors' own code: what scheduling costs. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Report } from "./report.ts";
import { type CpuMs, Fleet, type StageTimes } from "./scheduler/fleet.ts";
import { withHistory } from "./scheduler/startup.ts";
import { percentile, tenths } from "./statistics.ts";

const STAGES_A_BUILD = 8;
const REPOSITORIES = 20;
/** Enough for compilers and caches to settle: a coordinator runs for weeks. */
const WARM_UP = 120;
const BUILDS = 300;
const PACED_MS = 10_000;
/** As long as the rarest of what a coordinator does by itself: its look for builds to archive. */
const IDLE_MS = 60_000;
const MATRIX = 256;
/** `TOROID_BENCH_COORDINATORS`: how many share the work. */
const COORDINATORS = Math.max(1, Number.parseInt(process.env["TOROID_BENCH_COORDINATORS"] ?? "1", 10) || 1);
/** Builds that are there before anything is measured; and for the start alone, `TOROID_BENCH_HISTORY` if not a million. */
const HISTORY = 100_000;
const LONG_HISTORY = Math.max(1_000, Number.parseInt(process.env["TOROID_BENCH_HISTORY"] ?? "", 10) || 1_000_000);
const FLEET = { coordinators: COORDINATORS, executors: 8, slots: 4 } as const;

/** Messages of a build of n stages on TOROID_RUN: plan and build 3 each, a stage 4, and one that settles it. */
function messagesOf(stages: number): number {
  return 6 + 5 * stages;
}

export async function benchScheduler(): Promise<Report> {
  const lazy = await throughput(false);
  const always = await throughput(true);
  const matrix = await matrixMs();
  const old = await withHistory(LONG_HISTORY);
  return {
    bench: "scheduler",
    figures: {
      stagesPerSecond: lazy.stagesPerSecond,
      stagesPerSecondAlwaysSync: always.stagesPerSecond,
      coordinatorCpuMsPerStage: lazy.cpuMsPerStage.coordinators,
      serverCpuMsPerStage: lazy.cpuMsPerStage.server,
      executorCpuMsPerStage: lazy.cpuMsPerStage.executors,
      benchCpuMsPerStage: lazy.cpuMsPerStage.bench,
      pushToClaimedMsP50: lazy.p50,
      pushToClaimedMsP99: lazy.p99,
      idleCpuPercent: lazy.idleCpuPercent,
      matrix256Ms: matrix,
      rssMB: lazy.rssMB,
      startupMsAt1MBuilds: old.startupMs,
      pageMsAt1MBuilds: old.pageMs,
      storeBytesABuild: old.bytesABuild,
    },
    ratios: {},
    setup: {
      ...FLEET,
      stagesABuild: STAGES_A_BUILD,
      repositories: REPOSITORIES,
      builds: BUILDS,
      history: HISTORY,
      longHistory: LONG_HISTORY,
      missing: [],
    },
  };
}

interface Throughput {
  readonly stagesPerSecond: number;
  readonly cpuMsPerStage: CpuMs;
  readonly p50: number;
  readonly p99: number;
  readonly idleCpuPercent: number;
  readonly rssMB: number;
}

async function throughput(syncAlways: boolean): Promise<Throughput> {
  await using fleet = await Fleet.start({ ...FLEET, syncAlways, history: HISTORY });
  await pushAll(fleet, WARM_UP);
  const before = await fleet.cpu();
  const beganMs = performance.now();
  await pushAll(fleet, BUILDS);
  const tookMs = performance.now() - beganMs;
  await fleet.atRest();
  const after = await fleet.cpu();
  const rssMB = Math.round((await fleet.rssBytes()) / 1_000_000);
  const stages = BUILDS * (STAGES_A_BUILD + 1);
  const perStage = (who: keyof CpuMs): number => Math.round(((after[who] - before[who]) / stages) * 100) / 100;
  const stagesPerSecond = (stages / tookMs) * 1_000;
  const paced = await pace(fleet, stagesPerSecond / 2);
  const idleCpuPercent = syncAlways ? Number.NaN : await idleness(fleet);
  return {
    stagesPerSecond: Math.round(stagesPerSecond),
    cpuMsPerStage: {
      coordinators: perStage("coordinators"),
      executors: perStage("executors"),
      server: perStage("server"),
      bench: perStage("bench"),
    },
    p50: tenths(percentile(paced, 0.5)),
    p99: tenths(percentile(paced, 0.99)),
    idleCpuPercent,
    rssMB,
  };
}

/** Of one processor, by one coordinator that has nothing to do. */
async function idleness(fleet: Fleet): Promise<number> {
  await fleet.atRest();
  const before = await fleet.cpu();
  await sleep(IDLE_MS);
  const cpuMs = (await fleet.cpu()).coordinators - before.coordinators;
  return tenths((cpuMs / IDLE_MS / COORDINATORS) * 100);
}

/** As fast as they are taken; resolves when all have ended. */
async function pushAll(fleet: Fleet, builds: number): Promise<void> {
  const target = (await fleet.runMessages()) + builds * messagesOf(STAGES_A_BUILD);
  let next = 0;
  const pusher = async (): Promise<void> => {
    while (next < builds) await fleet.push(`bench/r${next++ % REPOSITORIES}`, STAGES_A_BUILD);
  };
  await Promise.all(Array.from({ length: 8 }, pusher));
  await fleet.settled(target);
}

/** Builds at an even pace; from accepted to the claim of their first stage, in ms. */
async function pace(fleet: Fleet, stagesPerSecond: number): Promise<readonly number[]> {
  const everyMs = ((STAGES_A_BUILD + 1) / stagesPerSecond) * 1_000;
  const builds = Math.floor(PACED_MS / everyMs);
  const target = (await fleet.runMessages()) + builds * messagesOf(STAGES_A_BUILD);
  const beganMs = performance.now();
  const sent: Promise<void>[] = [];
  for (let n = 0; n < builds; n += 1) {
    await sleep(Math.max(0, beganMs + n * everyMs - performance.now()));
    sent.push(fleet.push(`bench/paced${n % REPOSITORIES}`, STAGES_A_BUILD));
  }
  await Promise.all(sent);
  await fleet.settled(target);
  const first = new Map<string, number>();
  for (const { build, acceptedMs, claimedMs } of await fleet.times()) {
    if (!build.startsWith("bench/paced") || acceptedMs === undefined || claimedMs === undefined) continue;
    first.set(build, Math.min(first.get(build) ?? Number.POSITIVE_INFINITY, claimedMs - acceptedMs));
  }
  return [...first.values()];
}

/** From the first of the matrix' stages queued to the last one claimed. */
async function matrixMs(): Promise<number> {
  await using fleet = await Fleet.start({ coordinators: COORDINATORS, executors: 32, slots: 1, syncAlways: false });
  await pushAll(fleet, WARM_UP);
  const target = (await fleet.runMessages()) + messagesOf(MATRIX);
  await fleet.push("bench/matrix", MATRIX);
  await fleet.settled(target);
  const stages = (await fleet.times()).filter(({ build }) => build === "bench/matrix#1");
  const times = (key: "queuedMs" | "claimedMs"): number[] => stages.map((one: StageTimes) => one[key] ?? Number.NaN);
  return tenths(Math.max(...times("claimedMs")) - Math.min(...times("queuedMs")));
}
