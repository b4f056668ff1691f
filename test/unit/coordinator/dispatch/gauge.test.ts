import assert from "node:assert/strict";
import { test } from "node:test";
import { Gauge } from "../../../../coordinator/dispatch/gauge.ts";

test("what was sent waits until it is seen taken", () => {
  const gauge = new Gauge();
  gauge.sending(7);
  gauge.sent(7, 100);
  gauge.sending(9);
  assert.equal(gauge.depth, 2);
  assert.deepEqual([gauge.gone(7), gauge.gone(7), gauge.depth], [true, false, 1]);
  // Taken before the store has told its sequence.
  gauge.gone(9);
  gauge.sent(9, 101);
  assert.equal(gauge.depth, 0);
});

test("a look counts what others sent, and what of ours somebody else saw taken", () => {
  const gauge = new Gauge();
  for (const [queuedSeq, seq] of [
    [1, 10],
    [2, 11],
    [3, 15],
  ] as const) {
    gauge.sending(queuedSeq);
    gauge.sent(queuedSeq, seq);
  }
  gauge.sending(4);
  assert.deepEqual(gauge.looked(5, 11), [1, 2]);
  // One of the five is ours, and one more of ours is on its way.
  assert.equal(gauge.depth, 4 + 1 + 1);
  gauge.looked(0, 20);
  assert.equal(gauge.depth, 1);
});
