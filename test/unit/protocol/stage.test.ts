import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ToroidError } from "../../../protocol/errors.ts";
import type { StageEvent } from "../../../protocol/events.ts";
import {
  applyToStage,
  bareResult,
  type ClaimRuling,
  holds,
  isRepeatable,
  MAX_ATTEMPTS,
  NO_STAGE,
  ruleClaim,
  type Stage,
} from "../../../protocol/stage.ts";
import type { Work } from "../../../protocol/work.ts";
import { push, stagePlan, target, workFor } from "../coordinator/samples.ts";

const BUILD = workFor(stagePlan("build"));
const PUBLISHING = workFor(stagePlan("build", { idempotent: false }));
const PROD = workFor(target("prod", []));
const IDEMPOTENT_PROD = workFor(target("prod", [], { idempotent: true }));
const PLAN: Work = { kind: "plan", push: push() };

const queued = (work: Work, attempt = 1): StageEvent => ({
  type: "queued",
  id: "q",
  atMs: 10,
  pool: "arm",
  attempt,
  purpose: "run",
  work,
});
const claimed = (attempt = 1, executor = "one"): StageEvent => ({
  type: "claimed",
  id: "c",
  atMs: 20,
  executor,
  attempt,
  purpose: "run",
  tookOver: null,
});
const started: StageEvent = { type: "started", id: "s", atMs: 30, weak: ["cgroup"] };
const publishing: StageEvent = { type: "publishing", id: "p", atMs: 35 };
const cancel: StageEvent = { type: "cancelRequested", id: "x", atMs: 40, by: "ada", why: "wrong branch" };
const errored: StageEvent = {
  type: "attemptErrored",
  id: "e",
  atMs: 50,
  code: "TOR_DISK_FULL",
  message: "the disk is full",
  acted: false,
  retryable: true,
};
const finished: StageEvent = { type: "finished", id: "f", atMs: 60, result: bareResult("passed", "") };

/** The fold, with sequences 1, 2, 3 … */
function after(...events: readonly StageEvent[]): Stage {
  return events.reduce((stage, event, at) => applyToStage(stage, event, at + 1), NO_STAGE);
}

test("a queued stage knows its work, and by which event it was queued", () => {
  const stage = after(queued(BUILD));
  assert.deepEqual(
    { ...stage },
    { ...NO_STAGE, status: "queued", work: BUILD, pool: "arm", queuedSeq: 1, queuedAtMs: 10, attempt: 1 },
  );
});

test("the sequence of the claim is the fencing token", () => {
  const stage = after(queued(BUILD), claimed());
  assert.equal(stage.status, "claimed");
  assert.equal(stage.token, 2);
  assert.equal(stage.executor, "one");
  assert.equal(stage.claimedAtMs, 20);
  assert.ok(holds(stage, 2));
  assert.ok(!holds(stage, 1));
});

test("a started environment may have acted; a started build has not, until it publishes", () => {
  assert.equal(after(queued(PROD), claimed(), started).acted, true);
  const build = after(queued(BUILD), claimed(), started);
  assert.equal(build.acted, false);
  assert.equal(build.startedAtMs, 30);
  assert.deepEqual(build.weak, ["cgroup"]);
  assert.equal(applyToStage(build, publishing, 4).acted, true);
});

test("another claim takes the stage from whoever had it, and begins anew", () => {
  const stage = after(queued(BUILD), claimed(), started, publishing, claimed(2, "two"));
  assert.equal(stage.token, 5);
  assert.equal(stage.executor, "two");
  assert.equal(stage.attempt, 2);
  assert.equal(stage.startedAtMs, null);
  assert.equal(stage.acted, false);
  assert.ok(!holds(stage, 2), "the first holder is fenced");
});

test("an errored attempt keeps its reason, and nobody holds the stage then", () => {
  const stage = after(queued(BUILD), claimed(), errored);
  assert.equal(stage.status, "retrying");
  assert.deepEqual(stage.lastError, {
    code: "TOR_DISK_FULL",
    message: "the disk is full",
    acted: false,
    retryable: true,
    atMs: 50,
  });
  assert.ok(!holds(stage, 2));
  const again = applyToStage(stage, queued(BUILD, 2), 4);
  assert.deepEqual(
    [again.status, again.attempt, again.token, again.executor, again.queuedSeq, again.acted],
    ["queued", 2, 0, null, 4, false],
  );
});

test("the first wish to cancel is the one that is kept", () => {
  const twice: StageEvent = { ...cancel, by: "bob", why: "me too" };
  const stage = after(queued(BUILD), claimed(), cancel, started, twice);
  assert.deepEqual(stage.cancel, { by: "ada", why: "wrong branch" });
  assert.equal(stage.status, "running");
});

test("a finished stage has its result, and takes nothing more", () => {
  const stage = after(queued(BUILD), claimed(), started, finished);
  assert.equal(stage.status, "finished");
  assert.equal(stage.finishedAtMs, 60);
  assert.equal(stage.result?.outcome, "passed");
  assert.ok(!holds(stage, 2));
  for (const event of [queued(BUILD), claimed(), started, publishing, cancel, errored, finished]) {
    assert.throws(
      () => applyToStage(stage, event, 9),
      (error) => error instanceof ToroidError && error.code === "TOR_TRANSITION_ILLEGAL",
    );
  }
});

test("plans and idempotent stages may be repeated unasked", () => {
  assert.deepEqual([PLAN, BUILD, IDEMPOTENT_PROD, PROD, PUBLISHING].map(isRepeatable), [
    true,
    true,
    true,
    false,
    false,
  ]);
});

interface Case {
  readonly title: string;
  readonly stage: Stage;
  readonly queuedSeq?: number;
  readonly held?: boolean;
  readonly ruling: ClaimRuling | RegExp;
}

const LOST = "executor one was lost";

const CASES: readonly Case[] = [
  {
    title: "a fresh stage is claimed",
    stage: after(queued(BUILD)),
    ruling: { kind: "claim", attempt: 1, purpose: "run", tookOver: null },
  },
  {
    title: "a stage that was queued again is claimed for the attempt it was queued for",
    stage: after(queued(BUILD), claimed(), errored, queued(BUILD, 2)),
    queuedSeq: 4,
    ruling: { kind: "claim", attempt: 2, purpose: "run", tookOver: null },
  },
  {
    title: "a command of an earlier attempt is stale",
    stage: after(queued(BUILD), claimed(), errored, queued(BUILD, 2)),
    ruling: { kind: "stale" },
  },
  { title: "a command for a stage that has no log is stale", stage: NO_STAGE, queuedSeq: 0, ruling: { kind: "stale" } },
  {
    title: "a queued stage that was cancelled is left to the coordinator",
    stage: after(queued(BUILD), cancel),
    ruling: { kind: "stale" },
  },
  { title: "a finished stage is stale", stage: after(queued(BUILD), claimed(), finished), ruling: { kind: "stale" } },
  {
    title: "a stage that is being retried is stale",
    stage: after(queued(BUILD), claimed(), errored),
    ruling: { kind: "stale" },
  },
  {
    title: "a claimed stage is held while its holder lives",
    stage: after(queued(BUILD), claimed()),
    held: true,
    ruling: { kind: "held" },
  },
  {
    title: "a running stage is held while its holder lives, cancelled or not",
    stage: after(queued(PROD), claimed(), started, cancel),
    held: true,
    ruling: { kind: "held" },
  },
  {
    title: "a stage lost before it started is taken over",
    stage: after(queued(PROD), claimed()),
    ruling: { kind: "claim", attempt: 2, purpose: "run", tookOver: LOST },
  },
  {
    title: "a build stage lost while it ran is taken over",
    stage: after(queued(BUILD), claimed(), started),
    ruling: { kind: "claim", attempt: 2, purpose: "run", tookOver: LOST },
  },
  {
    title: "an environment lost while it ran is not repeated: nobody knows what it did",
    stage: after(queued(PROD), claimed(), started),
    ruling: /^executor one was lost while this stage ran; it may have acted/,
  },
  {
    title: "a build stage lost while it published is not repeated either",
    stage: after(queued(PUBLISHING), claimed(), started, publishing),
    ruling: /^executor one was lost while this stage ran; it may have acted/,
  },
  {
    title: "an idempotent environment lost while it ran is taken over",
    stage: after(queued(IDEMPOTENT_PROD), claimed(), started),
    ruling: { kind: "claim", attempt: 2, purpose: "run", tookOver: LOST },
  },
  {
    title: "a plan lost is made again",
    stage: after(queued(PLAN), claimed()),
    ruling: { kind: "claim", attempt: 2, purpose: "run", tookOver: LOST },
  },
  {
    title: "a stage lost at its last attempt is errored",
    stage: after(queued(BUILD), claimed(MAX_ATTEMPTS)),
    ruling: { kind: "give-up", outcome: "errored", message: `${LOST}, and this was attempt 3 of 3` },
  },
  {
    title: "an environment that was cancelled and then lost may have acted all the same",
    stage: after(queued(PROD), claimed(), started, cancel),
    ruling: {
      kind: "give-up",
      outcome: "unknown",
      message: "executor one was lost while this stage ran; it may have acted, so it is not repeated by itself",
    },
  },
  {
    title: "a stage that was cancelled and then lost is cancelled",
    stage: after(queued(BUILD), claimed(), started, cancel),
    ruling: { kind: "give-up", outcome: "cancelled", message: "wrong branch" },
  },
];

for (const { title, stage, queuedSeq = 1, held = false, ruling } of CASES) {
  test(title, () => {
    const ruled = ruleClaim(stage, queuedSeq, held);
    if (!(ruling instanceof RegExp)) return assert.deepEqual(ruled, ruling);
    assert.ok(ruled.kind === "give-up" && ruled.outcome === "unknown", JSON.stringify(ruled));
    return assert.match(ruled.message, ruling);
  });
}

test("whatever a stage lived through, a ruling can be appended to it", () => {
  const any = fc.array(
    fc.constantFrom(queued(PROD), claimed(), claimed(2), claimed(3), started, cancel, errored, publishing),
    {
      maxLength: 12,
    },
  );
  fc.assert(
    fc.property(any, fc.boolean(), (events, held) => {
      let stage = after(queued(PROD));
      let seq = 1;
      for (const event of events) {
        try {
          stage = applyToStage(stage, event, seq + 1);
          seq += 1;
        } catch {
          continue; // it cannot happen here
        }
      }
      const ruled = ruleClaim(stage, stage.queuedSeq, held);
      if (ruled.kind === "claim") {
        assert.ok(ruled.attempt <= MAX_ATTEMPTS);
        assert.ok(!stage.acted, "what may have acted is not run again");
        applyToStage(stage, claimed(ruled.attempt, "two"), seq + 1);
      }
      if (ruled.kind === "give-up") {
        applyToStage(stage, { ...finished, result: bareResult(ruled.outcome, ruled.message) }, seq + 1);
      }
    }),
    { numRuns: 1_000 },
  );
});
