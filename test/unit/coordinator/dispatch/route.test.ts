import assert from "node:assert/strict";
import { test } from "node:test";
import { depthOf, poolsFor, poolsOf } from "../../../../coordinator/dispatch/route.ts";
import type { Presence } from "../../../../protocol/commands.ts";

function executor(id: string, pool: string, labels: string[], changes: Partial<Presence> = {}): Presence {
  const is = { id, host: "h", version: "1", pool, labels, slots: 2, busy: 0, planSlots: 4, runs: [], draining: false };
  return { ...is, sinceMs: 0, tokens: [], ...changes } as Presence;
}

const POOLS = poolsOf([
  executor("1", "default", ["x86"]),
  executor("2", "default", ["x86", "fast"], { busy: 2 }),
  executor("3", "big", ["gpu", "x86"], { busy: 1 }),
  executor("4", "gone", ["arm64"], { draining: true }),
]);

test("a pool has the labels that all of its executors have, and the slots of all", () => {
  assert.deepEqual(POOLS, [
    { name: "big", labels: ["gpu", "x86"], slots: 2, planSlots: 4, busy: 1 },
    { name: "default", labels: ["x86"], slots: 4, planSlots: 8, busy: 2 },
  ]);
});

test("labels are looked for in all pools, the idlest first; a name alone is taken at its word", () => {
  const of = (pool: string | null, ...labels: string[]) => poolsFor({ pool, labels }, POOLS);
  assert.deepEqual(of(null, "x86"), ["default", "big"]);
  assert.deepEqual(of(null, "gpu", "x86"), ["big"]);
  assert.deepEqual(of(null, "fast"), [], "one that not all have is none of the pool");
  assert.deepEqual(of(null, "arm64"), [], "one that leaves takes nothing");
  assert.deepEqual(of("default"), ["default"]);
  assert.deepEqual(of("nobody"), ["nobody"]);
  assert.deepEqual(of("default", "gpu"), []);
  assert.deepEqual(of("big", "gpu"), ["big"]);
});

test("as many commands as slots may wait, and one where nobody is", () => {
  assert.deepEqual([depthOf(POOLS, "default", "work"), depthOf(POOLS, "default", "plan")], [4, 8]);
  assert.equal(depthOf(POOLS, "nobody", "work"), 1);
});
