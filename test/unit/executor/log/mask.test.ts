import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Mask, needlesOf } from "../../../../executor/log/mask.ts";

function masked(secrets: readonly string[], chunks: readonly string[]): string {
  const mask = new Mask(needlesOf(secrets));
  const parts = chunks.map((chunk) => Buffer.from(mask.push(Buffer.from(chunk))));
  return Buffer.concat([...parts, Buffer.from(mask.end())]).toString();
}

for (const [what, secrets, chunks, expected] of [
  ["nothing is to be kept", [], ["hunter2"], "hunter2"],
  ["one in the middle", ["hunter2"], ["my hunter2 is"], "my *** is"],
  ["again and again", ["hunter2"], ["hunter2 hunter2\nhunter2"], "*** ***\n***"],
  ["split in two", ["hunter2"], ["a hun", "ter2 b"], "a *** b"],
  ["split in bytes", ["hunter2"], "a hunter2 b".split(""), "a *** b"],
  ["only its beginning", ["hunter2"], ["a hunt", "ing"], "a hunting"],
  ["its beginning at the end", ["hunter2"], ["a hunter"], "a hunter"],
  ["its beginning twice", ["hunter2"], ["hunhun", "ter2"], "hun***"],
  ["one that is within another", ["abcd", "xabcdx"], ["abcd xabc", "dx"], "*** ***"],
  ["one that is the beginning of another", ["abcd", "abcdef"], ["abcd", "ef abcd", "xx"], "*** ***xx"],
  ["two that overlap", ["abcd", "cdef"], ["abcd", "ef."], "***."],
  ["one that overlaps itself", ["aaaa"], ["aaa", "aaa", "ab"], "***b"],
  [
    "several lines, printed one by one",
    ["first line\n  second line\n}"],
    ["> second line\n> first line\n}"],
    "> ***\n> ***\n}",
  ],
  ["letters of several bytes", ["pässwörd"], ["ein pässwörd!"], "ein ***!"],
] as const) {
  test(`a log has no secret in it: ${what}`, () => assert.equal(masked(secrets, chunks), expected));
}

test("however output is cut, it is the same, and no secret is in it", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 5 });
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "d"), maxLength: 40 });
  fc.assert(
    fc.property(fc.array(letters, { minLength: 1, maxLength: 3 }), text, fc.array(fc.nat(40)), (secrets, all, cuts) => {
      const at = [0, ...cuts.map((cut) => Math.min(cut, all.length)).toSorted((a, b) => a - b), all.length];
      const chunks = at.slice(1).map((to, i) => all.slice(at[i], to));
      const whole = masked(secrets, [all]);
      assert.equal(masked(secrets, chunks), whole);
      assert.deepEqual(
        secrets.filter((secret) => whole.includes(secret)),
        [],
      );
    }),
    { numRuns: 2_000 },
  );
});
