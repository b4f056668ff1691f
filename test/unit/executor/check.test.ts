import assert from "node:assert/strict";
import { test } from "node:test";
import { checkOf, endingOfCheck } from "../../../executor/check.ts";
import type { Ending } from "../../../executor/ending.ts";
import type { StageResult } from "../../../protocol/events.ts";
import { bareResult } from "../../../protocol/stage.ts";
import { target, workFor } from "../coordinator/samples.ts";

const ended = (outcome: StageResult["outcome"], exitCode: number | null): Ending => ({
  kind: "finished",
  result: { ...bareResult(outcome, "exit code in script"), exitCode, logBytes: 7, outputs: { URL: "x" } },
});

test("a check runs its own lines, in the stage's place, and publishes and packs nothing", () => {
  const work = workFor(target("prod", [], { check: ["./went"], entrypoint: "bin/deploy", artifactFiles: ["x"] }));
  assert.ok(work.kind === "stage");
  const { stage, context } = checkOf(work);
  assert.deepEqual(stage.phases, { install: [], script: ["./went"], publish: [], after: [] });
  assert.deepEqual([stage.entrypoint, stage.artifactFiles, stage.environment], [null, [], "prod"]);
  assert.equal(context, work.context);
});

test("0 means that it went: the stage has passed, with what the check left for others", () => {
  const ending = endingOfCheck(ended("passed", 0));
  assert.ok(ending.kind === "finished");
  assert.equal(ending.result.outcome, "passed");
  assert.match(ending.result.message, /`check` says that it went/);
  assert.deepEqual(ending.result.outputs, { URL: "x" });
});

test("1 means that it did not: the attempt errored, had not acted, and may be repeated", () => {
  const ending = endingOfCheck(ended("failed", 1));
  assert.ok(ending.kind === "errored");
  assert.deepEqual([ending.code, ending.acted, ending.retryable], ["TOR_CHECK_DENIES", false, true]);
});

for (const [what, ending] of [
  ["another exit code", ended("failed", 2)],
  ["a signal", ended("failed", null)],
  ["too long", ended("timedOut", null)],
] as const) {
  test(`${what} tells nothing: a person has to look`, () => {
    const told = endingOfCheck(ending);
    assert.ok(told.kind === "finished");
    assert.deepEqual([told.result.outcome, told.result.logBytes], ["unknown", 7]);
    assert.match(told.result.message, /cannot tell whether it went/);
  });
}

test("a check that could not be run leaves it open whether the stage acted", () => {
  const ending: Ending = { kind: "errored", code: "TOR_DISK_FULL", message: "full", acted: false, retryable: true };
  assert.deepEqual(endingOfCheck(ending), { ...ending, acted: true });
});
