import assert from "node:assert/strict";
import { test } from "node:test";
import { durationText, rulingOf } from "../../../../executor/workspace/outcome.ts";
import { verdictOf } from "../../../../executor/workspace/verdict.ts";

const AT = { phase: "script", failed: null, timeoutMs: 90_000, silenceMs: 30_000, cancelled: null } as const;
const verdict = (exit: object) =>
  verdictOf(
    `{"event":"created","weak":[]}\n{"event":"started","setupTotalUs":1500}\n${JSON.stringify({ event: "exit", code: null, signal: null, message: "it ended", ...exit })}\n`,
  );

test("a script's own end is an outcome, and what we could not do is an error", () => {
  const told = (exit: object, at: object = {}) => {
    const ruling = rulingOf(verdict(exit), { ...AT, ...at });
    return ruling.kind === "ended" ? [ruling.outcome, ruling.message] : [ruling.code, ruling.retryable];
  };
  assert.deepEqual(told({ reason: "exit", code: 0 }), ["passed", ""]);
  assert.deepEqual(told({ reason: "exit", code: 7 }, { failed: { phase: "install", code: 7 } }), [
    "failed",
    "exit code 7 in install",
  ]);
  assert.deepEqual(told({ reason: "exit", code: 75 }), ["TOR_SCRIPT_TEMPFAIL", true]);
  assert.deepEqual(told({ reason: "signal", signal: 11, message: "it was ended by signal 11" }), [
    "failed",
    "it was ended by signal 11 in script",
  ]);
  assert.deepEqual(told({ reason: "oom", signal: 9, message: "it was killed because it used more memory" }), [
    "failed",
    "it was killed because it used more memory in script",
  ]);
  assert.deepEqual(told({ reason: "timeout" }), ["timedOut", "it took longer than its timeout of 1m30s in script"]);
  assert.deepEqual(told({ reason: "cancelled" }, { cancelled: "cancelled by ada" }), ["cancelled", "cancelled by ada"]);
  assert.deepEqual(told({ reason: "cancelled" }), ["TOR_SANDBOX_SETUP", true]);
  assert.deepEqual(told({ reason: "setup", message: "no way" }), ["TOR_SANDBOX_SETUP", true]);
  assert.deepEqual(told({ reason: "setup", step: "allow-host", message: "allow-host: it is closed" }), [
    "TOR_HOST_CLOSED",
    false,
  ]);
  assert.deepEqual(told({ reason: "setup", message: "scratch: ENOSPC (No space left on device)" }), [
    "TOR_DISK_FULL",
    true,
  ]);
  assert.deepEqual(told({ reason: "setup" }, { cancelled: "cancelled by ada" }), ["cancelled", "cancelled by ada"]);
  assert.deepEqual(told({ reason: "something new", message: "a new reason" }), ["failed", "a new reason in script"]);
});

test("lines of the helper that are damaged or unknown are passed over", () => {
  const read = verdictOf(
    'garbage\n{"event":"future","x":1}\n{"event":"exit"}\n{"event":"started","setupTotalUs":2000,"new":1}\n{"event":"exit","code":3,"signal":null,"reason":"exit","message":"m"}\n{"event":"gone","leftoverProcesses":0}',
  );
  assert.deepEqual([read.started, read.setupMs, read.code, read.reason], [true, 2, 3, "exit"]);
  assert.equal(verdictOf("").reason, "setup");
});

test("durations are told as people write them", () => {
  assert.deepEqual([500, 1_000, 90_000, 3_600_000, 5_405_000].map(durationText), [
    "500ms",
    "1s",
    "1m30s",
    "1h",
    "1h30m5s",
  ]);
});
