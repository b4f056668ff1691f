import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { InTurn } from "../../../kit/in-turn.ts";

test("what is done for one key is done in turn, for others side by side", async () => {
  const inTurn = new InTurn();
  const gates = [Promise.withResolvers<string>(), Promise.withResolvers<string>()] as const;
  const begun: string[] = [];
  const act = (name: string, gate: Promise<string>) => () => {
    begun.push(name);
    return gate;
  };
  const first = inTurn.run("a", act("first", gates[0].promise));
  const second = inTurn.run("a", act("second", Promise.resolve("two")));
  const other = inTurn.run("b", act("other", gates[1].promise));
  await turn();
  assert.deepEqual(begun, ["first", "other"]);
  gates[0].resolve("one");
  gates[1].resolve("side");
  assert.deepEqual(await Promise.all([first, second, other]), ["one", "two", "side"]);
  assert.deepEqual(begun, ["first", "other", "second"]);
});

test("one that fails keeps no other from its turn, and its rest is waited for", async () => {
  const inTurn = new InTurn();
  const rest = Promise.withResolvers<void>();
  let isBegun = false;
  const broken = inTurn.run(
    "a",
    () => Promise.reject(new Error("no")),
    () => rest.promise,
  );
  const next = inTurn.run("a", () => {
    isBegun = true;
    return Promise.resolve("yes");
  });
  await assert.rejects(broken, /no/);
  await turn();
  assert.equal(isBegun, false);
  rest.resolve();
  assert.equal(await next, "yes");
});
