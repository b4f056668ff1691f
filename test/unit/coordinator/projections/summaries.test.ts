import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Build } from "../../../../coordinator/actors/build/state.ts";
import { type BuildCommand, buildActor } from "../../../../coordinator/actors/build.ts";
import { withBuild, withStage } from "../../../../coordinator/projections/summaries.ts";
import type { BuildEvent, StageEvent } from "../../../../protocol/events.ts";
import { PLAN_STAGE, type StageId } from "../../../../protocol/ids.ts";
import { applyToStage, bareResult, NO_STAGE, type Stage } from "../../../../protocol/stage.ts";
import { type BuildSummary, buildSummary } from "../../../../protocol/summary.ts";
import { ARTIFACT, Lived, planWith, push, REPOSITORY, source, stagePlan, target, workFor } from "../samples.ts";

const ID = { repository: REPOSITORY, number: 4 };
const HEAD = { id: "e", atMs: 5 };
const BUILD = stagePlan("build");
const PROD = target("prod", ["build"]);

interface Version<T> {
  readonly state: T;
  readonly seq: number;
}

/** A build at every moment of its life: planned, built, deployed, asked for again. */
function buildVersions(): readonly Version<Build>[] {
  const build: Lived<Build, BuildEvent, BuildCommand> = new Lived(buildActor);
  const ended = { round: 1, outcome: "passed", message: "", outputs: {}, artifact: null } as const;
  const commands: readonly BuildCommand[] = [
    { kind: "create", push: push(), by: "queue" },
    { kind: "plan", round: 1, source: source(), plan: planWith(BUILD, PROD) },
    { kind: "settle", stage: "build", ...ended, artifact: ARTIFACT },
    { kind: "settle", stage: "prod", ...ended },
    { kind: "conclude" },
    { kind: "request", key: "k", environment: "prod", params: {}, by: "ada", byScript: false },
    { kind: "settle", stage: "prod", ...ended, round: 2, outcome: "failed" },
    { kind: "conclude" },
  ];
  return commands.map((command) => {
    assert.notEqual(build.tell(command), "nothing");
    return { state: build.state, seq: build.seq * 10 };
  });
}

function stageVersions(work = workFor(BUILD), outcome: "passed" | "failed" = "passed"): readonly Version<Stage>[] {
  const result = { ...bareResult(outcome, "said no"), exitCode: 1, phase: "script", logBytes: 9, outputs: { A: "1" } };
  const events: readonly StageEvent[] = [
    { type: "queued", ...HEAD, pool: "default", attempt: 1, purpose: "run", work },
    { type: "claimed", ...HEAD, executor: "one", attempt: 1, purpose: "run", tookOver: null },
    { type: "started", ...HEAD, weak: ["image-host"] },
    { type: "finished", ...HEAD, result },
  ];
  let state = NO_STAGE;
  return events.map((event, at) => {
    state = applyToStage(state, event, at + 1);
    return { state, seq: at + 1 };
  });
}

const stageId = (stage: string, round = 1): StageId => ({ ...ID, stage, round });

function known(): BuildSummary {
  const [, planned] = buildVersions();
  assert.ok(planned !== undefined);
  const summary = withBuild(null, ID, planned.state, planned.seq);
  assert.ok(summary !== null);
  return summary;
}

test("a build shows its plan, and what waits for what", () => {
  const summary = known();
  assert.deepEqual(
    summary.stages.map(({ name, status, waiting, environment }) => [name, status, waiting, environment]),
    [
      [PLAN_STAGE, "waiting", "", null],
      ["build", "waiting", "", null],
      ["prod", "waiting", "it comes after build", "prod"],
    ],
  );
  assert.equal(summary.status, "running");
  assert.equal(summary.kind, "application");
  assert.deepEqual(buildSummary.parse(summary), summary);
});

test("a build that is not planned shows what the push said", () => {
  const [created] = buildVersions();
  assert.ok(created !== undefined);
  const summary = withBuild(null, ID, created.state, created.seq);
  assert.deepEqual(
    [summary?.status, summary?.branch, summary?.author, summary?.kind],
    ["planning", "main", "Ada", null],
  );
});

test("a build that is not there has no summary", () => {
  assert.equal(withBuild(null, ID, buildActor.initial, 0), null);
});

test("a stage shows how far it is, who runs it, and how it ended", () => {
  const [queued, claimed, , finished] = stageVersions();
  assert.ok(queued !== undefined && claimed !== undefined && finished !== undefined);
  const of = (version: Version<Stage>) => withStage(known(), stageId("build"), version.state, version.seq).stages[1];
  assert.deepEqual([of(queued)?.status, of(queued)?.waiting], ["queued", "it waits for a free executor"]);
  assert.deepEqual([of(claimed)?.status, of(claimed)?.executor, of(claimed)?.waiting], ["claimed", "one", ""]);
  const end = of(finished);
  assert.deepEqual(
    [end?.status, end?.outcome, end?.message, end?.exitCode, end?.phase, end?.logBytes, end?.outputs, end?.weak],
    ["finished", "passed", "said no", 1, "script", 9, { A: "1" }, ["image-host"]],
  );
});

test("a plan that is not valid shows its problems on the build", () => {
  const problem = { file: ".toroid.yml", line: 1, column: 1, message: "what", hint: null, path: "", frame: "" };
  const planned = { kind: "invalid", source: null, problems: [problem], text: "" } as const;
  const result = { ...bareResult("failed", "what"), planned: { ...planned, problems: [problem] } };
  const stage = applyToStage(NO_STAGE, { type: "finished", ...HEAD, result }, 1);
  assert.deepEqual(withStage(known(), stageId(PLAN_STAGE), stage, 1).problems, [problem]);
});

test("what is not newer changes nothing, to the very object", () => {
  const summary = known();
  const [created] = buildVersions();
  assert.ok(created !== undefined);
  assert.equal(withBuild(summary, ID, created.state, created.seq), summary);
  const [queued, claimed] = stageVersions();
  assert.ok(queued !== undefined && claimed !== undefined);
  const further = withStage(summary, stageId("build"), claimed.state, claimed.seq);
  assert.equal(withStage(further, stageId("build"), queued.state, queued.seq), further);
});

test("whatever the order and however often, no part goes back, and all parts together are the newest of each", () => {
  const builds = buildVersions();
  const stages = [
    { id: stageId("build"), versions: stageVersions() },
    { id: stageId("prod"), versions: stageVersions(workFor(PROD)) },
    { id: stageId("prod", 2), versions: stageVersions(workFor(PROD), "failed") },
  ];
  type Step = (before: BuildSummary | null) => BuildSummary | null;
  const steps: readonly Step[] = [
    ...builds.map(
      ({ state, seq }): Step =>
        (before) =>
          withBuild(before, ID, state, seq),
    ),
    ...stages.flatMap(({ id, versions }) =>
      versions.map(
        ({ state, seq }): Step =>
          (before) => {
            const [created] = builds;
            const base = before ?? (created === undefined ? null : withBuild(null, ID, created.state, created.seq));
            return base === null ? null : withStage(base, id, state, seq);
          },
      ),
    ),
  ];
  const orders = fc.tuple(
    fc.shuffledSubarray([...steps], { minLength: steps.length }),
    fc.array(fc.constantFrom(...steps)),
  );
  fc.assert(
    fc.property(orders, ([order, repeats]) => {
      let summary: BuildSummary | null = null;
      for (const step of [...order, ...repeats]) {
        const next = step(summary);
        if (summary !== null && next !== null) neverBack(summary, next);
        summary = next;
      }
      assert.ok(summary !== null);
      assert.deepEqual(
        summary.stages
          .map(({ name, round, status, outcome, seq }) => `${name} ${round} ${status} ${outcome} ${seq}`)
          .sort(),
        ["_plan 1 waiting null 0", "build 1 finished passed 4", "prod 1 finished passed 4", "prod 2 finished failed 4"],
      );
      assert.deepEqual([summary.status, summary.outcome, summary.seq], ["finished", "failed", 80]);
    }),
  );
});

function neverBack(before: BuildSummary, after: BuildSummary): void {
  assert.ok(after.seq >= before.seq);
  for (const stage of before.stages) {
    if (stage.seq === 0) continue;
    const now = after.stages.find(({ name, round }) => name === stage.name && round === stage.round);
    assert.ok(now !== undefined && now.seq >= stage.seq, `${stage.name} ${stage.round} went back`);
  }
}
