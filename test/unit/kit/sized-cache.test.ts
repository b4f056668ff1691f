import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SizedCache } from "../../../kit/sized-cache.ts";

test("what was put in last stays, up to the size that is allowed", () => {
  const cache = new SizedCache<number>(10);
  cache.set("a", 1, 4);
  cache.set("b", 2, 4);
  cache.set("a", 3, 4);
  cache.set("c", 4, 4);
  assert.deepEqual([cache.get("a"), cache.get("b"), cache.get("c")], [3, undefined, 4]);
});

test("one that is too large by itself is kept until the next comes", () => {
  const cache = new SizedCache<string>(10);
  cache.set("small", "s", 1);
  cache.set("large", "l", 100);
  assert.deepEqual([cache.get("small"), cache.get("large")], [undefined, "l"]);
  cache.set("small", "s", 1);
  assert.deepEqual([cache.get("small"), cache.get("large")], ["s", undefined]);
});

test("the sizes of what is kept are never more than allowed, but for the newest", () => {
  const step = fc.record({ key: fc.constantFrom("a", "b", "c", "d", "e"), bytes: fc.nat(8), gone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step), fc.integer({ min: 1, max: 20 }), (steps, most) => {
      const cache = new SizedCache<number>(most);
      const last = new Map<string, number>();
      for (const { key, bytes, gone } of steps) {
        if (gone) cache.delete(key);
        else cache.set(key, bytes, bytes);
        last.delete(key);
        if (!gone) last.set(key, bytes);
        const kept = [...last].filter(([name]) => cache.get(name) !== undefined);
        assert.equal(kept.length, cache.size);
        for (const [name, value] of kept) {
          assert.equal(cache.get(name), value, "the newest value of each");
          assert.equal(cache.sizeOf(name), value);
        }
        const total = kept.reduce((sum, [, value]) => sum + value, 0);
        if (kept.length > 1) assert.ok(total <= most, `${total} bytes are kept where ${most} are allowed`);
      }
    }),
  );
});
