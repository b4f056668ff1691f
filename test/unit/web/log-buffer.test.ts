import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { LogBuffer } from "../../../web/live/log-buffer.ts";

const encoder = new TextEncoder();

/** `1 text`, `# phase`, `! note` for each row. */
function outline(buffer: LogBuffer): readonly string[] {
  return buffer.rows.map((row) => {
    if (row.kind === "text") return `${row.number} ${row.text}`;
    return row.kind === "phase" ? `# ${row.phase}` : `! ${row.text}`;
  });
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

  test("breaks a line without end into rows", () => {
    const buffer = new LogBuffer();
    for (let at = 0; at < 100_000; at += 1_000) buffer.addBytes(at, new Uint8Array(1_000).fill(0x78));
    assert.equal(buffer.rows.length, 50);
  });

  test("goes on in the colour of the line before", () => {
    const buffer = new LogBuffer();
    buffer.addBytes(0, encoder.encode("\u001b[31mred\nstill\n"));
    assert.deepEqual(
      buffer.rows.map((row) => row.kind === "text" && row.start.front),
      [null, 1],
    );
  });
});
