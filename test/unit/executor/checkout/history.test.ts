import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "../../../../executor/checkout/history.ts";
import { shortOf } from "../../../../protocol/work.ts";

const id = (name: string): string => Buffer.from(name.padEnd(20, "-")).toString("hex");
const short = (...names: readonly string[]): readonly string[] => names.map((name) => shortOf(id(name)));
/** `child parent other`, as `git rev-list --parents` has it. */
const listed = (...lines: readonly string[]): readonly (readonly string[])[] =>
  lines.map((line) => line.split(" ").map(id));

test("a commit's ancestors are told nearest first, itself left out", () => {
  assert.deepEqual(nearest(listed("c b", "b a", "a")), short("b", "a"));
  assert.deepEqual(nearest(listed("a")), []);
  assert.deepEqual(nearest([]), []);
});

test("what was merged is told before what is in it", () => {
  assert.deepEqual(nearest(listed("m b y", "y x", "x a", "b a", "a")), short("b", "y", "a", "x"));
});

test("a long branch that was merged does not hide what the branch stood at before", () => {
  const side = Array.from({ length: 300 }, (_, at) => `s${at} s${at + 1}`);
  const all = nearest(listed("m b s0", ...side, "b a", "a z"));
  assert.deepEqual(all.slice(0, 4), short("b", "s0", "a", "z"));
  assert.equal(all.length, 128);
});

test("of a long branch as many are told as fit", () => {
  const line = Array.from({ length: 512 }, (_, at) => `c${at} c${at + 1}`);
  const all = nearest(listed(...line));
  assert.equal(all.length, 128);
  assert.equal(new Set(all).size, 128);
  assert.deepEqual(all.slice(0, 2), short("c1", "c2"));
});
