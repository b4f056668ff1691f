import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { matches, patternProblem, selects } from "../../../../protocol/pipeline/glob.ts";

const YES: readonly (readonly [string, string])[] = [
  ["main", "main"],
  ["release/*", "release/1.2"],
  ["*", "main"],
  ["**", "feature/a/b"],
  ["api/**", "api/a.ts"],
  ["api/**", "api/a/b/c.ts"],
  ["**/*.ts", "a.ts"],
  ["**/*.ts", "a/b.ts"],
  ["a/**/b", "a/b"],
  ["a/**/b", "a/x/y/b"],
  ["**/a/**", "x/a/y"],
  ["a**b", "a/x/b"],
  ["v?.[0-9]", "v1.2"],
  ["v[!a-z]", "v1"],
  ["\\*", "*"],
  [".github/**", ".github/x"],
  ["*", ".hidden"],
  ["é*", "été"],
];

const NO: readonly (readonly [string, string])[] = [
  ["main", "Main"],
  ["main", "main2"],
  ["release/*", "release/1/2"],
  ["*", "a/b"],
  ["api/**", "api"],
  ["api/**", "apis/a"],
  ["**/foo", "xfoo"],
  ["**/foo", "a/xfoo"],
  ["a/**/b", "a/xb"],
  ["v?", "v"],
  ["a?b", "a/b"],
  ["a[!x]b", "a/b"],
  ["v[0-9]", "vx"],
  ["", "a"],
  ["[", "["],
];

test("patterns match as documented", () => {
  for (const [pattern, text] of YES) assert.ok(matches(pattern, text), `${pattern} should match ${text}`);
  for (const [pattern, text] of NO) assert.ok(!matches(pattern, text), `${pattern} should not match ${text}`);
});

test("the last pattern that matches decides", () => {
  const patterns = ["src/**", "!src/docs/**", "src/docs/api.md"];
  assert.deepEqual(
    ["src/a", "src/docs/a", "src/docs/api.md", "lib/a"].map((path) => selects(patterns, path)),
    [true, false, true, false],
  );
});

test("a list that begins with a negation begins with everything", () => {
  assert.deepEqual(
    ["docs/a", "src/a"].map((path) => selects(["!docs/**"], path)),
    [false, true],
  );
});

test("an empty list selects nothing", () => {
  assert.equal(selects([], "a"), false);
});

test("a pattern can be wrong in four ways", () => {
  assert.equal(patternProblem("!"), "a pattern cannot be empty");
  assert.equal(patternProblem("a".repeat(257)), "a pattern can have 256 characters at most");
  assert.match(patternProblem("/^v/") ?? "", /regular expression/);
  assert.match(patternProblem("a[b") ?? "", /without its `\]`/);
  assert.equal(patternProblem("!api/**"), null);
});

const letters = fc.string({ unit: fc.constantFrom("a", "b", "/", ".") });

test("text without special characters matches itself and nothing else", () => {
  fc.assert(fc.property(letters, letters, (a, b) => assert.equal(matches(a, b), a === b)));
});

test("`**` matches everything", () => {
  fc.assert(fc.property(fc.string(), (text) => assert.ok(matches("**", text))));
});

const SOURCES: ReadonlyMap<string, string> = new Map([
  ["?", "[^/]"],
  ["*", "[^/]*"],
  ["**/", "(?:[^/]*/)*"],
]);

test("patterns mean what the same regular expression means", () => {
  const pattern = fc.array(fc.constantFrom("a", "b", "/", "?", "*", "**/"), { maxLength: 6 });
  fc.assert(
    fc.property(pattern, letters, (parts, text) => {
      // Stars side by side would read as `**`, and `**/` in mid-word as something else: both have tests above.
      const plain = parts.filter((part, i) => !part.startsWith("*") || i === 0 || parts[i - 1] === "/");
      const source = plain.map((part) => SOURCES.get(part) ?? part).join("");
      assert.equal(matches(plain.join(""), text), new RegExp(`^${source}$`).test(text), plain.join(""));
    }),
    { numRuns: 1_000 },
  );
});

test("no pattern takes long", () => {
  const started = performance.now();
  assert.equal(matches(`${"*a".repeat(100)}b`, "a".repeat(4_000)), false);
  assert.equal(matches(`${"**/a".repeat(60)}b`, "a/".repeat(2_000)), false);
  assert.ok(performance.now() - started < 5_000);
});
