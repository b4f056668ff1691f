import assert from "node:assert/strict";
import { test } from "node:test";
import { stageActor } from "../../../../coordinator/actors/stage.ts";
import type { StageEvent } from "../../../../protocol/events.ts";
import { bareResult, MAX_ATTEMPTS } from "../../../../protocol/stage.ts";
import type { Work } from "../../../../protocol/work.ts";
import { Lived, push, stagePlan, target, workFor } from "../samples.ts";

const BUILD = workFor(stagePlan("build"));
const PROD = workFor(target("prod", []));
const CANCEL = { kind: "cancel", by: "ada", why: "wrong branch" } as const;

function queue(work: Work) {
  return { kind: "queue", work, pool: "default" } as const;
}

function queued(work: Work = BUILD) {
  const stage = new Lived(stageActor);
  stage.tell(queue(work));
  return stage;
}

function claimed(work: Work = BUILD) {
  const stage = queued(work);
  claim(stage, 1);
  return stage;
}

function claim(stage: ReturnType<typeof queued>, attempt: number): void {
  stage.happen({ type: "claimed", id: "c", atMs: 0, executor: "one", attempt, purpose: "run", tookOver: null });
}

function errored(changes: Partial<Extract<StageEvent, { type: "attemptErrored" }>> = {}): StageEvent {
  const because = { code: "TOR_DISK_FULL", message: "the disk is full", acted: false, retryable: true };
  return { type: "attemptErrored", id: "e", atMs: 0, ...because, ...changes };
}

function outcomeOf(stage: ReturnType<typeof queued>): readonly [string | undefined, string | undefined] {
  return [stage.state.result?.outcome, stage.state.result?.message];
}

test("a stage is queued once", () => {
  const stage = queued();
  assert.equal(stage.state.attempt, 1);
  assert.equal(stage.tell(queue(BUILD)), "nothing");
  claim(stage, 1);
  assert.equal(stage.tell(queue(BUILD)), "nothing");
});

test("a stage that never ran can be closed, and is then never queued", () => {
  const stage = new Lived(stageActor);
  const close = { kind: "close", outcome: "skipped", why: "it comes after build, which did not pass" } as const;
  assert.equal(stage.tell(close), "finished");
  assert.deepEqual(outcomeOf(stage), ["skipped", "it comes after build, which did not pass"]);
  assert.equal(stage.tell(close), "nothing");
  assert.equal(stage.tell(queue(BUILD)), "nothing");
});

test("a stage that is queued, runs or ended is not closed", () => {
  const close = { kind: "close", outcome: "skipped", why: "" } as const;
  assert.equal(queued().tell(close), "nothing");
  assert.equal(claimed().tell(close), "nothing");
});

test("a stage that nobody holds is cancelled at once", () => {
  for (const stage of [new Lived(stageActor), queued()]) {
    assert.equal(stage.tell(CANCEL), "finished");
    assert.deepEqual(outcomeOf(stage), ["cancelled", "wrong branch"]);
    assert.equal(stage.tell(CANCEL), "nothing");
  }
});

test("a stage that somebody holds is asked to end, once", () => {
  const stage = claimed();
  assert.equal(stage.tell(CANCEL), "cancelRequested");
  assert.equal(stage.tell({ ...CANCEL, by: "bob" }), "nothing");
  stage.happen({ type: "started", id: "s", atMs: 0, weak: [] });
  assert.equal(stage.tell(CANCEL), "nothing");
  assert.equal(stage.state.cancel?.by, "ada");
});

test("a stage that ended is not cancelled any more", () => {
  const stage = claimed();
  stage.happen({ type: "finished", id: "f", atMs: 0, result: bareResult("passed", "") });
  assert.equal(stage.tell(CANCEL), "nothing");
});

test("an attempt that errored before it did anything is tried again", () => {
  const stage = claimed(PROD);
  stage.happen(errored());
  assert.equal(stage.tell({ kind: "reconsider" }), "queued");
  assert.equal(stage.state.attempt, 2);
  assert.deepEqual(stage.state.work, PROD);
  assert.equal(stage.tell({ kind: "reconsider" }), "nothing");
});

test("it is given up after the last attempt, with the last reason", () => {
  const stage = claimed();
  for (let attempt = 1; attempt < MAX_ATTEMPTS; attempt += 1) {
    stage.happen(errored({ message: `try ${attempt}` }));
    assert.equal(stage.tell({ kind: "reconsider" }), "queued");
    claim(stage, attempt + 1);
  }
  stage.happen(errored({ message: "try 3" }));
  assert.equal(stage.tell({ kind: "reconsider" }), "finished");
  assert.deepEqual(outcomeOf(stage), ["errored", "try 3"]);
});

test("what another attempt would not cure is errored at once", () => {
  const stage = claimed();
  stage.happen(errored({ retryable: false, message: "there is no such image" }));
  stage.tell({ kind: "reconsider" });
  assert.deepEqual(outcomeOf(stage), ["errored", "there is no such image"]);
});

test("an environment that may have acted is not tried again: its end is unknown", () => {
  const stage = claimed(PROD);
  stage.happen({ type: "started", id: "s", atMs: 0, weak: [] });
  stage.happen(errored({ acted: true, message: "the host went down" }));
  stage.tell({ kind: "reconsider" });
  assert.equal(outcomeOf(stage)[0], "unknown");
  assert.match(outcomeOf(stage)[1] ?? "", /^the host went down; it may have acted/);
});

test("a build or an idempotent environment that acted is tried again", () => {
  for (const work of [
    BUILD,
    workFor(target("prod", [], { idempotent: true })),
    { kind: "plan", push: push() } as const,
  ]) {
    const stage = claimed(work);
    stage.happen(errored({ acted: true }));
    assert.equal(stage.tell({ kind: "reconsider" }), "queued");
  }
});

test("an attempt that errored after somebody cancelled is cancelled and not tried again", () => {
  const stage = claimed();
  stage.tell(CANCEL);
  stage.happen(errored());
  stage.tell({ kind: "reconsider" });
  assert.deepEqual(outcomeOf(stage), ["cancelled", "wrong branch"]);
});

test("a stage between two attempts is cancelled at once", () => {
  const stage = claimed();
  stage.happen(errored());
  assert.equal(stage.tell(CANCEL), "finished");
  assert.equal(stage.tell({ kind: "reconsider" }), "nothing");
});
