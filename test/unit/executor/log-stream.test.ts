import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { type LogSink, LogStream } from "../../../executor/log-stream.ts";

const NONCE = "feed";

class Kept implements LogSink {
  readonly told: string[] = [];
  async bytes(data: Uint8Array): Promise<void> {
    this.told.push(Buffer.from(data).toString());
  }
  phase(phase: string): void {
    this.told.push(`<${phase}>`);
  }
  async end(droppedBytes: number): Promise<null> {
    this.told.push(`end ${droppedBytes}`);
    return null;
  }
}

test("phases begin where their marks stand, and the last that failed is known", async () => {
  const sink = new Kept();
  const log = new LogStream(sink, { nonce: NONCE, limitBytes: 100, nowMs: () => 7 });
  const text = `\x1efeed phase install\none\x1efeed phase script\ntwo\x1efeed failed script 3\n`;
  await log.pump(Readable.from([Buffer.from(text.slice(0, 15)), Buffer.from(text.slice(15))]));
  await log.end();
  assert.deepEqual(sink.told, ["<install>", "one", "<script>", "two", "end 0"]);
  assert.deepEqual(log.begun, [
    { phase: "install", atMs: 7 },
    { phase: "script", atMs: 7 },
  ]);
  assert.deepEqual(log.failed, { phase: "script", code: 3 });
});

test("past the limit bytes are counted and not kept, and phases still told", async () => {
  const sink = new Kept();
  const log = new LogStream(sink, { nonce: NONCE, limitBytes: 5, nowMs: () => 0 });
  await log.pump(Readable.from([Buffer.from("abcdefgh"), Buffer.from("ij\x1efeed phase after\nk")]));
  await log.end();
  assert.deepEqual(sink.told, ["abcde", "<after>", "end 6"]);
  assert.deepEqual([log.keptBytes, log.droppedBytes], [5, 6]);
});

test("the first byte is the build's own, whatever was said before it", async () => {
  let nowMs = 1;
  const log = new LogStream(new Kept(), { nonce: NONCE, limitBytes: 100, nowMs: () => nowMs });
  await log.line("an image is made");
  assert.equal(log.firstByteAtMs, null);
  nowMs = 2;
  await log.pump(Readable.from([Buffer.from("x")]));
  nowMs = 3;
  await log.pump(Readable.from([Buffer.from("y")]));
  assert.equal(log.firstByteAtMs, 2);
});

test("a sink that is slow holds the reading back", async () => {
  let open = 0;
  let most = 0;
  const slow: LogSink = {
    async bytes() {
      open += 1;
      most = Math.max(most, open);
      await new Promise((resolve) => void setImmediate(resolve));
      open -= 1;
    },
    phase() {},
    async end() {
      return null;
    },
  };
  const log = new LogStream(slow, { nonce: NONCE, limitBytes: 1_000, nowMs: () => 0 });
  await log.pump(Readable.from(Array.from({ length: 20 }, () => Buffer.from("x"))));
  assert.equal(most, 1);
});
