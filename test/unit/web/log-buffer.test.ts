import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { LogBuffer } from "../../../web/live/log-buffer.ts";

const encoder = new TextEncoder();

/** `1 text`, `+1 more of it`, `# phase`, `! note`. */
function outline(buffer: LogBuffer): readonly string[] {
  const lines: string[] = [];
  for (let i = 0; i <= buffer.length; i += 1) {
    for (const { phase, from } of buffer.sections) if (from === i && phase !== null) lines.push(`# ${phase}`);
    if (i === buffer.length) break;
    const entry = buffer.at(i);
    if (entry.kind === "note") lines.push(`! ${entry.text}`);
    else lines.push(`${entry.isRest ? "+" : ""}${entry.number} ${entry.text}`);
  }
  return lines;
}

function filled(...pieces: readonly string[]): LogBuffer {
  const buffer = new LogBuffer();
  for (const piece of pieces) buffer.addBytes(buffer.end, encoder.encode(piece));
  return buffer;
}

describe("a log on a page", () => {
  test("is the same however its bytes are cut", () => {
    const bytes = encoder.encode("one\r\ntwö\n\nthree 😀 and no end");
    const expected = ["1 one", "2 twö", "3 ", "4 three 😀 and no end"];
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (sizes) => {
        const buffer = new LogBuffer();
        for (let at = 0, i = 0; at < bytes.length; i += 1) {
          const size = sizes[i % sizes.length] ?? 1;
          buffer.addBytes(at, bytes.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(outline(buffer), expected);
      }),
    );
  });

  test("shows a line before it has ended", () => {
    const buffer = new LogBuffer();
    buffer.addBytes(0, encoder.encode("work"));
    assert.deepEqual(outline(buffer), ["1 work"]);
    buffer.addBytes(4, encoder.encode("ing\n"));
    assert.deepEqual(outline(buffer), ["1 working"]);
  });

  test("has each byte once when they come again after a break", () => {
    const buffer = new LogBuffer();
    const whole = encoder.encode("one\ntwo\nthree\n");
    buffer.addBytes(0, whole.subarray(0, 6));
    buffer.addBytes(0, whole.subarray(0, 4));
    buffer.addBytes(4, whole.subarray(4));
    assert.deepEqual(outline(buffer), ["1 one", "2 two", "3 three"]);
    assert.equal(buffer.end, whole.length);
  });

  test("says what is missing, and what was dropped", () => {
    const buffer = new LogBuffer();
    buffer.addBytes(0, encoder.encode("a\n"));
    buffer.addBytes(12, encoder.encode("b"));
    buffer.addEnd(7);
    assert.deepEqual(outline(buffer), [
      "1 a",
      "! 10 bytes are missing here",
      "2 b",
      "! 7 bytes over the limit were dropped",
    ]);
  });

  test("says once what is not kept any more, and goes on behind it", () => {
    const buffer = new LogBuffer();
    buffer.addRemoved(0, 5, null);
    buffer.addRemoved(0, 5, null);
    buffer.addBytes(5, encoder.encode("x\n"));
    assert.deepEqual(outline(buffer), ["! 5 bytes are not kept any more, to make room for newer ones", "1 x"]);
    assert.equal(buffer.end, 7);
  });

  test("has a heading for each phase, once", () => {
    const buffer = new LogBuffer();
    buffer.addPhase(0, "install", 1);
    buffer.addBytes(0, encoder.encode("x\n"));
    buffer.addPhase(0, "install", 1);
    buffer.addPhase(2, "script", 2);
    buffer.addPhase(2, "script", 2);
    assert.deepEqual(outline(buffer), ["# install", "1 x", "# script"]);
  });

  test("has a heading for each phase once, also when two had no output", () => {
    const buffer = new LogBuffer();
    for (let turn = 0; turn < 2; turn += 1) {
      buffer.addPhase(0, "install", 1);
      buffer.addPhase(0, "script", 2);
    }
    assert.deepEqual(outline(buffer), ["# install", "# script"]);
  });

  test("breaks a line without end into parts of one line, and counts on behind it", () => {
    const buffer = filled("x".repeat(1_500), "x".repeat(3_500), "\nnext\n");
    const seen = outline(buffer).map((line) => line.slice(0, 6));
    assert.deepEqual(seen, ["1 xxxx", "+1 xxx", "+1 xxx", "2 next"]);
    assert.equal(buffer.lines, 2);
    assert.deepEqual(
      [1, 2, 3].map((number) => buffer.indexOf(number)),
      [0, 3, null],
    );
  });

  test("breaks no character and no colour", () => {
    const line = `${"x".repeat(1_999)}😀${"y".repeat(1_990)}\u001b[31mred`;
    const buffer = filled(`${line}\n`);
    const parts = Array.from({ length: buffer.length }, (_, i) => buffer.textAt(i));
    assert.equal(parts.join(""), line.replace("\u001b[31m", ""));
    for (const part of parts) assert.ok(part.isWellFormed());
  });

  test("keeps of a line that is written over only what is seen", () => {
    const buffer = filled(
      ...Array.from({ length: 3_000 }, (_, i) => `${i} of 3000 files fetched\r`),
      "all there\n",
      "next",
    );
    assert.equal(buffer.length, 2);
    assert.match(buffer.textAt(0), /^all there/);
    const [first] = [buffer.at(0)];
    assert.ok(first.kind === "text" && first.text.length < 20_000);
  });

  test("finds a line by its number between notes", () => {
    const buffer = new LogBuffer();
    buffer.addRemoved(0, 10, null);
    buffer.addBytes(10, encoder.encode("a\nb\n"));
    buffer.addBytes(20, encoder.encode("c\nd"));
    assert.deepEqual(outline(buffer).slice(1), ["1 a", "2 b", "! 6 bytes are missing here", "3 c", "4 d"]);
    assert.deepEqual(
      [1, 2, 3, 4, 5].map((number) => buffer.indexOf(number)),
      [1, 2, 4, 5, null],
    );
  });

  test("knows when each line came, and when all began and ended", () => {
    const buffer = new LogBuffer();
    buffer.addPhase(0, "script", 1_000);
    buffer.addBytes(0, encoder.encode("one\ntw"), 2_000);
    buffer.addBytes(6, encoder.encode("o\nthree\n"), 3_000);
    buffer.addEnd(0, 4_000);
    const times = Array.from({ length: buffer.length }, (_, i) => buffer.at(i)).map(
      (one) => one.kind === "text" && one.atMs,
    );
    assert.deepEqual([buffer.beganAtMs, ...times, buffer.endAtMs], [1_000, 2_000, 2_000, 3_000, 4_000]);
    assert.equal(filled("no time\n").beganAtMs, null);
  });

  test("says when a page shows no more of it, and still counts", () => {
    const buffer = new LogBuffer(3);
    buffer.addBytes(0, encoder.encode("a\nb\nc\nd\ne\n"));
    assert.deepEqual(outline(buffer).slice(0, 3), ["1 a", "2 b", "3 c"]);
    assert.match(outline(buffer)[3] ?? "", /^! a page shows no more lines/);
    assert.deepEqual([buffer.length, buffer.lines, buffer.end], [4, 5, 10]);
  });

  test("goes on in the colour of the line before", () => {
    const buffer = filled("\u001b[31mred\nstill\n\u001b[0m\nnot\n");
    const fronts = Array.from({ length: buffer.length }, (_, i) => buffer.at(i)).map(
      (one) => one.kind === "text" && one.start.front,
    );
    assert.deepEqual(fronts, [null, 1, 1, null]);
  });
});
