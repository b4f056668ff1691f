/** Cancelling a stage in each state of its life, and whatever it races with: exactly one end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { stageActor } from "../../../../coordinator/actors/stage.ts";
import type { StageEvent } from "../../../../protocol/events.ts";
import { bareResult, holds, NO_STAGE, ruleClaim, type Stage } from "../../../../protocol/stage.ts";
import type { Work } from "../../../../protocol/work.ts";
import { stagePlan, target, workFor } from "../samples.ts";

const HEAD = { id: "e", atMs: 10 };
const CANCEL = { kind: "cancel", by: "ada", why: "wrong branch" } as const;
const BUILD = workFor(stagePlan("build", { idempotent: false }));
const PROD = workFor(target("prod", []));

/** A stage's log, to which coordinator and executors append where they expect to. */
class Log {
  readonly events: StageEvent[] = [];
  state: Stage = NO_STAGE;

  /** False when somebody was faster. */
  append(event: StageEvent, expected: number): boolean {
    if (expected !== this.events.length) return false;
    this.state = stageActor.apply(this.state, event, expected + 1);
    this.events.push(event);
    return true;
  }

  /** As a mailbox does: decided again until it is appended or nothing. */
  tell(command: Parameters<typeof stageActor.decide>[1]): void {
    const decided = stageActor.decide(this.state, command, HEAD);
    if (decided.kind === "append") this.append(decided.event, this.events.length);
  }

  get ends(): number {
    return this.events.filter(({ type }) => type === "finished").length;
  }
}

const EVENTS: Readonly<Record<string, StageEvent>> = {
  claimed: { type: "claimed", ...HEAD, executor: "one", attempt: 1, purpose: "run", tookOver: null },
  started: { type: "started", ...HEAD, weak: [] },
  publishing: { type: "publishing", ...HEAD },
  errored: { type: "attemptErrored", ...HEAD, code: "TOR_DISK_FULL", message: "full", acted: false, retryable: true },
  passed: { type: "finished", ...HEAD, result: bareResult("passed", "") },
};

function logAfter(work: Work, ...names: readonly string[]): Log {
  const log = new Log();
  log.tell({ kind: "queue", work, pool: "default" });
  for (const name of names) {
    const event = EVENTS[name];
    assert.ok(event !== undefined && log.append(event, log.events.length), name);
  }
  return log;
}

/** The state a stage is cancelled in → what comes of the cancellation. */
const STATES: readonly (readonly [string, readonly string[], "ends" | "asked" | "nothing"])[] = [
  ["queued", [], "ends"],
  ["claimed", ["claimed"], "asked"],
  ["running", ["claimed", "started"], "asked"],
  ["publishing", ["claimed", "started", "publishing"], "asked"],
  ["retrying", ["claimed", "errored"], "ends"],
  ["finished", ["claimed", "started", "passed"], "nothing"],
];

for (const [name, events, comes] of STATES) {
  test(`cancelling a stage that is ${name}: ${comes}`, () => {
    const log = logAfter(BUILD, ...events);
    const before = log.events.length;
    log.tell(CANCEL);
    const last = log.events.at(-1);
    if (comes === "nothing") assert.equal(log.events.length, before);
    else assert.equal(last?.type, comes === "ends" ? "finished" : "cancelRequested");
    if (comes === "ends") assert.equal(log.state.result?.outcome, "cancelled");
    log.tell(CANCEL);
    assert.ok(log.events.length <= before + 1, "once");
  });

  test(`a stage that is ${name} and whose end races with its cancellation has one end, whoever is first`, () => {
    for (const cancelFirst of [true, false]) {
      const log = logAfter(BUILD, ...events);
      const { token } = log.state;
      // Both have read the log as it is.
      const expected = log.events.length;
      const decided = stageActor.decide(log.state, CANCEL, HEAD);
      const finish = (): boolean => holds(log.state, token) && log.append(EVENTS["passed"] as StageEvent, expected);
      const cancel = (): boolean => decided.kind === "append" && log.append(decided.event, expected);
      if (cancelFirst ? cancel() : finish()) {
        assert.equal(cancelFirst ? finish() : cancel(), false, "the second one sees that it is second");
      }
      // The loser reads again; a holder reports what it was asked for.
      log.tell(CANCEL);
      if (holds(log.state, token)) {
        log.append({ type: "finished", ...HEAD, result: bareResult("cancelled", "wrong branch") }, log.events.length);
      }
      assert.equal(log.ends, 1);
      log.tell(CANCEL);
      assert.equal(log.ends, 1);
    }
  });
}

test("a stage that never ran is cancelled before it is queued, and is then never queued", () => {
  const log = new Log();
  log.tell(CANCEL);
  log.tell({ kind: "queue", work: BUILD, pool: "default" });
  assert.deepEqual(
    log.events.map(({ type }) => type),
    ["finished"],
  );
});

test("a cancelled stage whose executor is lost ends as cancelled, or as unknown once it may have acted", () => {
  const plain = logAfter(BUILD, "claimed");
  plain.tell(CANCEL);
  const ruling = ruleClaim(plain.state, 1, false);
  assert.ok(ruling.kind === "give-up");
  assert.equal(ruling.outcome, "cancelled");
  for (const log of [logAfter(PROD, "claimed", "started"), logAfter(BUILD, "claimed", "started", "publishing")]) {
    log.tell(CANCEL);
    const acted = ruleClaim(log.state, 1, false);
    assert.ok(acted.kind === "give-up");
    assert.equal(acted.outcome, "unknown");
  }
});

type Step = "cancel" | "reconsider" | "claim" | "start" | "publish" | "error" | "finish" | "lose";
const anyStep: fc.Arbitrary<Step> = fc.constantFrom(
  "cancel",
  "reconsider",
  "claim",
  "claim",
  "start",
  "start",
  "publish",
  "error",
  "finish",
  "lose",
);

test("whatever happens in whatever order, a stage has at most one end, and nothing after it", () => {
  fc.assert(
    fc.property(fc.constantFrom(BUILD, PROD), fc.array(anyStep, { maxLength: 30 }), (work, steps) => {
      const log = logAfter(work);
      for (const step of steps) {
        const { token, queuedSeq, attempt } = log.state;
        const mine = holds(log.state, token);
        const at = log.events.length;
        if (step === "cancel") log.tell(CANCEL);
        else if (step === "reconsider") log.tell({ kind: "reconsider" });
        else if (step === "claim" || step === "lose") {
          const ruling = ruleClaim(log.state, queuedSeq, step === "claim");
          if (ruling.kind === "claim") {
            const { purpose, tookOver } = ruling;
            log.append({ type: "claimed", ...HEAD, executor: "two", attempt: ruling.attempt, purpose, tookOver }, at);
          } else if (ruling.kind === "give-up") {
            log.append({ type: "finished", ...HEAD, result: bareResult(ruling.outcome, ruling.message) }, at);
          }
        } else if (mine && log.state.status === "claimed" && step === "start") {
          log.append(EVENTS["started"] as StageEvent, at);
        } else if (mine && log.state.status === "running" && step === "publish") {
          log.append(EVENTS["publishing"] as StageEvent, at);
        } else if (mine && step === "error") {
          const { acted } = log.state;
          log.append({ ...(EVENTS["errored"] as Extract<StageEvent, { type: "attemptErrored" }>), acted }, at);
        } else if (mine && step === "finish") log.append(EVENTS["passed"] as StageEvent, at);
        assert.ok(log.state.attempt >= attempt);
      }
      assert.ok(log.ends <= 1);
      if (log.ends === 1) assert.equal(log.events.at(-1)?.type, "finished");
    }),
    { numRuns: 1_000 },
  );
});
