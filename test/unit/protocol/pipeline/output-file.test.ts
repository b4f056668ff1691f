import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { outputVariable, parseOutputFile } from "../../../../protocol/pipeline/output-file.ts";

function told(bytes: string | Uint8Array): readonly string[] {
  const read = parseOutputFile(Buffer.from(bytes));
  return read.kind === "invalid" ? read.problems.map(({ line, message }) => `${line}: ${message}`) : ["no problem"];
}

test("lines are keys and values as they stand, the last of a key counts", () => {
  assert.deepEqual(parseOutputFile(Buffer.from("url=https://a.example/?b=c\nn= 1 \n\nempty=\nn=2\nshift=a<<b\r\n")), {
    kind: "outputs",
    outputs: { url: "https://a.example/?b=c", n: "2", empty: "", shift: "a<<b" },
  });
});

test("a delimiter holds a value of several lines", () => {
  assert.deepEqual(parseOutputFile(Buffer.from("notes<<END\na=b\n\n  c\nEND\nnone<<X\nX\nlast=1")), {
    kind: "outputs",
    outputs: { notes: "a=b\n\n  c", none: "", last: "1" },
  });
});

test("each wrong line is told with its number", () => {
  assert.deepEqual(told("a=1\nhello\n1a=2\n__proto__=x\nb<<END\nc=1\n"), [
    "2: expected `key=value`, found `hello`",
    "3: `1a` is no key: a letter, then letters, digits, `_` or `-`, 64 at most",
    "4: `__proto__` is no key: a letter, then letters, digits, `_` or `-`, 64 at most",
    "5: no line after this one is `END`",
  ]);
  assert.deepEqual(told("a<<\n"), ["1: expected a delimiter after `<<`"]);
});

test("hostile bytes are problems with a line", () => {
  assert.deepEqual(told(Buffer.from([0x61, 0x3d, 0x0a, 0x62, 0x3d, 0xc3, 0x28])), ["2: the line is not UTF-8"]);
  assert.deepEqual(told("a=1\nb=\0"), ["2: a NUL character"]);
  assert.deepEqual(told(Buffer.alloc(257 * 1024, "a")), ["1: the file is larger than 256 KiB"]);
  assert.deepEqual(told(`a=${"b".repeat(33 * 1024)}`), ["1: the value of `a` is larger than 32 KiB"]);
  assert.deepEqual(told(Array.from({ length: 101 }, (_, i) => `k${i}=v`).join("\n")), [
    "1: 101 outputs; 100 is the most",
  ]);
  assert.equal(told("!\n".repeat(1_000)).length, 20);
});

test("a replacement character that was written is no damage", () => {
  assert.deepEqual(parseOutputFile(Buffer.from("a=\ufffd")), { kind: "outputs", outputs: { a: "\ufffd" } });
});

test("no bytes make it throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void parseOutputFile(bytes)));
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseOutputFile(Buffer.from(text))));
});

test("any line of text is read back", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme" }).filter((text) => !/[\n\r\0]/.test(text)),
      (value) => {
        assert.deepEqual(parseOutputFile(Buffer.from(`k=${value}\n`)), { kind: "outputs", outputs: { k: value } });
      },
    ),
  );
});

test("a later stage sees an output by a name in capitals", () => {
  assert.equal(outputVariable("stage-eu", "url"), "TOROID_OUTPUT_STAGE_EU_URL");
  assert.equal(outputVariable("build NODE=22", "image-tag"), "TOROID_OUTPUT_BUILD_NODE_22_IMAGE_TAG");
});
