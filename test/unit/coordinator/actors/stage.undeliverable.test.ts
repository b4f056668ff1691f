import assert from "node:assert/strict";
import { test } from "node:test";
import { stageActor } from "../../../../coordinator/actors/stage.ts";
import { bareResult } from "../../../../protocol/stage.ts";
import { Lived, stagePlan, target, workFor } from "../samples.ts";

const WHY = "it was offered to executors 100000 times, and none took it";
const undeliverable = (queuedSeq: number) => ({ kind: "undeliverable", queuedSeq, why: WHY }) as const;
const claimed = {
  type: "claimed",
  id: "c",
  atMs: 0,
  executor: "one",
  attempt: 1,
  purpose: "run",
  tookOver: null,
} as const;

function queued(work = workFor(stagePlan("build"))) {
  const stage = new Lived(stageActor);
  stage.tell({ kind: "queue", work, pool: "default" });
  return stage;
}

test("a stage whose command nobody gets any more is errored, with that as its reason", () => {
  const stage = queued();
  assert.equal(stage.tell(undeliverable(1)), "finished");
  assert.deepEqual([stage.state.result?.outcome, stage.state.result?.message], ["errored", WHY]);
  assert.equal(stage.tell(undeliverable(1)), "nothing");
});

test("one that somebody holds, that ended, or that was queued anew is left alone", () => {
  const held = queued();
  held.happen(claimed);
  assert.equal(held.tell(undeliverable(1)), "nothing");
  const ended = queued();
  ended.happen({ type: "finished", id: "f", atMs: 0, result: bareResult("passed", "") });
  assert.equal(ended.tell(undeliverable(1)), "nothing");
  assert.equal(queued().tell(undeliverable(7)), "nothing", "another command than the newest");
  assert.equal(new Lived(stageActor).tell(undeliverable(1)), "nothing");
});

test("a check that nobody gets leaves it unknown whether the stage acted", () => {
  const stage = queued(workFor(target("prod", [], { check: ["./went"] })));
  stage.happen(claimed);
  stage.happen({ type: "started", id: "s", atMs: 0, weak: [] });
  const error = { code: "TOR_DISK_FULL", message: "full", acted: true, retryable: true };
  stage.happen({ type: "attemptErrored", id: "e", atMs: 0, ...error });
  stage.tell({ kind: "reconsider" });
  assert.equal(stage.tell(undeliverable(stage.state.queuedSeq)), "finished");
  assert.equal(stage.state.result?.outcome, "unknown");
});
