import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { openQueue, type QueueConfig } from "../../../coordinator/intake/sqs.ts";
import {
  QUEUE_CREDENTIALS,
  QUEUE_REGION,
  type RunningQueueServer,
  startQueueServer,
} from "../../../kit/queue-server.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { QueueServer } from "../../support/queue.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import { Receiver } from "./receiver.ts";

const PUSH = readFileSync(join(import.meta.dirname, "..", "..", "data", "github", "push", "push.json"), "utf8");
const DELIVERY = { "X-GitHub-Event": "push", "X-GitHub-Delivery": "d-1" };
const AWAY = "queue cannot be received from; tried again";
const LIMIT = { timeout: 30_000 };
const NONE = { waiting: 0, inFlight: 0 };

function configOf({ queueUrl: url, deadLetterUrl, endpoint }: QueueServer | RunningQueueServer): QueueConfig {
  return { url, deadLetterUrl, endpoint, region: QUEUE_REGION, credentials: QUEUE_CREDENTIALS };
}

describe("a message", () => {
  test("is deleted once its push is recorded", LIMIT, async () => {
    await using server = await QueueServer.start();
    await using receiver = await Receiver.start(configOf(server));
    await server.send(PUSH, DELIVERY);
    await until("the push", () => receiver.keys.length === 1);
    assert.deepEqual(receiver.keys, ["delivery:d-1"]);
    await until("an empty queue", async () => isEmpty(server));
  });

  test("that comes twice has the same key both times", LIMIT, async () => {
    await using server = await QueueServer.start();
    await using receiver = await Receiver.start(configOf(server));
    await Promise.all([server.send(PUSH, DELIVERY), server.send(PUSH, DELIVERY)]);
    await until("both", () => receiver.keys.length === 2);
    assert.equal(new Set(receiver.keys).size, 1);
  });

  test("that is a ping is deleted and counted, and nobody is asked", LIMIT, async () => {
    await using server = await QueueServer.start();
    await using receiver = await Receiver.start(configOf(server));
    await server.send({ zen: "Keep it logically awesome.", hook_id: 1 }, { "X-GitHub-Event": "ping" });
    await until("the count", () => receiver.counts.ignored === 1);
    assert.deepEqual(receiver.keys, []);
    assert.deepEqual(await server.counts(), NONE);
  });

  test("that is no JSON goes to the dead-letter queue as it came, with its reason", LIMIT, async () => {
    await using server = await QueueServer.start();
    await using receiver = await Receiver.start(configOf(server));
    await server.send("hello?", { "X-GitHub-Event": "push", Origin: "me" });
    await until("the count", () => receiver.counts.refused === 1);
    const [dead] = await server.receive({ url: server.deadLetterUrl });
    assert.equal(dead?.Body, "hello?");
    assert.equal(dead?.MessageAttributes?.["Toroid-Reason"]?.StringValue, "the body is not JSON");
    assert.equal(dead?.MessageAttributes?.["Origin"]?.StringValue, "me");
    assert.deepEqual(await server.counts(), NONE);
  });

  test("of 1 MiB is read; when it is refused it fits the dead-letter queue", LIMIT, async () => {
    await using server = await QueueServer.start();
    await using receiver = await Receiver.start(configOf(server));
    const full = PUSH.padEnd(1024 * 1024 - 1_000, " ");
    await server.send(full, DELIVERY);
    await server.send("x".repeat(1024 * 1024));
    await until("both", () => receiver.keys.length === 1 && receiver.counts.refused === 1);
    const [dead] = await server.receive({ url: server.deadLetterUrl });
    assert.equal(dead?.MessageAttributes?.["Toroid-Cut-From-Bytes"]?.StringValue, "1048576");
  });

  test("that nobody could ever record is refused with the sentence of the error", LIMIT, async () => {
    await using server = await QueueServer.start();
    const unknown = new ToroidError("TOR_NOT_FOUND", "acme/api has no build 42");
    await using receiver = await Receiver.start(configOf(server), { handle: () => Promise.reject(unknown) });
    await server.send({ toroid: 1, repository: "acme/api", build: 42, environment: "prod" });
    await until("the count", () => receiver.counts.refused === 1);
    const [dead] = await server.receive({ url: server.deadLetterUrl });
    assert.equal(dead?.MessageAttributes?.["Toroid-Reason"]?.StringValue, "acme/api has no build 42");
  });
});

describe("a handler", () => {
  test("that cannot record for now is tried again with the message in hand", LIMIT, async () => {
    await using server = await QueueServer.start();
    let calls = 0;
    const handle = async (): Promise<void> => {
      calls += 1;
      if (calls < 3) throw new ToroidError("TOR_NATS_UNREACHABLE", "nobody there");
    };
    await using receiver = await Receiver.start(configOf(server), { handle });
    await server.send(PUSH, DELIVERY);
    await until("the third try", () => receiver.counts.recorded === 1);
    assert.equal(calls, 3);
    assert.deepEqual(await server.counts(), NONE);
  });

  test("that fails for a reason of ours leaves the message for later", LIMIT, async () => {
    await using server = await QueueServer.start();
    let calls = 0;
    const handle = async (): Promise<void> => {
      calls += 1;
      if (calls === 1) throw new Error("a bug");
    };
    await using receiver = await Receiver.start(configOf(server), { handle });
    await server.send(PUSH, DELIVERY);
    await until("the second receive", () => receiver.counts.recorded === 1);
    assert.equal(receiver.counts.putBack, 1);
    assert.ok(receiver.lines.some((line) => line["msg"] === "arrival not recorded; put back" && line["level"] === 50));
  });

  test("that takes longer than the visibility keeps its message from others", LIMIT, async () => {
    await using server = await QueueServer.start();
    const done = Promise.withResolvers<void>();
    const config = { ...configOf(server), visibilitySeconds: 1 };
    await using slow = await Receiver.start(config, { handle: () => done.promise });
    await server.send(PUSH, DELIVERY);
    await until("the message in hand", () => slow.keys.length === 1);
    await using other = await Receiver.start(config);
    await delay(2_500); // what is claimed is that nothing happens for more than twice the visibility
    assert.deepEqual([slow.keys.length, other.keys.length], [1, 0]);
    done.resolve();
    await until("an empty queue", async () => isEmpty(server));
  });

  test("of which there are enough stops the receiving", LIMIT, async () => {
    await using server = await QueueServer.start();
    const done = Promise.withResolvers<void>();
    await using receiver = await Receiver.start(configOf(server), { handle: () => done.promise, parallel: 3 });
    await Promise.all(Array.from({ length: 12 }, () => server.send(PUSH)));
    await until("three in hand", () => receiver.keys.length === 3);
    assert.deepEqual(await server.counts(), { waiting: 9, inFlight: 3 });
    done.resolve();
    await until("the rest", () => receiver.counts.recorded === 12);
  });
});

describe("a stop", () => {
  test(
    "finishes what is in hand, leaves the rest visible, and takes no more than the wait of a receive",
    LIMIT,
    async () => {
      await using server = await QueueServer.start();
      const done = Promise.withResolvers<void>();
      await using receiver = await Receiver.start(configOf(server), { handle: () => done.promise, parallel: 1 });
      await server.send(PUSH, DELIVERY);
      await until("the message in hand", () => receiver.keys.length === 1);
      await server.send(PUSH, { ...DELIVERY, "X-GitHub-Delivery": "d-2" });
      receiver.stop();
      done.resolve();
      await receiver.ended;
      assert.deepEqual([receiver.keys, receiver.counts.recorded], [["delivery:d-1"], 1]);
      assert.deepEqual(await server.counts(), { waiting: 1, inFlight: 0 });
    },
  );

  test(
    "during a long poll swallows nothing: what comes next is there for the next receiver at once",
    LIMIT,
    async () => {
      await using server = await QueueServer.start();
      await using first = await Receiver.start(configOf(server));
      const from = performance.now();
      first.stop();
      await server.send(PUSH, DELIVERY);
      await first.ended;
      assert.ok(performance.now() - from < 2_500, "the stop took longer than the receive in flight");
      await using second = await Receiver.start(configOf(server));
      await until("the push", () => second.keys.length === 1, { withinMs: 2_000 });
    },
  );

  test("that is hard gives back what is in hand", LIMIT, async () => {
    await using server = await QueueServer.start();
    const never = new Promise<void>(() => undefined);
    await using receiver = await Receiver.start(configOf(server), { handle: () => never });
    await server.send(PUSH, DELIVERY);
    await until("the message in hand", () => receiver.keys.length === 1);
    receiver.hard();
    await receiver.ended;
    assert.deepEqual(await server.counts(), { waiting: 1, inFlight: 0 });
  });
});

describe("a queue", () => {
  test("that nobody answers for is TOR_QUEUE_UNREACHABLE at the start, naming it", LIMIT, async () => {
    const url = "http://127.0.0.1:1/000000000000/toroid";
    const config = {
      url,
      deadLetterUrl: null,
      endpoint: "http://127.0.0.1:1",
      region: "us-east-1",
      credentials: QUEUE_CREDENTIALS,
    };
    await assert.rejects(openQueue(config), (error: unknown) => {
      assert.ok(error instanceof ToroidError);
      assert.equal(error.code, "TOR_QUEUE_UNREACHABLE");
      assert.match(error.message, /ECONNREFUSED.*127\.0\.0\.1:1\/000000000000\/toroid/);
      return true;
    });
  });

  test("that does not exist is TOR_CONFIG_INVALID at the start, and so is a dead-letter queue", LIMIT, async () => {
    await using server = await QueueServer.start();
    const config = configOf(server);
    for (const wrong of [{ url: `${config.url}-x` }, { deadLetterUrl: `${config.url}-y` }]) {
      await assert.rejects(openQueue({ ...config, ...wrong }), {
        code: "TOR_CONFIG_INVALID",
        message: /does not exist.*toroid-/,
      });
    }
  });

  test("that refuses our key is TOR_CONFIG_INVALID at the start", LIMIT, async () => {
    // Stands for AWS, which alone checks keys.
    const aws = createServer((_request, response) => {
      response.writeHead(403, { "content-type": "application/x-amz-json-1.0" });
      response.end(
        '{"__type":"com.amazon.coral.service#InvalidClientTokenId","message":"The security token is invalid."}',
      );
    });
    await new Promise<void>((resolve) => aws.listen(0, "127.0.0.1", resolve));
    const endpoint = `http://127.0.0.1:${(aws.address() as AddressInfo).port}`;
    const config = {
      url: `${endpoint}/1/q`,
      deadLetterUrl: null,
      endpoint,
      region: "us-east-1",
      credentials: QUEUE_CREDENTIALS,
    };
    try {
      await assert.rejects(openQueue(config), { code: "TOR_CONFIG_INVALID", message: /InvalidClientTokenId/ });
    } finally {
      aws.close();
      aws.closeAllConnections();
    }
  });

  test("that goes away and comes back is received from again, with one line for each", LIMIT, async () => {
    await using dir = await tempDir();
    await using first = await startQueueServer({ port: 0, dir: dir.path });
    await using receiver = await Receiver.start(configOf(first));
    await first.stop();
    await until("the line", () => receiver.said(AWAY) > 0);
    await using _again = await startQueueServer({ port: first.port, dir: dir.path });
    await until("the other line", () => receiver.said("queue is back") > 0);
    assert.equal(receiver.said(AWAY), 1);
  });

  test("hands a push on within a blink of its being sent", LIMIT, async (t) => {
    await using server = await QueueServer.start();
    await using receiver = await Receiver.start(configOf(server));
    await server.send(PUSH);
    await until("the first", () => receiver.keys.length === 1); // connections are open now
    const tookMs: number[] = [];
    for (let i = 2; i <= 50; i += 1) {
      await server.send(PUSH);
      const sentAt = performance.now();
      await until("the push", () => receiver.keys.length === i, { everyMs: 1 });
      tookMs.push((receiver.handledAt.at(-1) ?? Number.NaN) - sentAt);
    }
    tookMs.sort((a, b) => a - b);
    t.diagnostic(`sent to handled: p50 ${tookMs[24]?.toFixed(1)} ms, worst ${tookMs.at(-1)?.toFixed(1)} ms`);
    assert.ok((tookMs[24] ?? 1e9) < 100);
  });
});

async function isEmpty(server: QueueServer): Promise<boolean> {
  const { waiting, inFlight } = await server.counts();
  return waiting + inFlight === 0;
}
