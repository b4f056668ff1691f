import assert from "node:assert/strict";
import { test } from "node:test";
import { dueAtMs, stageActor } from "../../../../coordinator/actors/stage.ts";
import type { StageEvent } from "../../../../protocol/events.ts";
import { HANDED_BACK, ruleClaim } from "../../../../protocol/stage.ts";
import type { Work } from "../../../../protocol/work.ts";
import { Lived, stagePlan, target, workFor } from "../samples.ts";

const RECONSIDER = { kind: "reconsider" } as const;
const CANCEL = { kind: "cancel", by: "ada", why: "wrong branch" } as const;
const CHECKED = workFor(target("prod", [], { check: ["./went"] }));
const PROD = workFor(target("prod", []));

type TestStage = ReturnType<typeof queued>;

function queued(work: Work) {
  const stage = new Lived(stageActor);
  stage.tell({ kind: "queue", work, pool: "default" });
  return stage;
}

/** As an executor does that gets the command, the one before being lost if there was one. */
function claim(stage: TestStage): string {
  const ruling = ruleClaim(stage.state, stage.state.queuedSeq, false);
  if (ruling.kind !== "claim") return ruling.kind === "give-up" ? ruling.outcome : ruling.kind;
  const { attempt, purpose, tookOver } = ruling;
  stage.happen({ type: "claimed", id: "c", atMs: stage.nowMs, executor: "one", attempt, purpose, tookOver });
  return `${purpose} ${attempt}`;
}

const start = (stage: TestStage): void => stage.happen({ type: "started", id: "s", atMs: stage.nowMs, weak: [] });

function error(stage: TestStage, changes: Partial<Extract<StageEvent, { type: "attemptErrored" }>> = {}): void {
  const because = { code: "TOR_SANDBOX_SETUP", message: "no workspace", acted: false, retryable: true };
  stage.happen({ type: "attemptErrored", id: "e", atMs: stage.nowMs, ...because, ...changes });
}

const DENIED = { code: "TOR_CHECK_DENIES", message: "`check` says that it did not go", acted: false };
const outcome = (stage: TestStage): string | undefined => stage.state.result?.outcome;

test("a stage is attempted as often as its file says", () => {
  for (const attempts of [1, 2, 5]) {
    const stage = queued(workFor(stagePlan("build", { retry: { attempts, backoffMs: 0 } })));
    for (let attempt = 1; attempt < attempts; attempt += 1) {
      assert.equal(claim(stage), `run ${attempt}`);
      error(stage);
      assert.equal(stage.tell(RECONSIDER), "queued");
    }
    claim(stage);
    error(stage);
    assert.equal(stage.tell(RECONSIDER), "finished");
    assert.equal(outcome(stage), "errored");
  }
});

test("an attempt that its executor gave back does not count, and waits for no back-off", () => {
  const stage = queued(workFor(stagePlan("build", { retry: { attempts: 1, backoffMs: 60_000 } })));
  const given = { code: HANDED_BACK, message: "it was told to go" };
  assert.equal(claim(stage), "run 1");
  error(stage, given);
  assert.equal(stage.tell(RECONSIDER), "queued");
  assert.equal(claim(stage), "run 2");
  error(stage);
  assert.equal(stage.tell(RECONSIDER), "finished");
  assert.equal(outcome(stage), "errored");
});

test("a stage that outlives every executor it gets is not repeated for ever", () => {
  const stage = queued(workFor(stagePlan("build", { retry: { attempts: 1, backoffMs: 0 } })));
  let attempts = 0;
  do {
    attempts += 1;
    claim(stage);
    error(stage, { code: HANDED_BACK });
  } while (stage.tell(RECONSIDER) === "queued");
  assert.deepEqual([attempts, outcome(stage)], [11, "errored"]);
});

test("what may have acted is unknown when its executor gives it back, or checked", () => {
  for (const [work, answer] of [
    [PROD, "finished"],
    [CHECKED, "queued"],
  ] as const) {
    const stage = queued(work);
    claim(stage);
    start(stage);
    error(stage, { code: HANDED_BACK, acted: true });
    assert.equal(stage.tell(RECONSIDER), answer);
    assert.equal(
      answer === "finished" ? outcome(stage) : stage.state.purpose,
      answer === "finished" ? "unknown" : "check",
    );
  }
});

test("a lost executor counts as an attempt, too", () => {
  const stage = queued(workFor(stagePlan("build", { retry: { attempts: 2, backoffMs: 0 } })));
  assert.deepEqual([claim(stage), claim(stage), claim(stage)], ["run 1", "run 2", "errored"]);
});

test("another attempt waits for the back-off, twice as long each time, up to a bound", () => {
  const stage = queued(workFor(stagePlan("build", { retry: { attempts: 9, backoffMs: 60_000 } })));
  const waits: number[] = [];
  for (let attempt = 1; attempt < 8; attempt += 1) {
    claim(stage);
    error(stage);
    const atMs = dueAtMs(stage.state);
    assert.ok(atMs !== null);
    waits.push(atMs - stage.nowMs);
    stage.nowMs = atMs - 1;
    assert.equal(stage.tell(RECONSIDER), "nothing");
    assert.equal(stage.tell({ kind: "overdue" }), "nothing");
    stage.nowMs = atMs;
    assert.equal(stage.tell({ kind: "overdue" }), "queued");
  }
  assert.deepEqual(waits, [60_000, 120_000, 240_000, 480_000, 600_000, 600_000, 600_000]);
});

test("without a back-off it goes at once, and a back-off longer than the bound is as the file says", () => {
  const quick = queued(workFor(stagePlan("build")));
  claim(quick);
  error(quick);
  assert.equal(dueAtMs(quick.state), null);
  const slow = queued(workFor(stagePlan("build", { retry: { attempts: 3, backoffMs: 3_600_000 } })));
  claim(slow);
  error(slow);
  assert.equal((dueAtMs(slow.state) ?? 0) - slow.nowMs, 3_600_000);
});

test("what another attempt would not cure, and what is cancelled, waits for no back-off", () => {
  const work = workFor(stagePlan("build", { retry: { attempts: 3, backoffMs: 60_000 } }));
  const hopeless = queued(work);
  claim(hopeless);
  error(hopeless, { retryable: false });
  assert.equal(hopeless.tell(RECONSIDER), "finished");
  const cancelled = queued(work);
  claim(cancelled);
  error(cancelled);
  assert.equal(cancelled.tell(CANCEL), "finished");
  assert.equal(outcome(cancelled), "cancelled");
});

test("an environment whose executor was lost half way is checked by the next, and passes when it went", () => {
  const stage = queued(CHECKED);
  claim(stage);
  start(stage);
  assert.equal(claim(stage), "check 2");
  assert.equal(stage.state.acted, true);
  start(stage);
  assert.equal(stage.state.purpose, "check");
});

test("when the check says that it did not go, it is run again, as an attempt of its own", () => {
  const stage = queued(CHECKED);
  claim(stage);
  start(stage);
  claim(stage);
  start(stage);
  error(stage, DENIED);
  assert.equal(stage.tell(RECONSIDER), "queued");
  assert.deepEqual([stage.state.purpose, stage.state.acted], ["run", false]);
  assert.equal(claim(stage), "run 3");
});

test("checks do not use up the attempts of the stage, and have as many of their own", () => {
  const stage = queued(CHECKED);
  const ways: string[] = [];
  for (let run = 1; run <= 3; run += 1) {
    ways.push(claim(stage));
    start(stage);
    ways.push(claim(stage));
    error(stage, DENIED);
    stage.tell(RECONSIDER);
  }
  assert.deepEqual(ways, ["run 1", "check 2", "run 3", "check 4", "run 5", "check 6"]);
  assert.equal(outcome(stage), "errored");
});

test("an attempt that errored half way is checked as well", () => {
  const stage = queued(CHECKED);
  claim(stage);
  start(stage);
  error(stage, { acted: true });
  assert.equal(stage.tell(RECONSIDER), "queued");
  assert.deepEqual([stage.state.purpose, stage.state.acted], ["check", true]);
  assert.equal(claim(stage), "check 2");
});

test("checks that are lost, or cannot be run, again and again end as unknown, for a person to look", () => {
  const lost = queued(CHECKED);
  claim(lost);
  start(lost);
  assert.deepEqual([claim(lost), claim(lost), claim(lost), claim(lost)], ["check 2", "check 3", "check 4", "unknown"]);
  const broken = queued(CHECKED);
  claim(broken);
  start(broken);
  for (let check = 1; check <= 3; check += 1) {
    claim(broken);
    error(broken, { acted: true });
    broken.tell(RECONSIDER);
  }
  assert.equal(outcome(broken), "unknown");
});

test("what may have acted is not cancelled but unknown, when nobody holds it", () => {
  const beforeCheck = queued(CHECKED);
  claim(beforeCheck);
  start(beforeCheck);
  error(beforeCheck, { acted: true });
  beforeCheck.tell(RECONSIDER);
  assert.equal(beforeCheck.tell(CANCEL), "finished");
  assert.equal(outcome(beforeCheck), "unknown");
  const between = queued(PROD);
  claim(between);
  start(between);
  error(between, { acted: true });
  assert.equal(between.tell(CANCEL), "finished");
  assert.equal(outcome(between), "unknown");
});

test("a cancelled stage is checked all the same, and not run again", () => {
  const stage = queued(CHECKED);
  claim(stage);
  start(stage);
  stage.tell(CANCEL);
  assert.equal(claim(stage), "check 2");
  error(stage, DENIED);
  assert.equal(stage.tell(RECONSIDER), "finished");
  assert.equal(outcome(stage), "cancelled");
});

test("a check that nobody takes in time is unknown, and one that does not begin may still have acted", () => {
  const timeouts = { queueMs: 1_000, startMs: 1_000, silenceMs: null };
  const work = workFor(target("prod", [], { check: ["./went"], timeouts }));
  const stage = queued(work);
  claim(stage);
  start(stage);
  error(stage, { acted: true });
  stage.tell(RECONSIDER);
  stage.nowMs += 1_000;
  assert.equal(stage.tell({ kind: "overdue" }), "finished");
  assert.equal(outcome(stage), "unknown");
  const slow = queued(work);
  claim(slow);
  start(slow);
  claim(slow);
  slow.nowMs += 1_000;
  assert.equal(slow.tell({ kind: "overdue" }), "attemptErrored");
  assert.equal(slow.state.lastError?.acted, true);
});

test("what is idempotent is run again without a check, and what has none is unknown", () => {
  const idempotent = queued(workFor(target("prod", [], { check: ["./went"], idempotent: true })));
  claim(idempotent);
  start(idempotent);
  assert.equal(claim(idempotent), "run 2");
  const plain = queued(PROD);
  claim(plain);
  start(plain);
  assert.equal(claim(plain), "unknown");
});
