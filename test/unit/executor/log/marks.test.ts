import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MarkScanner, type Piece } from "../../../../executor/log/marks.ts";

const NONCE = "0123456789abcdef";
const mark = (text: string): string => `\x1e${NONCE} ${text}\n`;

function scan(chunks: readonly Uint8Array[]): Piece[] {
  const scanner = new MarkScanner(NONCE);
  return [...chunks.flatMap((chunk) => scanner.push(chunk)), ...scanner.end()];
}

/** Neighbouring bytes as one piece. */
function joined(pieces: readonly Piece[]): string[] {
  const told: string[] = [];
  for (const piece of pieces) {
    const last = told.at(-1);
    if (piece.kind === "mark") told.push(`<${piece.text}>`);
    else if (last !== undefined && !last.startsWith("<"))
      told[told.length - 1] = last + Buffer.from(piece.data).toString("latin1");
    else told.push(Buffer.from(piece.data).toString("latin1"));
  }
  return told;
}

test("marks are told apart from output wherever they stand, and need no line of their own", () => {
  const text = `${mark("phase install")}a\nno newline${mark("failed install 3")}${mark("phase after")}z`;
  assert.deepEqual(joined(scan([Buffer.from(text)])), [
    "<phase install>",
    "a\nno newline",
    "<failed install 3>",
    "<phase after>",
    "z",
  ]);
});

test("output that only looks like a mark is output", () => {
  for (const text of [
    "\x1e",
    `\x1e${NONCE}`,
    "\x1e0123 phase x\n",
    `${NONCE} phase x\n`,
    `\x1e${NONCE} ${"x".repeat(300)}\n`,
    `\x1e${NONCE} ${"x".repeat(300)}`,
  ]) {
    assert.deepEqual(joined(scan([Buffer.from(text, "latin1")])), [text]);
  }
});

test("bytes are passed on at once unless they may begin a mark", () => {
  const scanner = new MarkScanner(NONCE);
  assert.deepEqual(joined(scanner.push(Buffer.from("no newline yet"))), ["no newline yet"]);
  assert.deepEqual(joined(scanner.push(Buffer.from("x\x1e0123"))), ["x"]);
  assert.deepEqual(joined(scanner.push(Buffer.from("no"))), ["\x1e0123no"]);
});

test("however the stream is cut, what comes out is the same and nothing is lost", () => {
  const bits = fc.constantFrom(
    "a",
    "\n",
    "\x1e",
    NONCE,
    NONCE.slice(0, 7),
    mark("phase script"),
    mark("x".repeat(250)),
    "\0\xff",
    `\x1e${NONCE} `,
  );
  fc.assert(
    fc.property(fc.array(bits, { maxLength: 30 }), fc.array(fc.nat(40), { maxLength: 60 }), (parts, cuts) => {
      const whole = Buffer.from(parts.join(""), "latin1");
      const chunks: Buffer[] = [];
      let at = 0;
      for (const cut of cuts) {
        chunks.push(whole.subarray(at, at + cut));
        at += cut;
      }
      chunks.push(whole.subarray(at));
      const pieces = scan(chunks);
      assert.deepEqual(joined(pieces), joined(scan([whole])));
      const back = pieces.map((piece) =>
        piece.kind === "mark" ? mark(piece.text) : Buffer.from(piece.data).toString("latin1"),
      );
      assert.equal(back.join(""), whole.toString("latin1"));
    }),
    { numRuns: 500 },
  );
});
