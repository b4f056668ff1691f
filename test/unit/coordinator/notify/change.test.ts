import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rule } from "../../../../coordinator/notify/change.ts";
import type { NoticeState, Standing } from "../../../../protocol/notice.ts";

type End = readonly [number: number, state: "passed" | "failed" | "errored" | "cancelled" | "superseded"];

function told(ends: readonly End[]): readonly number[] {
  let known: Standing | null = null;
  return ends.flatMap(([number, state]) => {
    const ruling = rule(known, [number, 1], state);
    known = ruling.standing ?? known;
    return ruling.change ? [number] : [];
  });
}

test("the first failure is a change, and the first pass after one", () => {
  assert.deepEqual(
    told([
      [1, "passed"],
      [2, "failed"],
      [3, "errored"],
      [4, "passed"],
      [5, "passed"],
      [6, "failed"],
    ]),
    [2, 4, 6],
  );
  assert.deepEqual(
    told([
      [1, "failed"],
      [2, "cancelled"],
      [3, "superseded"],
      [4, "failed"],
      [5, "passed"],
    ]),
    [1, 5],
  );
});

test("what ends after something newer of its branch is no change any more", () => {
  assert.deepEqual(
    told([
      [2, "passed"],
      [1, "failed"],
      [3, "passed"],
    ]),
    [],
  );
});

test("the same end is ruled the same however often it comes, whatever came between", () => {
  const end = fc.tuple(fc.integer({ min: 1, max: 20 }), fc.constantFrom<NoticeState>("passed", "failed", "cancelled"));
  fc.assert(
    fc.property(fc.array(end, { maxLength: 30 }), (ends) => {
      let known: Standing | null = null;
      const rulings = new Map<string, boolean>();
      for (const [number, state] of [...ends, ...ends]) {
        const ruling = rule(known, [number, 1], state);
        known = ruling.standing ?? known;
        // A build ends but once: another state for its number is no other end.
        const before = rulings.get(`${number}`);
        if (before === undefined && state !== "cancelled") rulings.set(`${number}`, ruling.change);
        else if (state !== "cancelled") assert.equal(ruling.change, before);
      }
    }),
  );
});
