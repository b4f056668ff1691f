import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LogPublisher } from "../../../executor/log/publisher.ts";
import type { LogChunk } from "../../../protocol/log.ts";
import { logSubject } from "../../../protocol/subjects.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { Rig, SANDBOX } from "./rig.ts";

const T = { timeout: 60_000 };

let rig: Rig;

before(async () => {
  rig = await Rig.start();
});

after(async () => {
  await rig[Symbol.asyncDispose]();
});

function bytesOf(log: readonly LogChunk[]): Buffer {
  return Buffer.concat(log.map((chunk) => (chunk.kind === "bytes" ? chunk.data : Buffer.alloc(0))));
}

function digest(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

test("the first bytes go out at once, later ones together", T, async () => {
  const id = rig.nextId();
  const log = new LogPublisher(rig.jet, logSubject(id, 1), new AbortController().signal);
  await log.bytes(Buffer.from("first"));
  await until("the first bytes", async () => bytesOf(await rig.log(id)).toString() === "first", {
    withinMs: 2_000,
    everyMs: 1,
  });
  for (let i = 0; i < 1_000; i++) await log.bytes(Buffer.from(`line ${i}\n`));
  assert.equal(await log.end(0), null);
  const chunks = await rig.log(id);
  assert.ok(chunks.length < 20, `${chunks.length} messages for 1,000 lines`);
  assert.equal(chunks.at(-1)?.kind, "end");
});

test("a log loses and repeats nothing while the server is killed and started again under it", T, async () => {
  const id = rig.nextId();
  const log = new LogPublisher(rig.jet, logSubject(id, 1), new AbortController().signal);
  const sent: Buffer[] = [];
  const done = new AbortController();
  const writing = (async () => {
    for (let i = 0; !done.signal.aborted; i++) {
      const piece = randomBytes(3_000);
      sent.push(piece);
      await log.bytes(piece);
      if (i % 20 === 0) log.phase(`phase-${i}`);
      await sleep(1);
    }
  })();
  for (let i = 0; i < 3; i++) {
    const soFar = sent.length;
    await until("some more to be written", () => sent.length > soFar + 50);
    await rig.server.kill("SIGKILL");
    await rig.server.restart();
  }
  done.abort();
  await writing;
  assert.equal(await log.end(0), null);
  const chunks = await rig.log(id);
  let offset = 0;
  for (const chunk of chunks) {
    assert.equal(chunk.offset, offset);
    if (chunk.kind === "bytes") offset += chunk.data.length;
  }
  assert.equal(digest(bytesOf(chunks)), digest(Buffer.concat(sent)));
});

test("a writer that is faster than the store has to wait", T, async () => {
  const id = rig.nextId();
  const log = new LogPublisher(rig.jet, logSubject(id, 1), new AbortController().signal);
  await rig.server.kill("SIGSTOP");
  let written = 0;
  const stopped = new AbortController();
  const writing = (async () => {
    while (!stopped.signal.aborted && written < 64 * 1024 * 1024) {
      await log.bytes(Buffer.alloc(64 * 1024));
      written += 64 * 1024;
    }
  })();
  await sleep(200);
  assert.ok(written <= 512 * 1024, `${written} bytes were taken from a store that took none`);
  stopped.abort();
  await rig.server.kill("SIGCONT");
  await writing;
  assert.equal(await log.end(0), null);
  assert.equal(bytesOf(await rig.log(id)).length, written);
});

test("an abandoned log ends at once, whatever is missing", T, async () => {
  const id = rig.nextId();
  const abandoned = new AbortController();
  const log = new LogPublisher(rig.jet, logSubject(id, 1), abandoned.signal);
  await rig.server.kill("SIGSTOP");
  const writing = (async () => {
    for (let i = 0; i < 100; i++) await log.bytes(Buffer.alloc(64 * 1024));
    return log.end(0);
  })();
  abandoned.abort();
  await rig.server.kill("SIGCONT");
  await writing;
});

test("a second writer of the same log finds out and stops", T, async () => {
  const id = rig.nextId();
  const signal = new AbortController().signal;
  const [one, two] = [1, 2].map(() => new LogPublisher(rig.jet, logSubject(id, 1), signal));
  await one?.bytes(Buffer.from("one"));
  assert.equal(await one?.end(0), null);
  await two?.bytes(Buffer.from("two"));
  assert.match((await two?.end(0)) ?? "", /another executor writes/);
  assert.equal(bytesOf(await rig.log(id)).toString(), "one");
});

test("an executor hears of work again soon after the server was restarted", T, async (t) => {
  if (!needs(t, { root: true, path: SANDBOX, program: "git" })) return;
  await using executor = rig.executor("restarted");
  assert.equal((await rig.result(await rig.queue(await rig.stageWork()))).outcome, "passed");
  await rig.server.restart();
  const id = await until("the server to take work", async () => rig.queue(await rig.stageWork()));
  assert.equal((await rig.result(id, 15_000)).outcome, "passed");
  executor.stop();
  await executor.ended;
});
