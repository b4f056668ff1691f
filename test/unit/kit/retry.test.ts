import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { backoffMs, retry } from "../../../kit/retry.ts";
import { aborted } from "../../../kit/signals.ts";
import { ToroidError } from "../../../protocol/errors.ts";

const AWAY = new ToroidError("TOR_NATS_UNREACHABLE", "away");
const FAST = { attempts: 5, minMs: 1, maxMs: 2 };

/** Fails `times` times, then answers how often it was called. */
function failing(times: number, error: Error): () => Promise<number> {
  let calls = 0;
  return () => {
    calls += 1;
    return calls <= times ? Promise.reject(error) : Promise.resolve(calls);
  };
}

test("what may work later is tried until it does", async () => {
  const { signal } = new AbortController();
  assert.equal(await retry(failing(3, AWAY), { ...FAST, signal }), 4);
});

test("the last error is thrown when all attempts failed", async () => {
  const { signal } = new AbortController();
  const waits: number[] = [];
  const onRetry = (_error: unknown, attempt: number): void => void waits.push(attempt);
  await assert.rejects(retry(failing(9, AWAY), { ...FAST, attempts: 3, signal, onRetry }), AWAY);
  assert.deepEqual(waits, [1, 2]);
});

test("what will not work later is not tried again", async () => {
  const { signal } = new AbortController();
  const wrong = new ToroidError("TOR_CONFIG_INVALID", "wrong");
  let calls = 0;
  const once = (): Promise<never> => {
    calls += 1;
    return Promise.reject(wrong);
  };
  await assert.rejects(retry(once, { ...FAST, signal }), wrong);
  assert.equal(calls, 1);
  await assert.rejects(retry(failing(1, new TypeError("a bug")), { ...FAST, signal }), TypeError);
});

test("the caller may think otherwise about what is worth another try", async () => {
  const { signal } = new AbortController();
  assert.equal(await retry(failing(1, new TypeError("x")), { ...FAST, signal, worth: () => true }), 2);
});

test("waiting ends when it is told to stop", async () => {
  const stop = new AbortController();
  const onRetry = (): void => stop.abort();
  const long = { attempts: Number.POSITIVE_INFINITY, minMs: 60_000, maxMs: 60_000, signal: stop.signal, onRetry };
  await assert.rejects(retry(failing(9, AWAY), long));
});

test("waits double up to their limit, and never all at once", () => {
  const attempt = fc.integer({ min: 1, max: 60 });
  fc.assert(
    fc.property(attempt, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (n, random) => {
      const waitMs = backoffMs(n, 100, 5_000, random);
      const ceilingMs = Math.min(5_000, 100 * 2 ** (n - 1));
      assert.ok(waitMs >= ceilingMs / 2 && waitMs <= ceilingMs, `${waitMs} at attempt ${n}`);
    }),
  );
});

test("an abort that has happened is waited for no longer", async () => {
  await aborted(AbortSignal.abort());
  const later = new AbortController();
  const waiting = aborted(later.signal);
  later.abort();
  await waiting;
});
