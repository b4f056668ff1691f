import assert from "node:assert/strict";
import { test } from "node:test";
import { type Told, tellOfBuild, tellOfLane, tellOfStage } from "../../../../coordinator/projections/events.ts";
import type { BuildEvent, LaneEvent, StageEvent } from "../../../../protocol/events.ts";
import { applyToStage, bareResult, NO_STAGE, type Stage } from "../../../../protocol/stage.ts";
import {
  ARTIFACT,
  commitOf,
  laneEntry,
  planWith,
  push,
  REPOSITORY,
  source,
  stagePlan,
  target,
  workFor,
} from "../samples.ts";

const BUILD = { repository: REPOSITORY, number: 4 };
const PROD = { repository: REPOSITORY, environment: "prod" };
const HEAD = { id: "e1", atMs: 1_785_000_000_000 };

const names = (told: readonly Told[]): readonly string[] =>
  told.map(({ subject }) => subject.replace("toroid.events.acme__api.", ""));

const OF_BUILDS: readonly (readonly [BuildEvent, readonly string[]])[] = [
  [{ type: "created", ...HEAD, push: push(), by: "queue" }, ["4.-.pipelinerun.queued"]],
  [{ type: "planned", ...HEAD, source: source(), plan: planWith(stagePlan("build")) }, ["4.-.pipelinerun.started"]],
  [
    {
      type: "requested",
      ...HEAD,
      key: "k",
      environment: "prod",
      round: 2,
      params: {},
      by: "ada",
      byScript: false,
      how: "promote",
      why: "",
    },
    ["4.-.stage.requested"],
  ],
  [
    { type: "settled", ...HEAD, stage: "build", round: 1, outcome: "passed", message: "", outputs: {}, artifact: null },
    [],
  ],
  [{ type: "cancelRequested", ...HEAD, by: "ada", why: "" }, ["4.-.pipelinerun.cancelrequested"]],
  [
    { type: "retried", ...HEAD, key: "k", rounds: [{ stage: "build", round: 2 }], by: "ada", why: "" },
    ["4.-.pipelinerun.retried"],
  ],
  [{ type: "replanned", ...HEAD, key: "k", round: 2, by: "ada", why: "" }, ["4.-.pipelinerun.retried"]],
  [{ type: "superseded", ...HEAD, by: 9 }, ["4.-.pipelinerun.superseded"]],
  [{ type: "finished", ...HEAD, outcome: "passed", message: "" }, ["4.-.pipelinerun.finished"]],
];

for (const [event, expected] of OF_BUILDS) {
  test(`of a build that is ${event.type}, people hear ${expected.join(", ") || "nothing"}`, () => {
    assert.deepEqual(names(tellOfBuild(BUILD, event)), expected);
  });
}

const STAGE: Stage = applyToStage(
  NO_STAGE,
  { type: "queued", ...HEAD, pool: "arm", attempt: 1, purpose: "run", work: workFor(target("prod", [])) },
  1,
);
const CLAIMED = { type: "claimed", ...HEAD, executor: "one", attempt: 2 } as const;

const OF_STAGES: readonly (readonly [string, StageEvent, readonly string[]])[] = [
  ["claimed", { ...CLAIMED, purpose: "run", tookOver: null }, ["4.prod.stage.claimed"]],
  [
    "taken over",
    { ...CLAIMED, purpose: "run", tookOver: "executor two was lost" },
    ["4.prod.stage.fenced", "4.prod.stage.claimed"],
  ],
  ["started", { type: "started", ...HEAD, weak: [] }, ["4.prod.taskrun.started"]],
  ["publishing", { type: "publishing", ...HEAD }, []],
  ["finished", { type: "finished", ...HEAD, result: bareResult("passed", "") }, ["4.prod.taskrun.finished"]],
  [
    "finished with an artifact",
    { type: "finished", ...HEAD, result: { ...bareResult("passed", ""), artifact: ARTIFACT } },
    ["4.prod.artifact.packaged", "4.prod.taskrun.finished"],
  ],
];

for (const [what, event, expected] of OF_STAGES) {
  test(`of a stage that is ${what}, people hear ${expected.join(", ") || "nothing"}`, () => {
    assert.deepEqual(names(tellOfStage({ ...BUILD, stage: "prod", round: 1 }, STAGE, event)), expected);
  });
}

const place = { number: 4, stage: "prod", round: 1 };
const live = { number: 4, round: 1, commit: commitOf(4), artifact: null, atMs: 1, by: null };
const pause = { by: "ada", why: "freeze", atMs: 1, untilMs: HEAD.atMs };

const OF_LANES: readonly (readonly [string, LaneEvent, readonly string[]])[] = [
  ["entered", { type: "entered", ...HEAD, entry: laneEntry(4) }, ["4.prod.lane.entered"]],
  [
    "entered, and needs approval,",
    { type: "entered", ...HEAD, entry: laneEntry(4, { approval: { from: ["bob"], self: false, expiresMs: 1 } }) },
    ["4.prod.lane.entered", "4.prod.approval.requested"],
  ],
  [
    "approved",
    {
      type: "approved",
      ...HEAD,
      ...place,
      agreement: { by: "bob", team: null, why: "", atMs: 1 },
      liveCommit: commitOf(3),
    },
    ["4.prod.approval.given"],
  ],
  [
    "rejected",
    { type: "withdrawn", ...HEAD, ...place, outcome: "cancelled", why: "rejected by bob", rejectedBy: "bob" },
    ["4.prod.approval.rejected", "4.prod.lane.withdrawn"],
  ],
  [
    "withdrawn",
    { type: "withdrawn", ...HEAD, ...place, outcome: "superseded", why: "", rejectedBy: null },
    ["4.prod.lane.withdrawn"],
  ],
  [
    "admitted",
    { type: "admitted", ...HEAD, entry: laneEntry(4), previousCommit: null, previousArtifact: null },
    ["4.prod.lane.admitted"],
  ],
  [
    "left in vain",
    { type: "left", ...HEAD, ...place, outcome: "failed", live: null, rollback: false },
    ["4.prod.lane.left"],
  ],
  [
    "left with success",
    { type: "left", ...HEAD, ...place, outcome: "passed", live, rollback: false },
    ["4.prod.service.deployed", "4.prod.lane.left"],
  ],
  [
    "left after a rollback",
    { type: "left", ...HEAD, ...place, outcome: "passed", live, rollback: true },
    ["4.prod.service.rolledback", "4.prod.lane.left"],
  ],
  [
    "entered to roll back",
    {
      type: "entered",
      ...HEAD,
      entry: laneEntry(4, { asked: true, rollback: true, askedBy: "ada", askedWhy: "slow" }),
    },
    ["4.prod.lane.entered", "4.prod.environment.held"],
  ],
  ["released", { type: "released", ...HEAD, by: "ada", why: "" }, ["-.prod.environment.released"]],
  ["paused", { type: "paused", ...HEAD, pause }, ["-.prod.environment.paused"]],
  ["resumed", { type: "resumed", ...HEAD, by: "ada", why: "" }, ["-.prod.environment.resumed"]],
];

for (const [what, event, expected] of OF_LANES) {
  test(`of a lane that is ${what}, people hear ${expected.join(", ")}`, () => {
    assert.deepEqual(names(tellOfLane(PROD, event)), expected);
  });
}

test("an event that comes twice is told under the same ids, and two of one event under two", () => {
  const event: StageEvent = { ...CLAIMED, purpose: "run", tookOver: "executor two was lost" };
  const ids = tellOfStage({ ...BUILD, stage: "prod", round: 1 }, STAGE, event).map((told) => told.event.id);
  assert.deepEqual(ids, ["e1-fenced", "e1"]);
});

test("a pause says until when, in words that a person reads", () => {
  const [told] = tellOfLane(PROD, { type: "paused", ...HEAD, pause });
  assert.deepEqual(told?.event.data, {
    repository: REPOSITORY,
    build: null,
    environment: "prod",
    by: "ada",
    why: "freeze",
    until: "2026-07-25T17:20:00.000Z",
  });
});

test("of a long commit message, the first line is told", () => {
  const event: BuildEvent = {
    type: "created",
    ...HEAD,
    push: push({ message: `one\n${"x".repeat(9_000)}` }),
    by: "queue",
  };
  assert.equal(tellOfBuild(BUILD, event)[0]?.event.data["message"], "one");
});
