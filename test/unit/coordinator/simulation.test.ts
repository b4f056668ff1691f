import assert from "node:assert/strict";
import { test } from "node:test";
import { isComplete, roundsOf, settledOf } from "../../../coordinator/actors/build/rounds.ts";
import { buildActor } from "../../../coordinator/actors/build.ts";
import { environmentActor, fenceOf } from "../../../coordinator/actors/environment.ts";
import { stageActor } from "../../../coordinator/actors/stage.ts";
import { decode } from "../../../protocol/codec.ts";
import type { LaneEvent, PushEvent, StageEvent } from "../../../protocol/events.ts";
import { formatBuild, formatStage, type StageId } from "../../../protocol/ids.ts";
import type { Plan } from "../../../protocol/pipeline/plan.ts";
import { laneSubject, parseRunSubject, pushSubject, summarySubject } from "../../../protocol/subjects.ts";
import { buildSummary } from "../../../protocol/summary.ts";
import { ARTIFACT, planWith, stagePlan, target } from "./samples.ts";
import { type Shape, World } from "./simulation/world.ts";

const SEEDS = Number(process.env["TOROID_SIMULATIONS"] ?? 40);
const FIRST_SEED = Number(process.env["TOROID_SIMULATION_SEED"] ?? 1);

const BUILDS = ["build A=1", "build A=2"];
/** Longer than most things of the world last. */
const APPROVAL = { from: ["bob", "cyd"], self: false, expiresMs: 3_000 };
const APPLICATION = planWith(
  ...BUILDS.map((name) => stagePlan(name, { allowFailure: name === "build A=2" })),
  target("stage", BUILDS),
  target("eu", ["stage"], { idempotent: true }),
  target("us", ["stage"], { queue: "every", approval: APPROVAL, check: ["./went"] }),
  target("prod", ["eu", "us"], { join: "any", approval: APPROVAL }),
  target("hotfix", BUILDS, { automatic: false }),
  target("after-hotfix", ["hotfix"]),
);
const PATIENT = { attempts: 4, backoffMs: 60 };
const HASTY = { queueMs: 900, startMs: 40, silenceMs: null };
const LIBRARY: Plan = {
  ...planWith(stagePlan("build", { timeouts: HASTY, retry: PATIENT }), target("docs", ["build"])),
  cancelSuperseded: true,
};

const CALM: Shape["trouble"] = {
  executorDies: 0,
  executorSeemsDead: 0,
  attemptErrors: 0,
  scriptFails: 0,
  coordinatorDies: 0,
  repeats: 0,
  people: 0,
  late: 0,
};
const STORM: Shape["trouble"] = {
  executorDies: 0.15,
  executorSeemsDead: 0.1,
  attemptErrors: 0.1,
  scriptFails: 0.1,
  coordinatorDies: 0.12,
  repeats: 0.15,
  people: 0.015,
  late: 0.3,
};

async function simulate(seed: number, trouble: Shape["trouble"], pushes = 8): Promise<World> {
  const plans: Readonly<Record<string, Plan>> = { "acme/api": APPLICATION, "acme/web": LIBRARY };
  const world = new World(seed, { pushes, trouble, plans });
  await world.run();
  return world;
}

/** Every claim that must hold of a world at rest. */
function check(world: World): void {
  assert.deepEqual(world.failures, []);
  everyPushHasOneBuild(world);
  for (const build of buildsOf(world)) everythingOfABuildEnded(world, build.repository, build.number);
  everyStageEndedOnce(world);
  nothingRanTwice(world);
  for (const id of world.environments) lanesWereInOrder(world, id);
}

function buildsOf(world: World): readonly { readonly repository: string; readonly number: number }[] {
  return world.repositories.flatMap((repository) =>
    world.store.log(pushSubject(repository)).map(({ event }) => ({ repository, number: (event as PushEvent).number })),
  );
}

function everyPushHasOneBuild(world: World): void {
  for (const repository of world.repositories) {
    const accepted = world.store.log(pushSubject(repository)).map(({ event }) => event as PushEvent);
    assert.deepEqual(
      accepted.map(({ number }) => number),
      accepted.map((_, at) => at + 1),
      "numbers have no gaps",
    );
    assert.equal(new Set(accepted.map(({ key }) => key)).size, accepted.length, "a push was accepted twice");
    const expected = world.pushed.filter((one) => one.startsWith(`${repository} `));
    const keys = accepted.map(({ key }) => `${repository} ${key}`).filter((key) => !key.includes(" queue-"));
    assert.deepEqual(keys.sort(), [...expected].sort());
  }
}

function everythingOfABuildEnded(world: World, repository: string, number: number): void {
  const id = { repository, number };
  const { state, seq } = world.store.load(buildActor, buildActor.subjectOf(id));
  assert.equal(state.status, "finished", `${formatBuild(id)} is ${state.status}`);
  assert.ok(isComplete(state));
  const settled = state.settled.map(({ stage, round }) => `${stage}/${round}`);
  assert.equal(new Set(settled).size, settled.length, `a stage of ${formatBuild(id)} settled twice`);
  for (const { stage, round } of roundsOf(state)) {
    const stageId = { ...id, stage: stage.name, round };
    const ended = world.store.load(stageActor, stageActor.subjectOf(stageId)).state.result;
    assert.equal(ended?.outcome, settledOf(state, stage.name, round)?.outcome, formatStage(stageId));
  }
  const stored = world.store.summaries.get(summarySubject(id));
  assert.ok(stored !== undefined, `${formatBuild(id)} has no summary`);
  const summary = decode(buildSummary, stored.data);
  assert.deepEqual([summary.status, summary.outcome, summary.seq], ["finished", state.outcome, seq]);
  for (const stage of summary.stages) {
    const now = world.store.load(stageActor, stageActor.subjectOf({ ...id, stage: stage.name, round: stage.round }));
    assert.deepEqual([stage.status, stage.outcome, stage.seq], ["finished", now.state.result?.outcome, now.seq]);
  }
}

/** Every stage that has a log, planned or not. */
function stagesOf(
  world: World,
): readonly { readonly id: StageId; readonly log: readonly { readonly seq: number; readonly event: StageEvent }[] }[] {
  return world.store.subjects("toroid.run.").flatMap((subject) => {
    const parsed = parseRunSubject(subject);
    if (parsed.kind === "build") return [];
    const log = world.store.log(subject).map(({ seq, event }) => ({ seq, event: event as StageEvent }));
    return [{ id: parsed.id, log }];
  });
}

function everyStageEndedOnce(world: World): void {
  for (const { id, log } of stagesOf(world)) {
    const ends = log.filter(({ event }) => event.type === "finished");
    assert.equal(ends.length, 1, `${formatStage(id)} ended ${ends.length} times`);
    const last = log.at(-1)?.event;
    assert.ok(last?.type === "finished");
    if (!last.result.message.includes("was pushed to the same branch")) continue;
    const isEnvironment = world.environments.some(({ environment }) => environment === id.stage);
    assert.ok(id.repository === "acme/web" && !isEnvironment, `${formatStage(id)} was superseded by a push`);
  }
}

function nothingRanTwice(world: World): void {
  const runs = new Map<string, number>();
  for (const { id, environment, went } of world.executors.scripts) {
    if (environment === null || environment === "eu") continue;
    // A script can tell there: only what did not go is run again.
    if (environment === "us" && !went) continue;
    const name = formatStage(id);
    runs.set(name, (runs.get(name) ?? 0) + 1);
  }
  for (const [name, times] of runs) {
    // Only an attempt that said itself that it had not acted is repeated; one that started has acted.
    assert.equal(times, 1, `${name} ran ${times} times`);
  }
}

function lanesWereInOrder(world: World, id: World["environments"][number]): void {
  const name = `${id.repository} ${id.environment}`;
  const subject = laneSubject(id);
  const { state } = world.store.load(environmentActor, subject);
  assert.deepEqual([state.waiting, state.inFlight], [[], null], `${name} holds something`);
  const log = world.store.log(subject).map(({ seq, event }) => ({ seq, event: event as LaneEvent }));
  let inFlight: string | null = null;
  /** Places of what nobody asked for in the order in which the branch was pushed to. */
  const places: number[] = [];
  const commits = world.commits.get(id.repository) ?? [];
  const approved = new Set<string>();
  let live: string | null = null;
  let held = false;
  for (const { seq, event } of log) {
    if (event.type === "entered" && event.entry.rollback) held = true;
    if (event.type === "released") held = false;
    if (event.type === "approved") approved.add(`${event.number}/${event.round}`);
    if (event.type === "admitted") {
      const { approval, number, round } = event.entry;
      assert.ok(approval === null || approved.has(`${number}/${round}`), `${name} let #${number} go without approval`);
      assert.ok(!held || event.entry.rollback, `${name} was held and let #${number} go`);
      assert.equal(inFlight, null, `${name} had two in flight`);
      inFlight = `${event.entry.number}/${event.entry.round}`;
      if (!event.entry.asked) places.push(commits.indexOf(event.entry.commit));
      checkContext(world, { ...id, ...event.entry }, fenceOf(event, seq), live);
    }
    if (event.type === "left") {
      assert.equal(inFlight, `${event.number}/${event.round}`);
      inFlight = null;
      live = event.live?.commit ?? live;
    }
  }
  assert.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
    `${name} went back`,
  );
}

/** What a stage was told when the lane let it go. */
function checkContext(world: World, id: StageId, fence: number, live: string | null): void {
  const work = world.store.load(stageActor, stageActor.subjectOf(id)).state.work;
  if (work?.kind !== "stage") return; // it was cancelled before it was queued
  const { context } = work;
  assert.equal(context.fence, fence);
  assert.equal(context.previousCommit, live, `${formatStage(id)} was told that something else is live`);
  const build = world.store.load(buildActor, buildActor.subjectOf(id)).state;
  // What passed only when it was tried again may have come after this, which somebody wanted without it.
  const built = build.settled.filter(
    (one) => one.outcome === "passed" && one.round === 1 && one.stage.startsWith("build"),
  );
  for (const { stage } of built) assert.ok(stage in context.outputs, `${formatStage(id)} does not know of ${stage}`);
  if (built.length > 0) assert.deepEqual(context.artifact, ARTIFACT, `${formatStage(id)} has no artifact`);
}

test("in a calm world every push reaches every environment it can", { timeout: 60_000 }, async () => {
  const world = await simulate(7, CALM, 0);
  check(world);
  const { live } = world.store.load(
    environmentActor,
    laneSubject({ repository: "acme/api", environment: "prod" }),
  ).state;
  assert.equal(live?.number, 1);
});

test("when messages come late and nothing else happens, the newest commit that got to an environment stays there", {
  timeout: 120_000,
}, async () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const world = await simulate(seed, { ...CALM, late: 0.5 }, 10);
    check(world);
    for (const id of world.environments) {
      const { live } = world.store.load(environmentActor, laneSubject(id)).state;
      const commits = world.commits.get(id.repository) ?? [];
      const entered = world.store
        .log(laneSubject(id))
        .map(({ event }) => event as LaneEvent)
        .flatMap((event) => (event.type === "entered" ? [commits.indexOf(event.entry.commit)] : []));
      const newest = entered.length === 0 ? -1 : Math.max(...entered);
      assert.equal(live === null ? -1 : commits.indexOf(live.commit), newest, `${id.environment} of seed ${seed}`);
    }
  }
});

test("the same seed is the same run", { timeout: 60_000 }, async () => {
  const [one, other] = [await simulate(3, STORM), await simulate(3, STORM)];
  assert.deepEqual(one.store.subjects(""), other.store.subjects(""));
  assert.deepEqual(one.executors.scripts, other.executors.scripts);
});

test("whatever dies, comes twice or comes late, every stage ends once and every build finishes", {
  timeout: 300_000,
}, async (t) => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
    const world = await simulate(seed, STORM);
    try {
      check(world);
    } catch (error) {
      throw new Error(`in the world of seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
    if (seed === FIRST_SEED) t.diagnostic(`${world.store.subjects("toroid.run.").length} logs in the first world`);
  }
});
