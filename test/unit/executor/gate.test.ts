import assert from "node:assert/strict";
import { test } from "node:test";
import { Gate } from "../../../executor/gate.ts";

const NEVER = new AbortController().signal;

test("an open gate is passed, and nothing is told to stop asking", async () => {
  const gate = new Gate();
  await gate.pass(NEVER);
  assert.deepEqual([gate.why, gate.shutting.aborted], [null, false]);
});

test("who waits at a shut gate passes when the last who shut it has opened it", async () => {
  const gate = new Gate();
  const { shutting } = gate;
  gate.shut("asked", "a person");
  gate.shut("outdated", "too old");
  assert.equal(shutting.aborted, true);
  let passed = false;
  const passing = gate.pass(NEVER).then(() => (passed = true));
  gate.open("asked");
  await Promise.resolve();
  assert.deepEqual([passed, gate.why], [false, "too old"]);
  gate.open("outdated");
  await passing;
  assert.deepEqual([gate.why, gate.shutting.aborted], [null, false]);
});

test("opening what is open does nothing, and shutting again tells the new reason", () => {
  const gate = new Gate();
  gate.open("asked");
  gate.shut("asked", "one");
  gate.shut("asked", "two");
  assert.equal(gate.why, "two");
});

test("who is told to stop does not wait at the gate", async () => {
  const gate = new Gate();
  const stop = new AbortController();
  gate.shut("asked", "a person");
  const passing = gate.pass(stop.signal);
  stop.abort();
  await passing;
  assert.equal(gate.why, "a person");
});
