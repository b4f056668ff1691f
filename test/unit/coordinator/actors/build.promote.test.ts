import assert from "node:assert/strict";
import { test } from "node:test";
import { startable } from "../../../../coordinator/actors/build/rounds.ts";
import { causesOf, workOf } from "../../../../coordinator/actors/build/work.ts";
import { type BuildCommand, buildActor } from "../../../../coordinator/actors/build.ts";
import type { StageOutcome } from "../../../../protocol/events.ts";
import type { StagePlan } from "../../../../protocol/pipeline/plan.ts";
import { ARTIFACT, Lived, planWith, push, source, stagePlan, target } from "../samples.ts";

const STAGES = [stagePlan("build"), target("stage", ["build"]), target("prod", ["stage"])];

function planned(stages: readonly StagePlan[] = STAGES) {
  const build = new Lived(buildActor);
  build.tell({ kind: "create", push: push(), by: "queue" });
  build.tell({ kind: "plan", round: 1, source: source(), plan: planWith(...stages) });
  return build;
}

type TestBuild = ReturnType<typeof planned>;

const settle = (stage: string, outcome: StageOutcome = "passed", round = 1): BuildCommand => ({
  kind: "settle",
  stage,
  round,
  outcome,
  message: "",
  outputs: {},
  artifact: stage === "build" ? ARTIFACT : null,
});
const promote = (changes: Partial<Extract<BuildCommand, { kind: "promote" }>> = {}): BuildCommand => ({
  kind: "promote",
  key: "k",
  environment: "prod",
  params: {},
  by: "bob",
  why: "",
  rollback: false,
  ...changes,
});
const starts = ({ state }: TestBuild): readonly string[] =>
  startable(state).map(({ stage, round, asked }) => `${stage.name}/${round}${asked ? " asked" : ""}`);

function why(build: TestBuild, command: BuildCommand): string {
  const decided = buildActor.decide(build.state, command, { id: "x", atMs: 0 });
  assert.ok(decided.kind === "refuse");
  return `${decided.code}: ${decided.why}`;
}

function built() {
  const build = planned();
  build.tell(settle("build"));
  return build;
}

test("what was built goes to any environment, whatever it has not passed, without being built again", () => {
  const build = built();
  assert.equal(build.tell(promote({ params: { REGION: "eu" } })), "requested");
  assert.deepEqual(starts(build), ["stage/1", "prod/1 asked"]);
  const prod = STAGES[2];
  assert.ok(prod !== undefined);
  const work = workOf(
    build.state,
    { stage: prod, round: 1 },
    { fence: 3, previousCommit: null, previousArtifact: null },
  );
  assert.ok(work?.kind === "stage");
  assert.deepEqual([work.context.artifact, work.context.params], [ARTIFACT, { REGION: "eu" }]);
});

test("a promotion meets the round that the plan would bring, and what follows goes on from it", () => {
  const build = planned([...STAGES, target("late", ["prod"])]);
  for (const command of [settle("build"), promote(), settle("prod")]) build.tell(command);
  assert.deepEqual(starts(build), ["stage/1", "late/1"]);
});

test("what has begun there gets a further round", () => {
  const build = built();
  for (const command of [settle("stage"), settle("prod"), { kind: "conclude" } as const]) build.tell(command);
  assert.equal(build.tell(promote()), "requested");
  assert.deepEqual(starts(build), ["prod/2 asked"]);
  assert.equal(build.state.status, "running");
});

test("an environment that only requests reach is promoted to as well", () => {
  const build = planned([stagePlan("build"), target("hotfix", ["build"], { automatic: false })]);
  build.tell(settle("build"));
  build.tell(promote({ environment: "hotfix" }));
  assert.deepEqual(starts(build), ["hotfix/1 asked"]);
});

test("it is asked for once, by one key or by two people who mean the same", () => {
  const build = built();
  build.tell(promote());
  assert.equal(build.tell(promote()), "nothing");
  assert.equal(build.tell(promote({ key: "other", by: "cyd" })), "nothing");
  assert.equal(build.tell(promote({ key: "back", rollback: true })), "requested", "going back is something else");
  build.tell(settle("prod"));
  assert.equal(build.tell(promote({ key: "third" })), "requested", "again, after it ended");
});

test("only what was built can go anywhere", () => {
  const early = planned();
  assert.equal(why(early, promote()), "TOR_CONFLICT: build has not ended yet: ask again when it has");
  early.tell(settle("build", "failed"));
  assert.equal(why(early, promote()), "TOR_REFUSED: build did not pass, so there is nothing to deploy");
  const forgiven = planned([stagePlan("build"), stagePlan("next", { allowFailure: true }), target("prod", ["build"])]);
  for (const command of [settle("build"), settle("next", "failed")]) forgiven.tell(command);
  assert.equal(forgiven.tell(promote()), "requested");
  assert.match(why(built(), promote({ environment: "porod" })), /^TOR_NOT_FOUND: .* it has stage, prod$/);
  assert.match(why(new Lived(buildActor), promote()), /^TOR_NOT_FOUND: there is no such build$/);
});

test("a build that was cancelled can be gone back to when it has ended, and is cancelled no more", () => {
  const build = planned([...STAGES, target("late", ["prod"])]);
  for (const command of [settle("build"), settle("stage"), settle("prod")]) build.tell(command);
  build.tell({ kind: "cancel", by: "ada", why: "enough" });
  assert.match(why(build, promote({ rollback: true })), /^TOR_CONFLICT: the build is being cancelled/);
  for (const command of [settle("late", "cancelled"), { kind: "conclude" } as const]) build.tell(command);
  assert.equal(build.state.outcome, "cancelled");
  assert.equal(build.tell(promote({ rollback: true })), "requested");
  assert.equal(build.state.cancel, null);
  assert.deepEqual(starts(build), ["prod/2 asked"]);
});

test("who asks for it is behind it, and may not approve it", () => {
  const build = built();
  build.tell(promote());
  const prod = STAGES[2];
  assert.ok(prod !== undefined);
  assert.ok(causesOf(build.state, { stage: prod, round: 1 }).includes("bob"));
});
