import assert from "node:assert/strict";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { after, test } from "node:test";
import { ChangeMessageVisibilityCommand } from "@aws-sdk/client-sqs";
import { startQueueServer } from "../../../kit/queue-server.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { assertNoLeaks, snapshot } from "../../support/leaks.ts";
import { QueueServer } from "../../support/queue.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";

const before = await snapshot();
after(() => assertNoLeaks(before));

test("a message is received with its attributes, and gone once it is deleted", async () => {
  await using queue = await QueueServer.start();
  const id = await queue.send({ ref: "refs/heads/main" }, { "X-GitHub-Event": "push" });

  const [message, ...others] = await queue.receive();
  assert.ok(message);
  assert.deepEqual(others, []);
  assert.equal(message.MessageId, id);
  assert.equal(message.Body, '{"ref":"refs/heads/main"}');
  assert.equal(message.MessageAttributes?.["X-GitHub-Event"]?.StringValue, "push");
  assert.deepEqual(await queue.counts(), { waiting: 0, inFlight: 1 });
  await queue.delete(message);
  assert.deepEqual(await queue.counts(), { waiting: 0, inFlight: 0 });
});

test("a message that nobody deletes comes back when its visibility ends", async () => {
  await using queue = await QueueServer.start({ visibilitySeconds: 1 });
  await queue.send("again");
  const received = performance.now();
  assert.equal((await queue.receive()).length, 1);
  assert.equal((await queue.receive()).length, 0);
  const [message] = await queue.receive({ waitSeconds: 5 });
  assert.equal(message?.Attributes?.ApproximateReceiveCount, "2");
  assert.ok(performance.now() - received >= 900);
});

test("a long poll answers as soon as there is a message", async () => {
  await using queue = await QueueServer.start();
  const waiting = queue.receive({ waitSeconds: 20 });
  const begin = performance.now();
  await queue.send("now");
  assert.equal((await waiting).length, 1);
  assert.ok(performance.now() - begin < 5_000);
});

test("a receiver that dies during its long poll does not take the next message with it", async () => {
  await using queue = await QueueServer.start();
  const abandoned = await openLongPoll(queue);
  abandoned.destroy();
  await until("the server to see the connection close", () => abandoned.closed);
  await queue.send("for somebody who is there");
  const [message] = await queue.receive({ waitSeconds: 5 });
  assert.equal(message?.Body, "for somebody who is there");
});

test("a message that is given back can be received at once, also from a queue on disk", async () => {
  await using queue = await QueueServer.start();
  await queue.send("not now");
  const [message] = await queue.receive();
  await queue.client.send(
    new ChangeMessageVisibilityCommand({
      QueueUrl: queue.queueUrl,
      ReceiptHandle: message?.ReceiptHandle,
      VisibilityTimeout: 0,
    }),
  );
  assert.equal((await queue.receive()).length, 1);
});

test("messages survive a restart, those in flight stay hidden until their time", async () => {
  await using queue = await QueueServer.start();
  const url = queue.queueUrl;
  await queue.send("first");
  assert.equal((await queue.receive()).length, 1);
  await queue.send("second");
  await queue.restart();
  assert.equal(queue.queueUrl, url);
  assert.deepEqual(await queue.counts(), { waiting: 1, inFlight: 1 });
  const [message] = await queue.receive();
  assert.equal(message?.Body, "second");
});

test("the queue of a directory follows its server to another port", async () => {
  await using dir = await tempDir();
  const first = await startQueueServer({ port: 0, dir: dir.path });
  await first.stop();
  await using second = await startQueueServer({ port: 0, dir: dir.path });
  assert.ok(second.queueUrl.startsWith(second.endpoint));
});

test("what was received too often is set aside in the dead-letter queue", async () => {
  await using queue = await QueueServer.start({ visibilitySeconds: 0 });
  await queue.send("poison");
  for (let i = 0; i < 5; i++) assert.equal((await queue.receive()).length, 1);
  assert.equal((await queue.receive()).length, 0);
  assert.deepEqual(await queue.counts(queue.deadLetterUrl), { waiting: 1, inFlight: 0 });
});

test("it listens on loopback alone", async () => {
  await using queue = await QueueServer.start();
  const { hostname, port } = new URL(queue.endpoint);
  assert.equal(hostname, "127.0.0.1");
  const others = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  for (const { address, scopeid } of others) {
    if (address === "127.0.0.1") continue;
    const host = scopeid === undefined || scopeid === 0 ? address : `${address}%${scopeid}`;
    assert.notEqual(await connects(host, Number(port)), true, `it answers on ${host}`);
  }
});

test("a port in use is refused with a sentence", async () => {
  await using queue = await QueueServer.start();
  const port = Number(new URL(queue.endpoint).port);
  await assert.rejects(startQueueServer({ port }), (error) => {
    assert.ok(error instanceof ToroidError);
    assert.equal(error.code, "TOR_ADDRESS_IN_USE");
    assert.equal(error.message, `cannot start the queue server: 127.0.0.1:${port} is in use by another program`);
    return true;
  });
});

test("a directory in use is refused, and free again once its server has stopped", async () => {
  await using dir = await tempDir();
  const first = await startQueueServer({ port: 0, dir: dir.path });
  await assert.rejects(startQueueServer({ port: 0, dir: dir.path }), { code: "TOR_ADDRESS_IN_USE" });
  await first.stop();
  await using _second = await startQueueServer({ port: 0, dir: dir.path });
});

/** A connection whose long poll the server has taken up. */
async function openLongPoll(queue: QueueServer) {
  const { hostname, port } = new URL(queue.endpoint);
  const body = JSON.stringify({ QueueUrl: queue.queueUrl, WaitTimeSeconds: 20 });
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST / HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/x-amz-json-1.0\r\n` +
      `x-amz-target: AmazonSQS.ReceiveMessage\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  // The server answers in order: once it has told the counts, it had read the poll as well.
  await until("the poll to be sent", () => socket.bytesWritten > body.length);
  await queue.counts();
  return socket;
}

function connects(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1_000 });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket
      .once("connect", () => end(true))
      .once("error", () => end(false))
      .once("timeout", () => end(false));
  });
}
