import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LogPublisher } from "../../../executor/log/publisher.ts";
import { ChunkFile } from "../../../executor/spool/chunk-file.ts";
import { Spool } from "../../../executor/spool.ts";
import type { StageId } from "../../../protocol/ids.ts";
import type { LogChunk } from "../../../protocol/log.ts";
import { logSubject } from "../../../protocol/subjects.ts";
import { needs } from "../../support/skips.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import { quiet, Rig, SANDBOX } from "./rig.ts";

const T = { timeout: 60_000 };
const NEVER = new AbortController().signal;

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

/** With a file of its own for what has to wait. */
function publisherOf(id: StageId, abandoned = NEVER, mostBytes = 16 * 1024 * 1024): LogPublisher {
  const subject = logSubject(id, 1);
  const path = join(rig.dir.path, `${id.number}.log`);
  return new LogPublisher(rig.jet, subject, abandoned, () => ChunkFile.create(path, subject, mostBytes));
}

test("the first bytes go out at once, later ones together", T, async () => {
  const id = rig.nextId();
  const log = publisherOf(id);
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
  const log = publisherOf(id);
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
  const log = publisherOf(id);
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

test("what is printed while the store is away waits on disk, and nobody waits for it", T, async () => {
  const id = rig.nextId();
  const log = publisherOf(id);
  const sent = [randomBytes(5_000)];
  await log.bytes(sent[0] ?? Buffer.alloc(0));
  await until("the first bytes", async () => bytesOf(await rig.log(id)).length === 5_000);
  await rig.server.kill("SIGKILL");
  for (let i = 0; i < 100; i++) {
    const piece = randomBytes(64 * 1024);
    sent.push(piece);
    log.phase(`phase-${i}`);
    await log.bytes(piece);
  }
  await rig.server.restart();
  assert.equal(await log.end(0), null);
  assert.equal(log.isLeft, false);
  const chunks = await rig.log(id);
  assert.equal(digest(bytesOf(chunks)), digest(Buffer.concat(sent)));
  assert.equal(chunks.filter(({ kind }) => kind === "phase").length, 100);
  assert.equal(chunks.at(-1)?.kind, "end");
});

test("a log says how many bytes it lost where, when there was no more room on disk", T, async () => {
  const id = rig.nextId();
  const log = publisherOf(id, NEVER, 300_000);
  await rig.server.kill("SIGKILL");
  for (let i = 0; i < 20; i++) await log.bytes(Buffer.alloc(64 * 1024, "x"));
  await rig.server.restart();
  const said = /^(\d+) bytes of output were dropped while NATS was away/.exec((await log.end(0)) ?? "")?.[1];
  const dropped = Number(said);
  const text = bytesOf(await rig.log(id)).toString();
  assert.match(text, new RegExp(`^x+\ntoroid: ${dropped} bytes of output were dropped while NATS was away`));
  assert.equal(dropped + (/^x+/.exec(text)?.[0].length ?? 0), 20 * 64 * 1024);
  let offset = 0;
  for (const chunk of await rig.log(id)) {
    assert.equal(chunk.offset, offset);
    if (chunk.kind === "bytes") offset += chunk.data.length;
  }
});

test("what an abandoned log did not get rid of is left on disk, and told later, each byte once", T, async () => {
  await using dir = await tempDir("toroid-spool-");
  const spool = new Spool(rig.jet, dir.path, 16 * 1024 * 1024, quiet);
  for (const landed of [false, true]) {
    const id = rig.nextId();
    const subject = logSubject(id, 1);
    const abandoned = new AbortController();
    const log = new LogPublisher(rig.jet, subject, abandoned.signal, () => spool.openLog(id.number, subject));
    await rig.server.kill("SIGSTOP");
    const sent = Array.from({ length: 10 }, () => randomBytes(64 * 1024));
    await log.bytes(sent[0] ?? Buffer.alloc(0));
    if (landed) await rig.server.kill("SIGCONT");
    for (const piece of sent.slice(1, 3)) await log.bytes(piece);
    abandoned.abort();
    for (const piece of sent.slice(3)) await log.bytes(piece);
    assert.equal(await log.end(0), null);
    assert.equal(log.isLeft, true);
    if (!landed) await rig.server.kill("SIGCONT");
    await spool.closeLog(id.number, log.isLeft);
    await until("the log to be whole", async () => (await rig.log(id)).at(-1)?.kind === "end", { withinMs: 20_000 });
    assert.equal(digest(bytesOf(await rig.log(id))), digest(Buffer.concat(sent)));
  }
  await until("nothing to be left", async () => (await readdir(dir.path)).length === 0);
  await spool[Symbol.asyncDispose]();
});

test("a second writer of the same log finds out and stops", T, async () => {
  const id = rig.nextId();
  const [one, two] = [publisherOf(id), publisherOf(id)];
  await one.bytes(Buffer.from("one"));
  assert.equal(await one.end(0), null);
  await two.bytes(Buffer.from("two"));
  assert.match((await two.end(0)) ?? "", /another executor writes/);
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
