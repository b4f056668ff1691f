import assert from "node:assert/strict";
import { test } from "node:test";
import { blocked, isComplete, readiness, roundsOf, startable } from "../../../../coordinator/actors/build/rounds.ts";
import type { Build } from "../../../../coordinator/actors/build/state.ts";
import { workOf } from "../../../../coordinator/actors/build/work.ts";
import { type BuildCommand, buildActor } from "../../../../coordinator/actors/build.ts";
import type { StageOutcome } from "../../../../protocol/events.ts";
import type { StagePlan } from "../../../../protocol/pipeline/plan.ts";
import { ARTIFACT, Lived, planWith, push, source, stagePlan, target } from "../samples.ts";

const CREATE = { kind: "create", push: push(), by: "queue" } as const;
const CANCEL = { kind: "cancel", by: "ada", why: "wrong branch" } as const;
const CONCLUDE = { kind: "conclude" } as const;

function buildWith(...stages: readonly StagePlan[]) {
  const build = new Lived(buildActor);
  build.tell(CREATE);
  build.tell({ kind: "plan", round: 1, source: source(), plan: planWith(...stages) });
  return build;
}

type TestBuild = ReturnType<typeof buildWith>;

function settle(stage: string, outcome: StageOutcome = "passed", round = 1): Extract<BuildCommand, { kind: "settle" }> {
  return { kind: "settle", stage, round, outcome, message: "", outputs: {}, artifact: null };
}

function request(environment: string, key = environment): BuildCommand {
  return { kind: "request", key, environment, params: {}, by: "ada", byScript: false };
}

const named = (rounds: readonly { readonly stage: StagePlan; readonly round: number }[]): readonly string[] =>
  rounds.map(({ stage, round }) => (round === 1 ? stage.name : `${stage.name} (${round})`));
const starts = (build: TestBuild): readonly string[] => named(startable(build.state));
const stuck = (build: TestBuild): readonly string[] => named(blocked(build.state));

function verdict(build: TestBuild): readonly [string | null, string] {
  assert.equal(build.tell(CONCLUDE), "finished");
  return [build.state.outcome, build.state.message];
}

const BUILD = stagePlan("build");
const STAGE = target("stage", ["build"]);
const PROD = target("prod", ["stage"]);
const MANUAL = target("prod", ["build"], { automatic: false });

test("a build is created once, and planned once", () => {
  const build = new Lived(buildActor);
  assert.equal(build.tell(CREATE), "created");
  assert.equal(build.tell(CREATE), "nothing");
  const plan = { kind: "plan", round: 1, source: source(), plan: planWith(BUILD) } as const;
  assert.equal(build.tell(plan), "planned");
  assert.equal(build.tell(plan), "nothing");
});

test("stages start when what they need has passed", () => {
  const build = buildWith(BUILD, STAGE, PROD);
  assert.deepEqual(starts(build), ["build"]);
  build.tell(settle("build"));
  assert.deepEqual(starts(build), ["stage"]);
  build.tell(settle("stage"));
  assert.deepEqual(starts(build), ["prod"]);
  build.tell(settle("prod"));
  assert.deepEqual(starts(build), []);
  assert.deepEqual(verdict(build), ["passed", ""]);
});

test("a stage settles once, with its first outcome", () => {
  const build = buildWith(BUILD);
  assert.equal(build.tell(settle("build")), "settled");
  assert.equal(build.tell(settle("build", "failed")), "nothing");
  assert.equal(build.state.settled[0]?.outcome, "passed");
});

test("every stage after one that did not pass is blocked, link after link", () => {
  const build = buildWith(BUILD, STAGE, PROD);
  build.tell(settle("build", "failed"));
  assert.deepEqual(starts(build), []);
  assert.deepEqual(stuck(build), ["stage"]);
  build.tell(settle("stage", "skipped"));
  assert.deepEqual(stuck(build), ["prod"]);
  build.tell(settle("prod", "skipped"));
  assert.deepEqual(verdict(build), ["failed", "build failed"]);
});

test("a stage that may fail holds nothing back, and does not fail the build", () => {
  const build = buildWith(BUILD, stagePlan("next", { allowFailure: true }), target("stage", ["build", "next"]));
  build.tell(settle("next", "failed"));
  assert.deepEqual(starts(build), ["build"]);
  build.tell(settle("build"));
  assert.deepEqual(starts(build), ["stage"]);
  build.tell(settle("stage"));
  assert.deepEqual(verdict(build), ["passed", ""]);
});

test("a fan-in of all waits for each, and is blocked by one", () => {
  const stages = [BUILD, target("eu", ["build"]), target("us", ["build"]), target("prod", ["eu", "us"])];
  const good = buildWith(...stages);
  for (const name of ["build", "eu"]) good.tell(settle(name));
  assert.deepEqual(starts(good), ["us"]);
  good.tell(settle("us"));
  assert.deepEqual(starts(good), ["prod"]);
  const bad = buildWith(...stages);
  for (const command of [settle("build"), settle("eu", "failed")]) bad.tell(command);
  assert.deepEqual(starts(bad), ["us"]);
  assert.deepEqual(stuck(bad), ["prod"]);
});

test("a fan-in of any starts with the first that passed, and is blocked when none did", () => {
  const stages = [
    BUILD,
    target("eu", ["build"]),
    target("us", ["build"]),
    target("prod", ["eu", "us"], { join: "any" }),
  ];
  const good = buildWith(...stages);
  for (const command of [settle("build"), settle("eu", "failed")]) good.tell(command);
  assert.deepEqual(stuck(good), []);
  good.tell(settle("us"));
  assert.deepEqual(starts(good), ["prod"]);
  const bad = buildWith(...stages);
  for (const command of [settle("build"), settle("eu", "failed"), settle("us", "cancelled")]) bad.tell(command);
  assert.deepEqual(stuck(bad), ["prod"]);
});

test("a need that is neither here nor there is waited for", () => {
  const build = buildWith(BUILD, target("prod", ["build", "nowhere"]));
  const prod = build.state.plan?.stages[1];
  assert.ok(prod !== undefined);
  assert.equal(readiness(build.state, prod), "waiting");
});

test("a build is not over before every round of it is", () => {
  const build = buildWith(BUILD, STAGE);
  assert.equal(build.tell(CONCLUDE), "nothing");
  build.tell(settle("build"));
  assert.equal(isComplete(build.state), false);
  assert.equal(build.tell(CONCLUDE), "nothing");
  build.tell(settle("stage"));
  assert.equal(build.tell(CONCLUDE), "finished");
  assert.equal(build.tell(CONCLUDE), "nothing");
});

test("an environment that only requests reach is not waited for", () => {
  const build = buildWith(BUILD, MANUAL);
  build.tell(settle("build"));
  assert.deepEqual(starts(build), []);
  assert.deepEqual(verdict(build), ["passed", ""]);
});

test("a request opens a finished build again", () => {
  const build = buildWith(BUILD, MANUAL);
  build.tell(settle("build"));
  build.tell(CONCLUDE);
  assert.equal(build.tell(request("prod")), "requested");
  assert.equal(build.state.status, "running");
  assert.equal(build.state.outcome, null);
  assert.deepEqual(starts(build), ["prod"]);
  build.tell(settle("prod", "failed"));
  assert.deepEqual(verdict(build), ["failed", "prod failed"]);
});

test("a request is met once, however often it comes", () => {
  const build = buildWith(BUILD, MANUAL);
  assert.equal(build.tell(request("prod", "k")), "requested");
  assert.equal(build.tell(request("prod", "k")), "nothing");
});

test("what an environment needs holds for a request too", () => {
  const early = buildWith(BUILD, stagePlan("lint"), target("prod", ["build", "lint"], { automatic: false }));
  early.tell(settle("build"));
  early.tell(request("prod"));
  assert.deepEqual(starts(early), ["lint"], "prod waits for lint");
  early.tell(settle("lint"));
  assert.deepEqual(starts(early), ["prod"]);
  const failed = buildWith(BUILD, MANUAL);
  failed.tell(request("prod"));
  failed.tell(settle("build", "failed"));
  assert.deepEqual(starts(failed), []);
  assert.deepEqual(stuck(failed), ["prod"]);
});

test("a stage that failed and was asked for again counts as it ended the last time", () => {
  const build = buildWith(BUILD, STAGE);
  build.tell(settle("build"));
  build.tell(settle("stage", "failed"));
  assert.deepEqual(verdict(build), ["failed", "stage failed"]);
  build.tell(request("stage"));
  build.tell(settle("stage", "passed", 2));
  assert.deepEqual(verdict(build), ["passed", ""]);
});

test("a request for what the plan brings anyway meets that round, with its parameters", () => {
  const build = buildWith(BUILD, STAGE);
  build.tell({
    kind: "request",
    key: "k",
    environment: "stage",
    params: { REGION: "eu" },
    by: "build of #1",
    byScript: true,
  });
  assert.deepEqual(named(roundsOf(build.state)), ["build", "stage"]);
  build.tell(settle("build"));
  const work = workOf(build.state, { stage: STAGE, round: 1 }, null);
  assert.ok(work?.kind === "stage");
  assert.deepEqual(work.context.params, { REGION: "eu" });
});

test("a request after the plan's own round began makes a further round", () => {
  const build = buildWith(BUILD, STAGE);
  build.tell(settle("build"));
  build.tell(request("stage"));
  assert.deepEqual(starts(build), ["stage", "stage (2)"]);
  build.tell(request("stage", "again"));
  assert.deepEqual(named(roundsOf(build.state)), ["build", "stage", "stage (2)", "stage (3)"]);
  build.tell(settle("stage"));
  assert.equal(build.tell(CONCLUDE), "nothing");
  for (const round of [2, 3]) build.tell(settle("stage", "passed", round));
  assert.deepEqual(verdict(build), ["passed", ""]);
});

test("a second request before the first can start waits like the first", () => {
  const build = buildWith(BUILD, STAGE);
  build.tell(request("stage", "one"));
  build.tell(request("stage", "two"));
  assert.deepEqual(named(roundsOf(build.state)), ["build", "stage", "stage (2)"]);
  assert.deepEqual(starts(build), ["build"]);
});

test("a build does not wait for what comes after an environment that nobody asked for", () => {
  const hotfix = target("hotfix", ["build"], { automatic: false });
  const stages = [BUILD, STAGE, hotfix, target("prod", ["hotfix"])];
  const build = buildWith(...stages);
  for (const command of [settle("build"), settle("stage")]) build.tell(command);
  assert.deepEqual(verdict(build), ["passed", ""]);
  build.tell(request("hotfix"));
  assert.deepEqual(starts(build), ["hotfix"]);
  build.tell(settle("hotfix"));
  assert.deepEqual(starts(build), ["prod"], "now it promotes");
  build.tell(settle("prod"));
  assert.deepEqual(verdict(build), ["passed", ""]);
});

test("a fan-in of any is blocked when the rest of it is what nobody asked for", () => {
  const hotfix = target("hotfix", ["build"], { automatic: false });
  const build = buildWith(BUILD, STAGE, hotfix, target("prod", ["stage", "hotfix"], { join: "any" }));
  for (const command of [settle("build"), settle("stage", "failed")]) build.tell(command);
  assert.deepEqual(stuck(build), ["prod"]);
});

test("a request may pass over an environment that nobody asked for, but not over the builds", () => {
  const build = buildWith(BUILD, target("hotfix", ["build"], { automatic: false }), target("prod", ["hotfix"]));
  build.tell(request("prod"));
  assert.deepEqual(starts(build), ["build"]);
  build.tell(settle("build"));
  assert.deepEqual(starts(build), ["prod (2)"]);
});

test("a person may ask for an environment whose turn never came", () => {
  const build = buildWith(BUILD, STAGE, PROD);
  for (const command of [settle("build"), settle("stage", "failed"), settle("prod", "skipped"), CONCLUDE]) {
    build.tell(command);
  }
  build.tell(request("prod"));
  assert.deepEqual(starts(build), ["prod (2)"]);
});

test("a request that cannot be met says why", () => {
  const absent = new Lived(buildActor);
  assert.equal(absent.tell(request("prod")), "TOR_NOT_FOUND");
  absent.tell(CREATE);
  assert.equal(absent.tell(request("prod")), "TOR_CONFLICT");
  const library = buildWith(BUILD);
  assert.equal(library.tell(request("prod")), "TOR_NOT_FOUND");
  const decided = buildActor.decide(buildWith(BUILD, STAGE).state, request("prood"), { id: "x", atMs: 0 });
  assert.ok(decided.kind === "refuse");
  assert.equal(decided.why, "the build has no environment named prood: it has stage");
  const cancelled = buildWith(BUILD, STAGE);
  cancelled.tell(CANCEL);
  assert.equal(cancelled.tell(request("stage")), "TOR_REFUSED");
  const skipped = new Lived(buildActor);
  skipped.tell(CREATE);
  skipped.tell({ kind: "abandon", round: 1, outcome: "skipped", message: "[skip ci]" });
  assert.equal(skipped.tell(request("stage")), "TOR_REFUSED", "it will never have one");
});

test("a cancelled build starts nothing more", () => {
  const build = buildWith(BUILD, STAGE);
  assert.equal(build.tell(CANCEL), "cancelRequested");
  assert.equal(build.tell(CANCEL), "nothing");
  assert.deepEqual(starts(build), []);
  for (const name of ["build", "stage"]) build.tell(settle(name, "cancelled"));
  assert.deepEqual(verdict(build), ["cancelled", "wrong branch"]);
});

test("a build is cancelled while it is planned, too; one that ended or never was is not", () => {
  const planning = new Lived(buildActor);
  planning.tell(CREATE);
  assert.equal(planning.tell(CANCEL), "cancelRequested");
  const ended = buildWith(BUILD);
  for (const command of [settle("build"), CONCLUDE]) ended.tell(command);
  assert.equal(ended.tell(CANCEL), "nothing");
  assert.equal(new Lived(buildActor).tell(CANCEL), "TOR_NOT_FOUND");
});

test("a build without a plan is abandoned with its reason, and one that has a plan is not", () => {
  const build = new Lived(buildActor);
  build.tell(CREATE);
  const abandon = { kind: "abandon", round: 1, outcome: "skipped", message: "[skip ci]" } as const;
  assert.equal(build.tell(abandon), "finished");
  assert.deepEqual([build.state.outcome, build.state.message], ["skipped", "[skip ci]"]);
  assert.equal(build.tell(abandon), "nothing");
  assert.equal(buildWith(BUILD).tell(abandon), "nothing");
  assert.equal(build.tell({ kind: "plan", round: 1, source: source(), plan: planWith(BUILD) }), "nothing");
});

const VERDICTS: readonly (readonly [readonly StageOutcome[], string, string])[] = [
  [["passed", "passed"], "passed", ""],
  [["passed", "failed"], "failed", "b failed"],
  [["errored", "passed"], "failed", "a errored"],
  [["timedOut", "passed"], "failed", "a timed out"],
  [["unknown", "passed"], "failed", "a ended in an unknown state"],
  [["cancelled", "failed"], "failed", "b failed"],
  [["cancelled", "passed"], "cancelled", "a was cancelled"],
  [["superseded", "cancelled"], "cancelled", "b was cancelled"],
  [["passed", "superseded"], "superseded", "b was superseded"],
  [["passed", "skipped"], "passed", ""],
];

for (const [[a = "passed", b = "passed"], outcome, message] of VERDICTS) {
  test(`${a} and ${b} make a build that ${outcome}`, () => {
    const build = buildWith(stagePlan("a"), stagePlan("b"));
    for (const command of [settle("a", a), settle("b", b)]) build.tell(command);
    assert.deepEqual(verdict(build), [outcome, message]);
  });
}

test("a stage is told what passed before it, and nothing of what did not", () => {
  const build = buildWith(BUILD, stagePlan("lint", { allowFailure: true }), STAGE);
  build.tell({ ...settle("build"), outputs: { VERSION: "1.2" }, artifact: ARTIFACT });
  build.tell({ ...settle("lint", "failed"), outputs: { COUNT: "3" } });
  const work = workOf(
    build.state,
    { stage: STAGE, round: 1 },
    { fence: 9, previousCommit: null, previousArtifact: null },
  );
  assert.ok(work?.kind === "stage");
  assert.deepEqual(work.context, {
    artifact: ARTIFACT,
    outputs: { build: { VERSION: "1.2" } },
    params: {},
    environments: ["stage"],
    fence: 9,
    previousCommit: null,
    previousArtifact: null,
  });
});

test("there is no work before there is a plan", () => {
  const planning: Build = new Lived(buildActor).state;
  assert.equal(workOf(planning, { stage: BUILD, round: 1 }, null), null);
});
