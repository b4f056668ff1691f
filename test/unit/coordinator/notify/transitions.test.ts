import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Answer,
  again,
  CLAIM_MS,
  claim,
  GIVE_UP_MS,
  nextOf,
  retryAfterMs,
  settle,
} from "../../../../coordinator/notify/transitions.ts";
import type { Delivery } from "../../../../protocol/delivery.ts";
import { delivery } from "./samples.ts";

const AWAY: Answer = { kind: "retry", status: null, message: "no answer", isDown: true };
const pending = delivery({ id: "github.a.1-1-0", mode: "state", order: [1, 1, 0] });
const passed = delivery({ id: "github.a.1-1-9", mode: "state", order: [1, 1, 9], atMs: 5 });

test("what waits is overtaken by what is newer, whichever was written down first", () => {
  for (const lane of [
    [pending, passed],
    [passed, pending],
    [{ ...passed, status: "delivered" as const, nextAtMs: null }, pending],
    [{ ...passed, status: "gaveUp" as const, nextAtMs: null }, pending],
  ]) {
    const { overtaken, send } = nextOf(lane, 100);
    assert.deepEqual(overtaken, [pending]);
    assert.deepEqual(send, lane.find((one) => one.order[2] === 9 && one.status === "waiting") ?? null);
  }
});

test("what is under way is waited for, since it might arrive last; until its time is over", () => {
  const sent = claim(pending, 100);
  assert.deepEqual(nextOf([sent, passed], 100), { overtaken: [], send: null, lookAtMs: 100 + CLAIM_MS });
  assert.deepEqual(nextOf([sent, passed], 100 + CLAIM_MS), { overtaken: [sent], send: passed, lookAtMs: null });
});

test("of messages each is said, in order, and one that waits for its next try holds up those after it", () => {
  const [one, two] = [delivery({ id: "a", atMs: 1 }), delivery({ id: "b", atMs: 2 })];
  assert.equal(nextOf([two, one], 100).send, one);
  const tried = settle(claim(one, 100), AWAY, 100, 0);
  assert.deepEqual(nextOf([two, tried], 200), { overtaken: [], send: null, lookAtMs: tried.nextAtMs });
  assert.equal(nextOf([two, { ...one, status: "gaveUp", nextAtMs: null }], 200).send, two);
});

test("the time between tries doubles, with jitter, up to a ceiling; and who asks for longer gets it, within reason", () => {
  for (const random of [0, 0.5, 1]) {
    const waits = Array.from({ length: 40 }, (_, at) => retryAfterMs(at + 1, undefined, random));
    assert.ok(waits.every((ms, at) => ms >= (waits[at - 1] ?? 0)));
    assert.equal(waits[0], 500 + random * 500);
    assert.ok((waits.at(-1) ?? 0) <= 15 * 60_000);
  }
  assert.equal(retryAfterMs(1, 120_000, 0.5), 120_500);
  assert.equal(retryAfterMs(1, 10 * 24 * 3_600_000, 0), 3_600_000);
});

test("after a day it is given up; a person begins a new one", () => {
  let now: Delivery = delivery({});
  let nowMs = 0;
  let tries = 0;
  for (; now.status === "waiting"; tries += 1) {
    nowMs = now.nextAtMs ?? 0;
    now = settle(claim(now, nowMs), AWAY, nowMs, 0.5);
  }
  assert.equal(now.status, "gaveUp");
  assert.ok(
    nowMs <= GIVE_UP_MS && nowMs > GIVE_UP_MS * 0.9 && tries > 90 && tries < 200,
    `${tries} tries in ${nowMs} ms`,
  );
  assert.ok(now.attempts.length <= 20 && now.tried === tries);
  assert.match(now.attempts.at(-1)?.message ?? "", /given up after a day$/);
  const anew = again(now, nowMs + 5);
  assert.deepEqual([anew.status, anew.nextAtMs, anew.sinceMs], ["waiting", nowMs + 5, nowMs + 5]);
  for (const status of ["delivered", "overtaken", "sending"] as const)
    assert.throws(() => again({ ...now, status }, 0), { code: "TOR_CONFLICT" });
});
