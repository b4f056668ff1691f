import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseQueueFile } from "../../../../protocol/pipeline/queue-file.ts";
import { wordsOf } from "../../../../protocol/pipeline/shell-words.ts";

function parse(text: string) {
  return parseQueueFile(Buffer.from(text));
}

/** `line: message` of each problem. */
function told(bytes: string | Uint8Array): readonly string[] {
  const read = parseQueueFile(Buffer.from(bytes));
  return read.kind === "invalid" ? read.problems.map(({ line, message }) => `${line}: ${message}`) : ["no problem"];
}

test("an environment with params and another repository at a ref are requests", () => {
  assert.deepEqual(parse("prod REGION=eu-west-1\n\n# comment\nacme/web@main\nacme/web@refs/tags/v1 A= B=x=y\r\n"), {
    kind: "requests",
    requests: [
      { kind: "environment", environment: "prod", params: { REGION: "eu-west-1" } },
      { kind: "repository", repository: "acme/web", ref: "main", params: {} },
      { kind: "repository", repository: "acme/web", ref: "refs/tags/v1", params: { A: "", B: "x=y" } },
    ],
  });
});

test("an empty file asks for nothing", () => {
  assert.deepEqual(parse(""), { kind: "requests", requests: [] });
});

test("values are quoted as in a shell and nothing is expanded", () => {
  assert.deepEqual(parse(`prod A='two words' B="say \\"\\$x\\"" C=a\\ b D=$HOME E=a'b'"c" F="\\n"`), {
    kind: "requests",
    requests: [
      {
        kind: "environment",
        environment: "prod",
        params: { A: "two words", B: 'say "$x"', C: "a b", D: "$HOME", E: "abc", F: "\\n" },
      },
    ],
  });
});

test("each wrong line is told with its number", () => {
  assert.deepEqual(
    told(
      "prod\n1st\nbuild\nprod X\nprod 1=2\nprod A=1 A=2\nprod TOROID_X=1\nprod A='\nprod \\\nacme/web\nacme@main\n../x@main\nacme/..@main\nacme/web@--force\nprod __proto__=1\n",
    ),
    [
      "2: `1st` is no name for an environment: a letter, then letters, digits, `-` or `_`, 63 at most",
      "3: `build` is reserved and cannot name an environment",
      "4: expected `NAME=value`, found `X`",
      "5: `1` is no name for a variable: a letter or `_`, then letters, digits or `_`",
      "6: `A` is there twice",
      "7: `TOROID_X` is set by Toroid",
      "8: the quote ' is not closed",
      "9: the line ends in a `\\`",
      "10: expected `acme/web@` and a branch, tag or ref",
      "11: `acme` is no repository: expected `owner/name`",
      "12: `../x` is no repository: expected `owner/name`",
      "13: `acme/..` is no repository: expected `owner/name`",
      "14: `--force` is no branch, tag or ref",
      "15: `__proto__` is no name for a variable: a letter or `_`, then letters, digits or `_`",
    ],
  );
});

test("refs that git would refuse are refused", () => {
  for (const ref of [
    "",
    "@",
    "a..b",
    "a b",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "a[",
    "/a",
    "a/",
    "a.",
    "a.lock",
    ".a",
    "a/.b",
    "a//b",
    "a@{0}",
    "-a",
  ])
    assert.equal(parse(`acme/web@'${ref}'`).kind, "invalid", ref);
  for (const ref of ["main", "release/1.x", "a@b", "refs/heads/x", "v1.0-rc_1", "é"])
    assert.equal(parse(`acme/web@${ref}`).kind, "requests", ref);
});

test("hostile bytes are problems with a line", () => {
  assert.deepEqual(told(Buffer.from([0x61, 0x0a, 0xff, 0x0a])), ["2: the line is not UTF-8"]);
  assert.deepEqual(told("a\nb\0"), ["2: a NUL character"]);
  assert.deepEqual(told(Buffer.alloc(65 * 1024, "a")), ["1: the file is larger than 64 KiB"]);
  assert.deepEqual(told(`a ${"b".repeat(9_000)}`), ["1: the line has more than 8,192 characters"]);
  assert.deepEqual(told("a\n".repeat(101)), ["101: more than 100 requests"]);
  assert.equal(told("!\n".repeat(1_000)).length, 20);
});

test("no bytes make it throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void parseQueueFile(bytes)));
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parse(text)));
});

test("any value in single quotes is read back", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme" }).filter((text) => !/['\n\r\0]/.test(text)),
      (value) => {
        assert.deepEqual(wordsOf(`a 'K=${value}'`), { words: ["a", `K=${value}`] });
      },
    ),
  );
});
