import assert from "node:assert/strict";
import { test } from "node:test";
import { dueAtMs, stageActor } from "../../../../coordinator/actors/stage.ts";
import type { StageEvent } from "../../../../protocol/events.ts";
import { bareResult } from "../../../../protocol/stage.ts";
import type { Work } from "../../../../protocol/work.ts";
import { Lived, push, stagePlan, workFor } from "../samples.ts";

const OVERDUE = { kind: "overdue" } as const;
const TIMED = workFor(stagePlan("build", { timeouts: { queueMs: 600_000, startMs: 120_000, silenceMs: null } }));

function queued(work: Work = TIMED) {
  const stage = new Lived(stageActor);
  stage.tell({ kind: "queue", work, pool: "default" });
  return stage;
}

function after(...events: readonly StageEvent[]) {
  const stage = queued();
  for (const event of events) stage.happen(event);
  return stage;
}

const claimed: StageEvent = {
  type: "claimed",
  id: "c",
  atMs: 5_000,
  executor: "one",
  attempt: 1,
  purpose: "run",
  tookOver: null,
};
const started: StageEvent = { type: "started", id: "s", atMs: 6_000, weak: [] };
const errored: StageEvent = {
  type: "attemptErrored",
  id: "e",
  atMs: 7_000,
  code: "TOR_DISK_FULL",
  message: "full",
  acted: false,
  retryable: true,
};
const finished: StageEvent = { type: "finished", id: "f", atMs: 8_000, result: bareResult("passed", "") };

test("a stage that no executor takes in time is timed out, and says by which timeout", () => {
  const stage = queued();
  assert.equal(dueAtMs(stage.state), 601_000);
  stage.nowMs = 600_999;
  assert.equal(stage.tell(OVERDUE), "nothing");
  stage.nowMs = 601_000;
  assert.equal(stage.tell(OVERDUE), "finished");
  assert.deepEqual(
    [stage.state.result?.outcome, stage.state.result?.message],
    ["timedOut", "no executor took it within 10m, its timeout in the queue"],
  );
  assert.equal(stage.tell(OVERDUE), "nothing");
});

test("an executor that does not begin in time loses the stage to another one", () => {
  const stage = after(claimed);
  assert.equal(dueAtMs(stage.state), 125_000);
  stage.nowMs = 124_999;
  assert.equal(stage.tell(OVERDUE), "nothing");
  stage.nowMs = 125_000;
  assert.equal(stage.tell(OVERDUE), "attemptErrored");
  assert.deepEqual(
    [stage.state.lastError?.code, stage.state.lastError?.message, stage.state.lastError?.acted],
    ["TOR_START_TIMEOUT", "executor one did not begin it within 2m, its timeout to start", false],
  );
  assert.equal(stage.tell({ kind: "reconsider" }), "queued");
  assert.equal(dueAtMs(stage.state), 125_000 + 600_000, "the time in the queue begins anew");
});

test("once it runs, has ended, or waits for another attempt, no timeout of the coordinator is left", () => {
  for (const events of [
    [claimed, started],
    [claimed, errored],
    [claimed, started, finished],
  ]) {
    const stage = after(...events);
    stage.nowMs = Number.MAX_SAFE_INTEGER;
    assert.equal(dueAtMs(stage.state), null);
    assert.equal(stage.tell(OVERDUE), "nothing");
  }
});

test("without a timeout, and for a plan, nothing is due, however long it takes", () => {
  for (const work of [workFor(stagePlan("build")), { kind: "plan", push: push() } as const]) {
    const stage = queued(work);
    stage.nowMs = Number.MAX_SAFE_INTEGER;
    assert.equal(dueAtMs(stage.state), null);
    assert.equal(stage.tell(OVERDUE), "nothing");
  }
  assert.equal(new Lived(stageActor).tell(OVERDUE), "nothing");
});

test("a cancelled stage that its executor does not begin is cancelled and not tried again", () => {
  const stage = after(claimed);
  stage.tell({ kind: "cancel", by: "ada", why: "wrong branch" });
  stage.nowMs = 125_000;
  stage.tell(OVERDUE);
  stage.tell({ kind: "reconsider" });
  assert.equal(stage.state.result?.outcome, "cancelled");
});
