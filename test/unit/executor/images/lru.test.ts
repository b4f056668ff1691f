import assert from "node:assert/strict";
import { test } from "node:test";
import { tooMany } from "../../../../executor/images/lru.ts";

const one = (name: string, bytes: number, usedAtMs: number, pinned = false) => ({ name, bytes, usedAtMs, pinned });
const names = (all: readonly { readonly name: string }[]): string => all.map(({ name }) => name).join("");

test("what was not used for the longest goes first, and no more than has to", () => {
  const all = [one("c", 10, 3), one("a", 10, 1), one("b", 10, 2)];
  assert.equal(names(tooMany(all, 30)), "");
  assert.equal(names(tooMany(all, 29)), "a");
  assert.equal(names(tooMany(all, 10)), "ab");
  assert.equal(names(tooMany(all, 0)), "abc");
});

test("what is in use stays and counts, however long ago its use began", () => {
  const all = [one("a", 100, 1, true), one("b", 10, 2), one("c", 10, 3)];
  assert.equal(names(tooMany(all, 110)), "b");
  assert.equal(names(tooMany(all, 50)), "bc");
});
