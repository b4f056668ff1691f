/**
 * Two coordinators and two executors, of which one dies at each named point in turn while there is work: when it is quiet
 * again, every push has one build, every stage one end, every lane its order.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { headers } from "nats";
import { setTimer } from "../../coordinator/projections/timers.ts";
import { CRASH_POINTS, type CrashPoint } from "../../kit/crash-points.ts";
import { STAGE_HEADER, stageHeader } from "../../protocol/dead-command.ts";
import { PLAN_STAGE, type StageId } from "../../protocol/ids.ts";
import { commandSubject, stageRunSubject } from "../../protocol/subjects.ts";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";
import { faultsIn } from "./random/check.ts";
import { Fleet } from "./random/fleet.ts";
import type { Member } from "./random/member.ts";
import { type Plan, REPOSITORIES } from "./random/plan.ts";
import type { Deed } from "./random/world.ts";

const LIMIT = { timeout: 900_000 };
/** How often what leads there is done before it counts as never reached: the other one may be the faster. */
const ROUNDS = 6;
const ROUND_MS = 10_000;
const AWAY_MS = 12_000;
const SIZE = { coordinators: 2, executors: 2 };
noLeaksAfterAll({ withinMs: 30_000 });

/** One push of each repository a round, for as many rounds as there can be. */
const PLAN: Plan = {
  seed: 1,
  size: { ...SIZE, pushes: 0 },
  pushes: Array.from({ length: ROUNDS * CRASH_POINTS.length }, (_, commit) =>
    REPOSITORIES.map(({ name }) => ({ repository: name, commit, copies: 1, late: 0 })),
  ).flat(),
  steps: [],
};
const ENDED: StageId = { repository: "acme/library", number: 1, stage: PLAN_STAGE, round: 1 };

/** A command that no executor can read, of a stage that has ended long ago. */
async function poison({ jet }: Fleet): Promise<void> {
  const header = headers();
  header.set(STAGE_HEADER, stageHeader(stageRunSubject(ENDED), 1));
  await jet.js.publish(commandSubject("default", "work", ENDED.repository), "no msgpack", { headers: header });
}

/** The host of a deployment that may not be repeated dies in the middle of it. */
async function loseDeployment(fleet: Fleet, push: () => Promise<void>): Promise<void> {
  const isOnce = ({ repository }: Deed): boolean => repository === "acme/every";
  const occasion = fleet.world.onNextBegin(isOnce, async (deed) => {
    const { member } = await fleet.holderOf({ ...deed, round: 1 });
    fleet.note(`${member?.name ?? "nobody"} dies in ${deed.stage} of #${deed.number}`);
    member?.kill(AWAY_MS);
  });
  await push();
  await occasion;
}

/** More than executors have room for. */
async function pushMuch(_fleet: Fleet, push: () => Promise<void>): Promise<void> {
  for (let times = 0; times < 6; times += 1) await push();
}

interface Way {
  /** Who is to die there; one of them does. */
  readonly doomed: (fleet: Fleet) => readonly Member[];
  /** What leads there; done again until somebody has died. */
  readonly lead: (fleet: Fleet, push: () => Promise<void>) => Promise<void>;
}

const first = (kind: "coordinator" | "executor"): Way["doomed"] => {
  return (fleet) => [fleet.member({ kind, index: 0 })];
};
const all = (kind: "coordinator" | "executor"): Way["doomed"] => {
  return (fleet) => fleet.members.filter(({ who }) => who.kind === kind);
};
const COORDINATOR: Way = { doomed: first("coordinator"), lead: (_fleet, push) => push() };
const EXECUTOR: Way = { doomed: first("executor"), lead: (_fleet, push) => push() };

const WAYS: Readonly<Record<(typeof CRASH_POINTS)[number], Way>> = {
  "coordinator-after-accepted": COORDINATOR,
  "coordinator-after-append": COORDINATOR,
  "coordinator-before-dispatch": COORDINATOR,
  "coordinator-after-dispatch": COORDINATOR,
  // Only who has the lease sends what had to wait.
  "coordinator-before-release": { doomed: all("coordinator"), lead: pushMuch },
  "coordinator-after-admitted": COORDINATOR,
  "coordinator-after-leave": COORDINATOR,
  // Only who has the lease looks after timers.
  "coordinator-after-overdue": { doomed: all("coordinator"), lead: ({ jet }) => setTimer(jet, ENDED, 0, 1_000_000) },
  "coordinator-before-bury": { doomed: first("coordinator"), lead: poison },
  "coordinator-after-effects": COORDINATOR,
  "executor-before-claim": EXECUTOR,
  "executor-after-claim": EXECUTOR,
  "executor-after-started": EXECUTOR,
  "executor-after-publishing": EXECUTOR,
  "executor-before-finish": EXECUTOR,
  "executor-after-finish": EXECUTOR,
  "executor-after-give-up": { doomed: all("executor"), lead: loseDeployment },
};

async function dieAt(fleet: Fleet, { doomed, lead }: Way, point: CrashPoint, push: () => Promise<void>): Promise<void> {
  const members = doomed(fleet);
  const deaths = (): number => members.reduce((sum, one) => sum + one.crashes, 0);
  const deathsBefore = deaths();
  for (const one of members) one.crashAt(point, 1);
  await Promise.all(members.map((one) => one.ready()));
  for (let round = 1; deaths() === deathsBefore; round += 1) {
    assert.ok(round <= ROUNDS, `nobody came to ${point}`);
    await lead(fleet, push);
    await until("somebody to die", () => deaths() > deathsBefore, { withinMs: ROUND_MS * round }).catch(() => null);
  }
}

test("whoever dies at whichever point, nothing is done twice and nothing is lost", LIMIT, async (t) => {
  if (!needs(t, { root: true })) return;
  await using fleet = await Fleet.start(PLAN);
  const stop = new AbortController();
  const attending = fleet.operator.attend(stop.signal);
  const pushes = PLAN.pushes.values();
  const push = async (): Promise<void> => {
    for (const _ of REPOSITORIES) {
      const { value } = pushes.next();
      if (value !== undefined) await fleet.push(value);
    }
  };
  await push();
  for (const point of CRASH_POINTS) {
    await t.test(point, LIMIT, async () => {
      fleet.note(point);
      await dieAt(fleet, WAYS[point], point, push);
    });
  }
  const restless = await fleet.quiet();
  stop.abort();
  await attending;
  const ends = await fleet.leave();
  const evidence = { truth: await fleet.truth(), deeds: fleet.world.deeds, pushed: fleet.pushed };
  const faults = [restless, ...faultsIn(evidence), ...ends].filter((fault) => fault !== null);
  if (faults.length > 0) assert.fail(`${faults.join("\n")}\nlogs and journal are in ${await fleet.keep()}`);
});
