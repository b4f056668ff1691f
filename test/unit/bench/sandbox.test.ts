import assert from "node:assert/strict";
import { test } from "node:test";
import { loopFigures, ratios, startFigures } from "../../bench/sandbox/results.ts";

test("a case has its median and its deciles, in ms", () => {
  const us = Array.from({ length: 100 }, (_, n) => (n + 1) * 1_000);
  assert.deepEqual(startFigures(new Map([["ours", us]])), { oursMs: 50, oursMsP10: 10, oursMsP90: 90 });
});

test("two loops side by side start as many in a second as both together", () => {
  const ms = (each: number): readonly number[] => Array.from({ length: 10 }, () => each * 1_000);
  const figures = loopFigures({ one: ms(4), two: [ms(5), ms(5)] });
  assert.deepEqual(figures, { oneLoopMs: 4, twoLoopsMs: 5, startsPerSecondOneLoop: 250, startsPerSecondTwoLoops: 400 });
});

test("ratios are ours to theirs under the names that are promised, and what was not measured has none", () => {
  const measured = { oursMs: 3, networkFullMs: 2.7, bubblewrapOverlayMs: 6, crunMs: 30, bareCloneMs: 1.5 };
  assert.deepEqual(ratios({ ...measured, forkExecMs: 1, oneLoopMs: 4, twoLoopsMs: 5 }), {
    bubblewrapOverlay: 0.5,
    crun: 0.1,
    bareClone: 2,
    networkFullToNone: 0.9,
    twoLoopsToOne: 1.25,
  });
});
