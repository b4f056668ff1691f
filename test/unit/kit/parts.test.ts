import assert from "node:assert/strict";
import { test } from "node:test";
import { Parts } from "../../../kit/parts.ts";
import { aborted, type Signals } from "../../../kit/signals.ts";

function outer(): { readonly signals: Signals; readonly stop: AbortController; readonly hard: AbortController } {
  const [stop, hard] = [new AbortController(), new AbortController()];
  return { signals: { stop: stop.signal, hard: hard.signal }, stop, hard };
}

test("when one part cannot go on, the others are told to end, and its error is the whole's", async () => {
  const failures: unknown[] = [];
  const parts = new Parts(outer().signals, (error) => failures.push(error));
  const ended: string[] = [];
  parts.add(aborted(parts.signals.stop).then(() => void ended.push("other")));
  const error = new Error("no store");
  parts.add(Promise.reject(error));
  parts.add(Promise.reject(new Error("follows from it")));
  await assert.rejects(parts.ended(), error);
  assert.deepEqual([failures, ended], [[error], ["other"]]);
});

test("parts that are told to stop are waited for", async () => {
  const { signals, stop } = outer();
  const parts = new Parts(signals, () => assert.fail());
  const inHand = Promise.withResolvers<void>();
  parts.add(aborted(parts.signals.stop).then(() => inHand.promise));
  let over = false;
  const ended = parts.ended().then(() => {
    over = true;
  });
  stop.abort();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(over, false);
  inHand.resolve();
  await ended;
});

test("parts that hang are abandoned when the whole is", async () => {
  const { signals, hard } = outer();
  const parts = new Parts(signals, () => assert.fail());
  parts.add(new Promise(() => undefined));
  hard.abort();
  await parts.ended();
});

test("what has begun is told to end when the whole ends before it was complete", () => {
  const ends: string[] = [];
  assert.throws(() => {
    using parts = new Parts(outer().signals, () => assert.fail());
    for (const name of ["stop", "hard"] as const) parts.signals[name].addEventListener("abort", () => ends.push(name));
    throw new Error("no queue");
  }, /no queue/);
  assert.deepEqual(ends, ["stop", "hard"]);
});
