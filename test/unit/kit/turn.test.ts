import assert from "node:assert/strict";
import { test } from "node:test";
import { Turn } from "../../../kit/turn.ts";

test("what is added in one turn is sent at its end, together and in order", async () => {
  const turn = new Turn();
  const sent: string[] = [];
  const send = (what: string) =>
    turn.add(async () => {
      sent.push(what);
      queueMicrotask(() => sent.push(`after ${what}`));
      return `answer to ${what}`;
    });
  const answers = [send("one"), Promise.resolve().then(() => send("two")), send("three")];
  await Promise.resolve();
  assert.deepEqual(sent, [], "nothing is sent before the end of the turn");
  assert.deepEqual(await Promise.all(answers), ["answer to one", "answer to two", "answer to three"]);
  assert.deepEqual(sent, ["one", "three", "two", "after one", "after three", "after two"]);
});

test("one that cannot be sent keeps no other from it", async () => {
  const turn = new Turn();
  const broken = turn.add(() => {
    throw new Error("closed");
  });
  const whole = turn.add(() => "sent");
  await assert.rejects(broken, /closed/);
  assert.equal(await whole, "sent");
});

test("what is added while others are sent has a turn of its own", async () => {
  const turn = new Turn();
  const nested = await turn.add(() => turn.add(() => "later"));
  assert.equal(nested, "later");
});
