import assert from "node:assert/strict";
import { test } from "node:test";
import { attemptsIn } from "../../../../coordinator/projections/attempts.ts";
import type { StageEvent } from "../../../../protocol/events.ts";
import { bareResult } from "../../../../protocol/stage.ts";
import { stagePlan, workFor } from "../samples.ts";

let at = 0;
const head = () => ({ id: `e${at}`, atMs: (at += 10) });
const queued = (attempt: number): StageEvent => ({
  type: "queued",
  ...head(),
  work: workFor(stagePlan("build")),
  pool: "default",
  attempt,
  purpose: "run",
});
const claimed = (executor: string, attempt: number, tookOver: string | null = null): StageEvent => ({
  type: "claimed",
  ...head(),
  executor,
  attempt,
  purpose: "run",
  tookOver,
});

test("each attempt has its executor, its times, and why it ended", () => {
  at = 0;
  const attempts = attemptsIn([
    queued(1),
    claimed("one", 1),
    { type: "started", ...head(), weak: [], image: "debian@sha256:1" },
    claimed("two", 2, "executor one was lost"),
    { type: "attemptErrored", ...head(), code: "TOR_DISK_FULL", message: "no room", acted: false, retryable: true },
    queued(3),
    claimed("three", 3),
    { type: "finished", ...head(), result: bareResult("failed", "exit 1") },
  ]);
  assert.deepEqual(
    attempts.map(({ attempt, executor, queuedAtMs, claimedAtMs, startedAtMs, endedAtMs, ended, code, message }) => [
      [attempt, executor, queuedAtMs, claimedAtMs, startedAtMs, endedAtMs],
      [ended, code, message],
    ]),
    [
      [
        [1, "one", 10, 20, 30, 40],
        ["lost", null, "executor one was lost"],
      ],
      [
        [2, "two", 10, 40, null, 50],
        ["errored", "TOR_DISK_FULL", "no room"],
      ],
      [
        [3, "three", 60, 70, null, 80],
        ["failed", null, "exit 1"],
      ],
    ],
  );
  assert.equal(attempts[0]?.image, "debian@sha256:1");
});

test("a stage that nobody took, or that is under way, has no attempt, or one without an end", () => {
  at = 0;
  assert.deepEqual(attemptsIn([queued(1)]), []);
  assert.equal(attemptsIn([queued(1), claimed("one", 1)])[0]?.ended, null);
  assert.deepEqual(attemptsIn([{ type: "finished", ...head(), result: bareResult("skipped", "") }]), []);
});
