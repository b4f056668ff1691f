import assert from "node:assert/strict";
import { test } from "node:test";
import { AckPolicy, type JsMsg } from "@nats-io/jetstream";
import { type ConsumeOptions, consume, type Handle } from "../../../kit/consume.ts";
import { connectJet, type Jet } from "../../../kit/jetstream.ts";
import { makeLogger } from "../../../kit/log.ts";
import { NatsServer } from "../../support/nats.ts";
import { until } from "../../support/until.ts";

const LIMIT = { timeout: 30_000 };
const STREAM = "WORK";
const OPTIONS = { parallel: 4, inHand: 16, heartbeatMs: 200, retryDelayMs: 10 } as const;
const keyOf = (message: JsMsg): string => message.subject;

async function makeRig(ackWaitMs = 10_000) {
  await using undo = new AsyncDisposableStack();
  const server = undo.use(await NatsServer.start());
  const jet = undo.use(await connectJet({ url: server.url, name: "test" }));
  await jet.jsm.streams.add({ name: STREAM, subjects: ["work.>"] });
  await jet.jsm.consumers.add(STREAM, {
    durable_name: "workers",
    ack_policy: AckPolicy.Explicit,
    ack_wait: ackWaitMs * 1_000_000,
  });
  const kept = undo.move();
  return { jet, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Consumes until the end of the block. */
async function start(jet: Jet, handle: Handle, o: Partial<ConsumeOptions> = {}) {
  const stop = new AbortController();
  const consumer = await jet.js.consumers.get(STREAM, "workers");
  const options = { ...OPTIONS, keyOf, turn: jet.turn, ...o };
  const ended = consume(consumer, handle, options, stop.signal, makeLogger("test", "silent"));
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await ended;
    },
  };
}

async function counts(jet: Jet) {
  const { num_ack_pending, num_pending, num_redelivered } = await jet.jsm.consumers.info(STREAM, "workers");
  return { unacknowledged: num_ack_pending, waiting: num_pending, redelivered: num_redelivered };
}

test("what is left to do of a message holds up its acknowledgement and no other message", LIMIT, async () => {
  await using rig = await makeRig();
  const rest = Promise.withResolvers<void>();
  const seen: string[] = [];
  await using _consuming = await start(rig.jet, async (message) => {
    seen.push(message.string());
    return { rest: rest.promise };
  });
  // More than may be handled at once, all with the same key.
  for (let at = 0; at < 8; at += 1) await rig.jet.js.publish("work.a", String(at));
  await until("all to be handled", () => seen.length === 8);
  assert.deepEqual(seen, ["0", "1", "2", "3", "4", "5", "6", "7"]);
  assert.equal((await counts(rig.jet)).unacknowledged, 8);
  rest.resolve();
  await until("all to be acknowledged", async () => (await counts(rig.jet)).unacknowledged === 0);
});

test("no more are taken than may be in hand", LIMIT, async () => {
  await using rig = await makeRig();
  const rest = Promise.withResolvers<void>();
  let seen = 0;
  await using _consuming = await start(
    rig.jet,
    async () => {
      seen += 1;
      return { rest: rest.promise };
    },
    { inHand: 5 },
  );
  for (let at = 0; at < 20; at += 1) await rig.jet.js.publish(`work.${at}`, "");
  await until("five to be in hand", () => seen === 5);
  await rig.jet.nc.flush();
  assert.equal(seen, 5);
  rest.resolve();
  await until("all to be handled", () => seen === 20);
});

test("a message whose rest cannot be done is delivered again", LIMIT, async () => {
  await using rig = await makeRig();
  let times = 0;
  await using _consuming = await start(rig.jet, async () => {
    times += 1;
    if (times > 1) return { rest: Promise.resolve() };
    const rest = Promise.reject(new Error("the store is away"));
    rest.catch(() => undefined);
    return { rest };
  });
  await rig.jet.js.publish("work.a", "");
  await until("it to be acknowledged", async () => {
    const { unacknowledged, waiting } = await counts(rig.jet);
    return times === 2 && unacknowledged === 0 && waiting === 0;
  });
});

test("messages of one key are handled in order, whatever becomes of those before", LIMIT, async () => {
  await using rig = await makeRig();
  const seen: string[] = [];
  await using _consuming = await start(rig.jet, async (message) => {
    seen.push(`${message.string()} begins`);
    await rig.jet.nc.flush();
    seen.push(`${message.string()} ends`);
    if (message.string() === "1" && !message.redelivered) throw new Error("not now");
    return { rest: Promise.resolve() };
  });
  for (let at = 1; at <= 3; at += 1) await rig.jet.js.publish("work.a", String(at));
  await until("the first to come again", () => seen.length === 8);
  const begun = seen.filter((_, at) => at % 2 === 0);
  assert.deepEqual(
    seen,
    begun.flatMap((begins) => [begins, begins.replace("begins", "ends")]),
    "one at a time",
  );
  // The first may come again before or after those that are not there yet.
  assert.deepEqual([...new Set(begun)], ["1 begins", "2 begins", "3 begins"]);
});

test("a message that takes longer than it is left alone shows signs of life", LIMIT, async () => {
  await using rig = await makeRig(1_000);
  const done = Promise.withResolvers<void>();
  let times = 0;
  let consumed = 0;
  await using _consuming = await start(rig.jet, async (message) => {
    if (message.subject === "work.other") {
      consumed += 1;
      return { rest: Promise.resolve() };
    }
    times += 1;
    return { rest: done.promise };
  });
  await rig.jet.js.publish("work.slow", "");
  const beganAtMs = performance.now();
  await until("three times as long to pass", () => performance.now() - beganAtMs > 3_000);
  await rig.jet.js.publish("work.other", "");
  await until("another to be handled", () => consumed === 1);
  assert.equal(times, 1, "it was not delivered again");
  assert.equal((await counts(rig.jet)).redelivered, 0);
  done.resolve();
  await until("it to be acknowledged", async () => (await counts(rig.jet)).unacknowledged === 0);
});
