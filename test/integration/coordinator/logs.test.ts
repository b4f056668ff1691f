import assert from "node:assert/strict";
import { Agent, get as httpGet } from "node:http";
import { test } from "node:test";
import { type ServerEvent, serverEvents } from "../../../bin/sse.ts";
import { makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { encode } from "../../../protocol/codec.ts";
import { PLAN_STAGE, type StageId } from "../../../protocol/ids.ts";
import { LOG_CHUNK_BYTES, type LogChunk } from "../../../protocol/log.ts";
import { LOG } from "../../../protocol/streams.ts";
import { logSubject } from "../../../protocol/subjects.ts";
import { buildSummary } from "../../../protocol/summary.ts";
import { until } from "../../support/until.ts";
import { planWith, push, REPOSITORY, source, stagePlan } from "../../unit/coordinator/samples.ts";
import { claimStage, finishStage, quiet, runStage, startCoordinator, startRig } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const BUILD = { repository: REPOSITORY, number: 1 };
const STAGE: StageId = { ...BUILD, stage: "build", round: 1 };
const PATH = `/api/v1/builds/${REPOSITORY}/1/stages/build/log`;

/** A coordinator, and a stage that an executor has claimed and writes the log of. */
async function startLog() {
  await using undo = new AsyncDisposableStack();
  const rig = undo.use(await startRig());
  const { jet } = rig;
  const { url } = undo.use(await startCoordinator(rig.server.url));
  const actors = makeMailboxes(jet, quiet);
  await actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
  const planned = { kind: "plan", source: source(), plan: planWith(stagePlan("build")) } as const;
  await runStage(jet, actors, { ...BUILD, stage: PLAN_STAGE, round: 1 }, { planned });
  const shown = (status: string) =>
    until(`the stage to be shown as ${status}`, async () => {
      const answer = await fetch(`${url}/api/v1/builds/${REPOSITORY}/1`);
      const { stages } = buildSummary.parse(await answer.json());
      return stages.find(({ name }) => name === "build")?.status === status;
    });
  await shown("queued");
  let offset = 0;
  const publish = async (chunk: LogChunk): Promise<void> => {
    await jet.js.publish(logSubject(STAGE, 1), encode(chunk));
  };
  const kept = undo.move();
  return {
    url,
    claim: async (): Promise<number> => {
      const token = await claimStage(jet, actors, STAGE);
      await shown("claimed");
      return token;
    },
    phase: (phase: string) => publish({ kind: "phase", offset, atMs: 1, phase }),
    write: async (data: Uint8Array | string): Promise<void> => {
      const bytes = Uint8Array.from(typeof data === "string" ? Buffer.from(data) : data);
      await publish({ kind: "bytes", offset, atMs: 1, data: bytes });
      offset += bytes.byteLength;
    },
    /** Of its messages, the newest so many. */
    keep: async (messages: number) => {
      await jet.jsm.streams.purge(LOG.name, { filter: logSubject(STAGE, 1), keep: messages });
    },
    keepForMs: async (ms: number) => {
      await jet.jsm.streams.update(LOG.name, { max_age: ms * 1e6, duplicate_window: ms * 1e6 });
    },
    end: (droppedBytes = 0) => publish({ kind: "end", offset, atMs: 1, droppedBytes }),
    finish: async (token: number): Promise<void> => {
      await finishStage(jet, STAGE, token, { logBytes: offset });
      await shown("finished");
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function bytesOf(url: string): Promise<Buffer> {
  const answer = await fetch(url);
  assert.equal(answer.status, 200);
  return Buffer.from(await answer.arrayBuffer());
}

async function* eventsOf(url: string, headers: Record<string, string> = {}): AsyncGenerator<ServerEvent> {
  const answer = await fetch(url, { headers: { accept: "text/event-stream", ...headers } });
  assert.match(answer.headers.get("content-type") ?? "", /^text\/event-stream/);
  assert.ok(answer.body !== null);
  yield* serverEvents(answer.body);
}

async function allOf<T>(from: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const one of from) all.push(one);
  return all;
}

/** The bytes that events carry, put together. */
function textOf(events: readonly ServerEvent[]): string {
  const parts = events.filter(({ event }) => event === "bytes").map(({ data }) => JSON.parse(data) as { text: string });
  return Buffer.concat(parts.map(({ text }) => Buffer.from(text, "base64"))).toString("utf8");
}

test("a log is the very bytes that were written, whole or from an offset", LIMIT, async () => {
  await using log = await startLog();
  const token = await log.claim();
  const written = Buffer.concat([
    Buffer.from("\u001b[31mred\u001b[0m\r\n"),
    Buffer.from([0, 255, 254, 10]),
    Buffer.alloc(3 * LOG_CHUNK_BYTES, "0123456789abcde\n"),
  ]);
  await log.phase("script");
  for (let at = 0; at < written.length; at += LOG_CHUNK_BYTES)
    await log.write(written.subarray(at, at + LOG_CHUNK_BYTES));
  await log.end();
  await log.finish(token);
  assert.ok((await bytesOf(log.url + PATH)).equals(written));
  for (const offset of [1, LOG_CHUNK_BYTES - 1, LOG_CHUNK_BYTES, LOG_CHUNK_BYTES + 1, written.length]) {
    const rest = await bytesOf(`${log.url}${PATH}?offset=${offset}`);
    assert.ok(rest.equals(written.subarray(offset)), `from ${offset}`);
  }
});

test("a log of many chunks arrives whole", LIMIT, async () => {
  await using log = await startLog();
  const token = await log.claim();
  const lines = Array.from({ length: 500 }, (_, at) => `line ${at}\n`);
  for (const line of lines) await log.write(line);
  await log.end();
  await log.finish(token);
  assert.equal((await bytesOf(log.url + PATH)).toString(), lines.join(""));
  assert.equal((await bytesOf(`${log.url}${PATH}?follow=1`)).toString(), lines.join(""));
});

test("a log that is still written is answered as far as it is", LIMIT, async () => {
  await using log = await startLog();
  await log.claim();
  await log.write("so far");
  assert.equal((await bytesOf(log.url + PATH)).toString(), "so far");
});

test("a stage that nobody runs yet has an empty log, at once", LIMIT, async () => {
  await using log = await startLog();
  assert.equal((await bytesOf(log.url + PATH)).length, 0);
  await log.claim();
  const began = performance.now();
  assert.equal((await bytesOf(log.url + PATH)).length, 0);
  assert.ok(performance.now() - began < 900, "it waited for what nobody writes");
});

test("whoever follows hears from before the first byte to after the last", LIMIT, async () => {
  await using log = await startLog();
  const heard: ServerEvent[] = [];
  const following = (async () => {
    for await (const event of eventsOf(`${log.url}${PATH}?follow=1`)) heard.push(event);
  })();
  const token = await log.claim();
  await log.phase("script");
  await log.write("one\n");
  await until("the first line, while the stage runs", () => textOf(heard) === "one\n");
  await log.write("two\n");
  await log.end(7);
  await log.finish(token);
  await following;
  assert.equal(textOf(heard), "one\ntwo\n");
  assert.deepEqual(
    heard.map(({ event }) => event),
    ["phase", "bytes", "bytes", "end"],
  );
  const end = JSON.parse(heard.at(-1)?.data ?? "{}") as object;
  assert.deepEqual(end, { offset: 8, droppedBytes: 7, atMs: 1, outcome: "passed", stage: "acme/api#1 build" });
});

test("whoever lost the link goes on where it was, with neither a gap nor a repeat", LIMIT, async () => {
  await using log = await startLog();
  const token = await log.claim();
  await log.write("one\n");
  await log.write("two\n");
  const first: ServerEvent[] = [];
  for await (const event of eventsOf(`${log.url}${PATH}?follow=1`)) {
    first.push(event);
    break;
  }
  assert.equal(first[0]?.id, "4");
  await log.write("three\n");
  await log.end();
  await log.finish(token);
  const rest = await allOf(eventsOf(`${log.url}${PATH}?follow=1`, { "last-event-id": first[0]?.id ?? "" }));
  assert.equal(textOf(first) + textOf(rest), "one\ntwo\nthree\n");
  assert.equal(rest.at(-1)?.event, "end");
});

test("an attempt that was lost has no end; who follows is let go when the stage is over", LIMIT, async () => {
  await using log = await startLog();
  const token = await log.claim();
  await log.write("the last words");
  const following = bytesOf(`${log.url}${PATH}?follow=1`);
  await log.finish(token);
  assert.equal((await following).toString(), "the last words");
});

test("what is not kept any more of a log is said, and why", LIMIT, async () => {
  await using log = await startLog();
  const token = await log.claim();
  await log.phase("script");
  await log.write("one\n");
  await log.write("two\n");
  await log.end();
  await log.finish(token);
  const removed = async (offset = 0) => {
    const events = await allOf(eventsOf(`${log.url}${PATH}?offset=${offset}`));
    const plain = await fetch(`${log.url}${PATH}?offset=${offset}`);
    const header = (name: string): string | null => plain.headers.get(`toroid-log-${name}`);
    const told = events.filter(({ event }) => event === "removed").map(({ data }) => JSON.parse(data) as object);
    assert.equal(await plain.text(), textOf(events));
    return { text: textOf(events), told, headers: ["offset", "removed-bytes", "removed-since"].map(header) };
  };
  assert.deepEqual(await removed(), { text: "one\ntwo\n", told: [], headers: ["0", null, null] });

  await log.keep(2); // as when the share is full
  const told = [{ offset: 0, bytes: 4, sinceMs: null }];
  assert.deepEqual(await removed(), { text: "two\n", told, headers: ["4", "4", null] });
  assert.deepEqual(await removed(4), { text: "two\n", told: [], headers: ["4", null, null] });

  const stage = buildSummary.parse(await (await fetch(`${log.url}/api/v1/builds/${REPOSITORY}/1`)).json()).stages[1];
  await log.keepForMs(1_000);
  await until("its time to be over", async () => (await removed()).headers[0] === "8");
  const sinceMs = (stage?.finishedAtMs ?? 0) + 1_000;
  const since = new Date(sinceMs).toISOString();
  assert.deepEqual(await removed(), {
    text: "",
    told: [{ offset: 0, bytes: 8, sinceMs }],
    headers: ["8", "8", since],
  });
});

test("one connection reads many logs without leaving anything behind", LIMIT, async () => {
  await using log = await startLog();
  const token = await log.claim();
  await log.write("x");
  await log.end();
  await log.finish(token);
  const warnings: string[] = [];
  const warn = (warning: Error): void => void warnings.push(warning.message);
  process.on("warning", warn);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (let times = 0; times < 15; times += 1) {
      const length = await new Promise<number>((resolve, reject) => {
        httpGet(log.url + PATH, { agent }, (answer) => {
          let bytes = 0;
          answer.on("data", (chunk: Buffer) => {
            bytes += chunk.length;
          });
          answer.on("end", () => resolve(bytes));
        }).on("error", reject);
      });
      assert.equal(length, 1);
    }
    await new Promise((done) => setImmediate(done));
    assert.deepEqual(warnings, []);
  } finally {
    process.off("warning", warn);
    agent.destroy();
  }
});
