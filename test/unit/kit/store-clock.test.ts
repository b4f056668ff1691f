import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreClock } from "../../../kit/store-clock.ts";

const HOUR_MS = 3_600_000;
const near = (aMs: number, bMs: number): boolean => Math.abs(aMs - bMs) < 60_000;

test("until the store has said its time, it is this host's", () => {
  assert.ok(near(new StoreClock(() => assert.fail()).nowMs(), Date.now()));
});

test("it goes by the store's time, whatever this host's clock says", async () => {
  const clock = new StoreClock(() => Promise.resolve(Date.now() + HOUR_MS));
  await clock.start();
  clock.stop();
  assert.ok(near(clock.nowMs(), Date.now() + HOUR_MS));
});

test("a store that does not say its time is no reason to forget it", async () => {
  let asked = 0;
  const clock = new StoreClock(() => {
    asked += 1;
    return asked === 1 ? Promise.resolve(Date.now() + HOUR_MS) : Promise.reject(new Error("away"));
  });
  await clock.start();
  await assert.rejects(clock.start());
  clock.stop();
  assert.ok(near(clock.nowMs(), Date.now() + HOUR_MS));
});
