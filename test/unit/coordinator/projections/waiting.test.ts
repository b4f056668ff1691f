import assert from "node:assert/strict";
import { test } from "node:test";
import { explainBuild, explainEnvironment, type Surroundings } from "../../../../coordinator/projections/waiting.ts";
import type { Presence } from "../../../../protocol/commands.ts";
import type { BuildSummary, EnvironmentSummary, StageSummary, WaitingSummary } from "../../../../protocol/summary.ts";
import { build, environment, stage } from "../../../support/summaries.ts";

const AT = "2025-10-09T08:53:20.000Z";
const AT_MS = Date.parse(AT);
const PAUSED = { by: "ann", why: "freeze", atMs: 1, untilMs: AT_MS, of: null };
const HELD = { number: 40, by: "bob", why: "slow", atMs: 1 };

function entry(number: number, changes: Partial<WaitingSummary> = {}): WaitingSummary {
  return { number, stage: "prod", round: 1, approval: null, approvedBy: null, rollback: false, why: "", ...changes };
}

const NEEDED: WaitingSummary["approval"] = {
  from: [],
  self: false,
  endsAtMs: AT_MS,
  change: { from: null, to: "a".repeat(40) },
};

function executor(changes: Partial<Presence> = {}): Presence {
  const at = { id: "e", host: "h", version: "1", protocol: 2, pool: "default" };
  const is = { ...at, slots: 2, busy: 0, draining: false, why: "" };
  return { ...is, planSlots: 4, labels: [], runs: [], sinceMs: 0, tokens: [], ...changes };
}

function running(...stages: readonly StageSummary[]): BuildSummary {
  return build(42, { status: "running", outcome: null, stages: [...stages] });
}

const idle = (name: string, changes: Partial<StageSummary> = {}): StageSummary =>
  stage(name, { status: "waiting", outcome: null, executor: null, ...changes });
const PROD = idle("prod", { environment: "prod", needs: ["build"] });
const DONE = stage("build");

function around(changes: Partial<Surroundings> = {}): Surroundings {
  return { environments: [], executors: [], before: () => null, ...changes };
}

/** Why the build's last stage waits, and the build. */
function why(one: BuildSummary, where: Partial<Surroundings> = {}): readonly [string | undefined, string] {
  const explained = explainBuild(one, around(where));
  return [explained.stages.at(-1)?.waiting, explained.waiting];
}

test("a stage comes after what has not passed yet", () => {
  const [first] = why(running(stage("build", { status: "running", outcome: null }), PROD));
  assert.equal(first, "it comes after `build`");
  const two = idle("prod", { environment: "prod", needs: ["eu", "us"] });
  assert.equal(why(running(stage("eu"), idle("us"), two))[0], "it comes after `us`");
  assert.equal(why(running(stage("us", { outcome: "failed" }), stage("us", { round: 2 }), PROD, DONE))[0], "");
});

const QUEUED = running(idle("build", { status: "queued" }));
const OF_EXECUTORS: readonly (readonly [string, readonly Presence[], string])[] = [
  ["none", [], "no executor of pool default is there: start one, or compare TOROID_POOL"],
  [
    "one of another pool",
    [executor({ pool: "arm" })],
    "no executor of pool default is there: start one, or compare TOROID_POOL",
  ],
  [
    "one that leaves",
    [executor({ draining: true })],
    "no executor of pool default is there: start one, or compare TOROID_POOL",
  ],
  [
    "busy ones",
    [executor({ busy: 2 }), executor({ busy: 3 })],
    "all 4 slots of pool default are busy, and it is among the next",
  ],
  ["a free one", [executor({ busy: 2 }), executor()], "an executor is about to take it"],
];

for (const [what, executors, sentence] of OF_EXECUTORS) {
  test(`a queued stage with ${what} among the executors: ${sentence}`, () => {
    assert.deepEqual(why(QUEUED, { executors }), [sentence, `build: ${sentence}`]);
  });
}

const GPU = running(idle("build", { status: "queued", pool: "", labels: ["arm64", "gpu"] }));
const X86 = executor({ labels: ["x86"] });
const BIG = executor({ id: "f", pool: "big", labels: ["gpu", "x86"] });

test("a stage that no executor can run says what is missing, and what is there", () => {
  const none = "no executor has the labels arm64, gpu; none is there";
  assert.deepEqual(why(GPU), [none, `build: ${none}`]);
  assert.equal(
    why(GPU, { executors: [X86, BIG] })[0],
    "no executor has the labels arm64, gpu; pools: big (gpu, x86), default (x86)",
  );
  const named = running(idle("build", { status: "queued", pool: "default", labels: ["gpu"] }));
  assert.equal(
    why(named, { executors: [executor(), BIG] })[0],
    "no executor of pool default has the label gpu; pools: big (gpu, x86), default (no labels)",
  );
  const arm = executor({ pool: "arm", labels: ["arm64", "gpu"] });
  assert.equal(why(GPU, { executors: [X86, arm] })[0], "an executor is about to take it");
});

test("a stage that is held back says how many are before it, and how busy its pool is", () => {
  const executors = [executor({ busy: 2 }), executor({ id: "f", busy: 1 })];
  const said = (before: number) => why(QUEUED, { executors, before: () => before })[0];
  assert.equal(
    said(12),
    "it waits for a free executor of pool default: 12 stages are before it, 3 of 4 slots are busy",
  );
  assert.equal(said(1), "it waits for a free executor of pool default: 1 stage is before it, 3 of 4 slots are busy");
  assert.equal(said(0), "it waits for a free executor of pool default: it is next, 3 of 4 slots are busy");
  const both = running(idle("build", { status: "queued", pool: "", labels: ["gpu"] }));
  const gpus = [BIG, executor({ pool: "small", labels: ["gpu"], busy: 2 })];
  assert.equal(
    why(both, { executors: gpus, before: () => 1 })[0],
    "it waits for a free executor of pools big, small: 1 stage is before it, 2 of 4 slots are busy",
  );
});

test("the plan is what a build waits for when it has none", () => {
  const [, waiting] = why(running(idle("_plan", { status: "queued" })));
  assert.match(waiting, /^the plan: no executor of pool default is there/);
});

const OF_LANES: readonly (readonly [string, Partial<EnvironmentSummary>, string])[] = [
  [
    "approval",
    { waiting: [entry(42, { approval: NEEDED })] },
    `it waits for approval by anybody but who caused it, until ${AT}`,
  ],
  [
    "approval by some, though it is paused",
    { paused: PAUSED, waiting: [entry(42, { approval: { ...NEEDED, from: ["ann", "@ops"] } })] },
    `it waits for approval by \`ann\` or \`@ops\`, until ${AT}`,
  ],
  ["a pause", { paused: PAUSED, waiting: [entry(42)] }, `prod is paused by ann until ${AT}: freeze`],
  [
    "a pause of more",
    { paused: { ...PAUSED, untilMs: null, of: { repository: "*", environment: "prod" } }, waiting: [entry(42)] },
    "* prod is paused by ann: freeze",
  ],
  ["a hold", { held: HELD, waiting: [entry(42)] }, "prod is held by bob since the rollback to #40: slow"],
  ["another one in it", { inFlight: { number: 41, stage: "prod", round: 1 }, waiting: [entry(42)] }, "#41 is in prod"],
  [
    "others before it",
    { inFlight: { number: 39, stage: "prod", round: 1 }, waiting: [entry(40), entry(41), entry(42)] },
    "#39 is in prod, and #40, #41 go before it",
  ],
  ["one before it", { waiting: [entry(41), entry(42)] }, "#41 goes before it"],
  [
    "nobody before it but who needs approval",
    { waiting: [entry(41, { approval: NEEDED }), entry(42)] },
    "its turn has come",
  ],
  ["a hold, as the rollback itself", { held: HELD, waiting: [entry(42, { rollback: true })] }, "its turn has come"],
];

for (const [what, changes, sentence] of OF_LANES) {
  test(`a stage whose environment has ${what}: ${sentence}`, () => {
    const lane = environment(changes);
    assert.deepEqual(why(running(DONE, PROD), { environments: [lane] }), [sentence, `prod: ${sentence}`]);
    const at = lane.waiting.findIndex(({ number }) => number === 42);
    assert.equal(explainEnvironment(lane).waiting[at]?.why, sentence);
  });
}

test("an environment says why its first one waits, and nothing when none does", () => {
  assert.equal(explainEnvironment(environment({ paused: PAUSED })).why, "");
  const lane = environment({ inFlight: { number: 40, stage: "prod", round: 1 }, waiting: [entry(41), entry(42)] });
  assert.equal(explainEnvironment(lane).why, "#41: #40 is in prod");
});

test("a build that is at work, or has ended, waits for nothing", () => {
  const atWork = running(stage("build", { status: "running", outcome: null }), PROD);
  assert.equal(why(atWork)[1], "");
  assert.deepEqual(explainBuild(build(42), around()), build(42));
});

test("an errored attempt keeps what the stage said of the next one", () => {
  const said = `attempt 1 errored (full); it is tried again at ${AT}`;
  assert.equal(why(running(idle("build", { status: "retrying", waiting: said })))[0], said);
});

test("a stage of another build or round in the lane is not this one", () => {
  const other = environment({ paused: PAUSED, waiting: [entry(42, { round: 2 }), entry(41)] });
  assert.equal(why(running(DONE, PROD), { environments: [other] })[0], "it is about to enter prod");
});

test("every stage that has not ended and does not run says why", () => {
  for (const status of ["waiting", "queued"] as const) {
    for (const needs of [[], ["build"]]) {
      for (const where of [null, "prod"]) {
        const one = idle("x", { status, needs, environment: where });
        assert.notEqual(why(running(one))[0], "", JSON.stringify([status, needs, where]));
      }
    }
  }
});
