import assert from "node:assert/strict";
import { test } from "node:test";
import type { Consumer, JsMsg } from "@nats-io/jetstream";
import { headers } from "nats";
import { bury } from "../../../coordinator/dead-commands.ts";
import { ensureConsumers } from "../../../kit/topology.ts";
import { decode } from "../../../protocol/codec.ts";
import { command } from "../../../protocol/commands.ts";
import { reasonOf, STAGE_HEADER, stageHeader } from "../../../protocol/dead-command.ts";
import { PLAN_STAGE, type StageId } from "../../../protocol/ids.ts";
import { COMMAND, DEAD, DEAD_REACTOR, executorConsumer } from "../../../protocol/streams.ts";
import { commandSubject, stageRunSubject } from "../../../protocol/subjects.ts";
import { until } from "../../support/until.ts";
import { push, REPOSITORY } from "../../unit/coordinator/samples.ts";
import { type Api, startApi } from "./api-rig.ts";
import { claimStage, quiet } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const PLAN: StageId = { repository: REPOSITORY, number: 1, stage: PLAN_STAGE, round: 1 };

/** An executor's consumer that gives up soon, and a build whose plan waits in it. */
async function waiting(api: Api, maxDeliver = 2): Promise<Consumer> {
  const spec = { ...executorConsumer("default", "plan"), maxDeliver, ackWaitMs: 1_000 };
  await ensureConsumers(api.jet, [spec]);
  await api.actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
  await until("the plan to be queued", async () => (await commandsIn(api)) === 1);
  return api.jet.js.consumers.get(COMMAND.name, spec.name);
}

async function commandsIn({ jet }: Api): Promise<number> {
  return (await jet.jsm.streams.info(COMMAND.name)).state.messages;
}

async function next(consumer: Consumer): Promise<JsMsg> {
  return until("a command", async () => {
    for await (const message of await consumer.fetch({ max_messages: 1, expires: 1_000 })) return message;
    return null;
  });
}

/** Gives it back until the server has had enough. */
async function refuse(consumer: Consumer, times: number): Promise<void> {
  for (let delivery = 1; delivery <= times; delivery += 1) (await next(consumer)).nak();
  // The server notices at the next request.
  for await (const message of await consumer.fetch({ max_messages: 1, expires: 1_000 })) message.nak();
}

const endOf = ({ actors }: Api) => until("it to end", async () => (await actors.stage.load(PLAN)).state.result);

test("a command that every executor gives back ends its stage, and does not stay in the queue", LIMIT, async () => {
  await using api = await startApi();
  const consumer = await waiting(api);
  await refuse(consumer, 2);
  const result = await endOf(api);
  assert.deepEqual(
    [result.outcome, result.message],
    ["errored", "it was offered to executors 2 times, and none took it"],
  );
  await until("the queue to be empty", async () => (await commandsIn(api)) === 0);
  const { outcome } = await until("the build to end", async () => {
    const { state } = await api.actors.build.load({ repository: REPOSITORY, number: 1 });
    return state.status === "finished" ? state : null;
  });
  assert.equal(outcome, "failed");
});

test("a command that an executor cannot read ends its stage with what it said", LIMIT, async () => {
  await using api = await startApi();
  const consumer = await waiting(api);
  const message = await next(consumer);
  message.term(reasonOf(message.headers?.get(STAGE_HEADER) ?? "", "a message is not msgpack"));
  const result = await endOf(api);
  assert.deepEqual([result.outcome, result.message], ["errored", "a message is not msgpack"]);
});

test("a stranded command that cannot be read is known by its header", LIMIT, async () => {
  await using api = await startApi();
  const consumer = await waiting(api);
  const good = await next(consumer);
  const { queuedSeq } = decode(command, good.data);
  await good.ackAck();
  const header = headers();
  header.set(STAGE_HEADER, stageHeader(stageRunSubject(PLAN), queuedSeq));
  await api.jet.js.publish(commandSubject("default", "plan", REPOSITORY), "poison", { headers: header });
  await refuse(consumer, 2);
  assert.equal((await endOf(api)).outcome, "errored");
  await until("the queue to be empty", async () => (await commandsIn(api)) === 0);
});

test("what is none of ours is taken away, and harms nobody", LIMIT, async () => {
  await using api = await startApi();
  const consumer = await waiting(api);
  await (await next(consumer)).ackAck();
  await api.jet.js.publish(commandSubject("default", "plan", REPOSITORY), "not ours");
  await refuse(consumer, 2);
  await until("the queue to be empty", async () => (await commandsIn(api)) === 0);
  await api.jet.js.publish(commandSubject("default", "plan", REPOSITORY), "not ours either");
  (await next(consumer)).term("a message is not msgpack");
  await until("both advisories to be settled", async () => {
    const info = await api.jet.jsm.consumers.info(DEAD.name, DEAD_REACTOR.name);
    return info.delivered.stream_seq >= 2 && info.num_ack_pending === 0 && info.num_pending === 0;
  });
  assert.equal((await api.actors.stage.load(PLAN)).state.status, "queued");
});

test("a stage that somebody holds gets another command, so that it can be taken over", LIMIT, async () => {
  await using api = await startApi();
  const consumer = await waiting(api);
  await claimStage(api.jet, api.actors, PLAN);
  await refuse(consumer, 2);
  const again = await next(consumer);
  const { number, stage, attempt, queuedSeq } = decode(command, again.data);
  const { state } = await api.actors.stage.load(PLAN);
  assert.deepEqual([number, stage, attempt, queuedSeq], [1, PLAN_STAGE, 1, state.queuedSeq]);
  assert.deepEqual([state.status, await commandsIn(api)], ["claimed", 1], "the stranded one is gone");
});

test("an advisory that comes again does nothing more", LIMIT, async () => {
  await using api = await startApi();
  const consumer = await waiting(api);
  await refuse(consumer, 2);
  await endOf(api);
  await until("the queue to be empty", async () => (await commandsIn(api)) === 0);
  const stored = await api.jet.jsm.direct.getMessage(DEAD.name, { seq: 1 });
  assert.ok(stored !== null);
  await bury(api.jet, api.actors, stored.data, quiet);
  assert.equal(await commandsIn(api), 0);
});
