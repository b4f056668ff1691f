import assert from "node:assert/strict";
import { test } from "node:test";
import { blocked, isComplete, startable } from "../../../../coordinator/actors/build/rounds.ts";
import { workOf } from "../../../../coordinator/actors/build/work.ts";
import { type BuildCommand, buildActor } from "../../../../coordinator/actors/build.ts";
import type { StageOutcome } from "../../../../protocol/events.ts";
import { PLAN_STAGE } from "../../../../protocol/ids.ts";
import type { StagePlan } from "../../../../protocol/pipeline/plan.ts";
import { Lived, planWith, push, source, stagePlan, target } from "../samples.ts";

const BUILD = stagePlan("build");
const STAGES = [BUILD, target("stage", ["build"]), target("prod", ["stage"])];
const CONCLUDE = { kind: "conclude" } as const;
const CANCEL = { kind: "cancel", by: "ada", why: "wrong branch" } as const;

const settle = (stage: string, outcome: StageOutcome = "passed", round = 1): BuildCommand => ({
  kind: "settle",
  stage,
  round,
  outcome,
  message: "",
  outputs: { FROM: `${stage}/${round}` },
  artifact: null,
});
const retry = (stage: string | null = null, key = "k"): BuildCommand => ({
  kind: "retry",
  key,
  stage,
  by: "bob",
  why: "",
});

function buildAfter(stages: readonly StagePlan[], ...commands: readonly BuildCommand[]) {
  const build = new Lived(buildActor);
  build.tell({ kind: "create", push: push(), by: "queue" });
  build.tell({ kind: "plan", round: 1, source: source(), plan: planWith(...stages) });
  for (const command of commands) build.tell(command);
  return build;
}

type TestBuild = ReturnType<typeof buildAfter>;

const named = (rounds: ReturnType<typeof startable>): readonly string[] =>
  rounds.map(({ stage, round }) => `${stage.name}/${round}`);
const starts = (build: TestBuild): readonly string[] => named(startable(build.state));

function why(build: TestBuild, command: BuildCommand): string {
  const decided = buildActor.decide(build.state, command, { id: "x", atMs: 0 });
  assert.ok(decided.kind === "refuse", decided.kind);
  return `${decided.code}: ${decided.why}`;
}

function failed() {
  return buildAfter(STAGES, settle("build", "failed"), settle("stage", "skipped"), settle("prod", "skipped"), CONCLUDE);
}

test("a stage that failed is built again, and what was left out because of it comes after", () => {
  const build = failed();
  assert.equal(build.tell(retry("build")), "retried");
  assert.deepEqual([build.state.status, build.state.outcome], ["running", null]);
  assert.deepEqual(starts(build), ["build/2"]);
  build.tell(settle("build", "passed", 2));
  assert.deepEqual(starts(build), ["stage/2"]);
  build.tell(settle("stage", "passed", 2));
  assert.deepEqual(starts(build), ["prod/2"]);
  build.tell(settle("prod", "passed", 2));
  assert.equal(build.tell(CONCLUDE), "finished");
  assert.equal(build.state.outcome, "passed");
});

test("what comes after sees what the new round left, and not the old one", () => {
  const build = failed();
  for (const command of [retry("build"), settle("build", "passed", 2)]) build.tell(command);
  const work = workOf(build.state, { stage: STAGES[1] as StagePlan, round: 2 }, null);
  assert.ok(work?.kind === "stage");
  assert.deepEqual(work.context.outputs, { build: { FROM: "build/2" } });
});

test("what is just being left out when its need is tried again comes after that all the same", () => {
  const build = buildAfter(STAGES, settle("build", "failed"));
  assert.deepEqual(named(blocked(build.state)), ["stage/1"]);
  build.tell(retry("build"));
  assert.equal(build.tell(settle("stage", "skipped", 1)), "settled", "late, of the round before");
  build.tell(settle("build", "passed", 2));
  assert.deepEqual(starts(build), ["stage/2"]);
  build.tell(settle("stage", "passed", 2));
  assert.deepEqual(starts(build), ["prod/1"]);
});

test("a retry that fails as well leaves out what comes after again", () => {
  const build = failed();
  for (const command of [retry("build"), settle("build", "failed", 2)]) build.tell(command);
  assert.deepEqual(named(blocked(build.state)), ["stage/2"]);
  build.tell(settle("stage", "skipped", 2));
  build.tell(settle("prod", "skipped", 2));
  build.tell(CONCLUDE);
  assert.deepEqual([build.state.outcome, build.state.message], ["failed", "build failed"]);
  assert.equal(build.tell(retry("build", "again")), "retried");
  assert.deepEqual(starts(build), ["build/3"]);
});

test("of a matrix only what failed is built again", () => {
  const stages = [stagePlan("a"), stagePlan("b"), target("prod", ["a", "b"])];
  const build = buildAfter(stages, settle("a"), settle("b", "errored"), settle("prod", "skipped"), CONCLUDE);
  build.tell(retry());
  assert.deepEqual(starts(build), ["b/2"]);
  build.tell(settle("b", "passed", 2));
  assert.deepEqual(starts(build), ["prod/2"]);
});

test("an environment that failed is tried again in push order, and what follows goes on", () => {
  const build = buildAfter(STAGES, settle("build"), settle("stage", "failed"), settle("prod", "skipped"), CONCLUDE);
  build.tell(retry("stage"));
  assert.deepEqual(
    startable(build.state).map(({ stage, round, asked }) => [stage.name, round, asked]),
    [["stage", 2, false]],
  );
});

test("while the rest of a build still runs, what failed of it can be tried again", () => {
  const build = buildAfter([stagePlan("a"), stagePlan("b")], settle("a", "failed"));
  assert.equal(build.tell(retry("a")), "retried");
  assert.deepEqual(starts(build), ["a/2", "b/1"]);
  assert.ok(!isComplete(build.state));
});

test("a round that somebody asked for in between keeps its number", () => {
  const build = buildAfter(STAGES, settle("build"), settle("stage", "failed"), settle("prod", "skipped"));
  const request = { kind: "request", key: "r", environment: "stage", params: {}, by: "ada", byScript: false } as const;
  for (const command of [request, settle("stage", "failed", 2), CONCLUDE, retry("stage")]) build.tell(command);
  assert.deepEqual(starts(build), ["stage/3"]);
});

test("an environment that only requests reach is tried again as well", () => {
  const build = buildAfter([BUILD, target("hotfix", ["build"], { automatic: false })], settle("build"));
  const request = { kind: "request", key: "r", environment: "hotfix", params: {}, by: "ada", byScript: false } as const;
  for (const command of [request, settle("hotfix", "failed"), CONCLUDE, retry("hotfix")]) build.tell(command);
  assert.deepEqual(starts(build), ["hotfix/2"]);
  build.tell(settle("hotfix", "passed", 2));
  assert.equal(build.tell(CONCLUDE), "finished");
  assert.equal(build.state.outcome, "passed");
});

test("a cancelled build that has ended goes on when it is tried again, and is cancelled no more", () => {
  const build = buildAfter(STAGES, CANCEL);
  assert.match(why(build, retry("build")), /^TOR_CONFLICT: the build is being cancelled/);
  for (const name of ["build", "stage", "prod"]) build.tell(settle(name, "cancelled"));
  build.tell(CONCLUDE);
  assert.equal(build.tell(retry()), "retried");
  assert.equal(build.state.cancel, null);
  assert.deepEqual(starts(build), ["build/2"]);
  build.tell(settle("build", "passed", 2));
  assert.deepEqual(starts(build), ["stage/2"]);
});

test("it is tried again once for each key", () => {
  const build = failed();
  build.tell(retry("build"));
  assert.equal(build.tell(retry("build")), "nothing");
  assert.match(why(build, retry("build", "other")), /^TOR_CONFLICT: build has not ended$/);
});

test("what cannot be tried again says why", () => {
  assert.match(why(failed(), retry("stage")), /^TOR_REFUSED: stage comes after build, which did not pass: retry that$/);
  assert.match(why(failed(), retry("biuld")), /^TOR_NOT_FOUND: .* named biuld: it has build, stage, prod$/);
  assert.match(why(failed(), retry(PLAN_STAGE)), /^TOR_REFUSED: the build has its plan/);
  const passed = buildAfter([BUILD], settle("build"), CONCLUDE);
  assert.match(why(passed, retry("build")), /^TOR_REFUSED: build passed/);
  assert.match(why(passed, retry()), /^TOR_REFUSED: no stage of it can be tried again/);
  const old = buildAfter(STAGES, settle("build"), settle("stage", "superseded"), settle("prod", "skipped"), CONCLUDE);
  assert.match(why(old, retry("stage")), /^TOR_REFUSED: stage was superseded by a newer build: promote this one$/);
  assert.match(why(new Lived(buildActor), retry()), /^TOR_NOT_FOUND/);
});

test("a plan that could not be made is made again, and what comes late of the one before is of the past", () => {
  const build = new Lived(buildActor);
  build.tell({ kind: "create", push: push(), by: "queue" });
  assert.match(why(build, retry()), /^TOR_CONFLICT: the build is being planned/);
  build.tell({ kind: "abandon", round: 1, outcome: "failed", message: "git is away" });
  assert.match(why(build, retry("build")), /^TOR_NOT_FOUND: the build has no plan, and no build$/);
  assert.equal(build.tell(retry()), "replanned");
  assert.deepEqual([build.state.status, build.state.planning], ["planning", 2]);
  assert.equal(build.tell({ kind: "abandon", round: 1, outcome: "failed", message: "git is away" }), "nothing");
  assert.equal(build.tell({ kind: "plan", round: 1, source: source(), plan: planWith(BUILD) }), "nothing");
  assert.equal(build.tell({ kind: "plan", round: 2, source: source(), plan: planWith(BUILD) }), "planned");
});

test("a skipped push is not planned again", () => {
  const build = new Lived(buildActor);
  build.tell({ kind: "create", push: push(), by: "queue" });
  build.tell({ kind: "abandon", round: 1, outcome: "skipped", message: "[skip ci]" });
  assert.match(why(build, retry()), /^TOR_REFUSED: the build was skipped/);
});
