import assert from "node:assert/strict";
import { hostname } from "node:os";
import { test } from "node:test";
import { seenHere } from "../../../executor/seen.ts";
import { connectJet } from "../../../kit/jetstream.ts";
import { ensureTopology, openBucket } from "../../../kit/topology.ts";
import { encode } from "../../../protocol/codec.ts";
import type { Presence } from "../../../protocol/commands.ts";
import { EXECUTORS } from "../../../protocol/streams.ts";
import { NatsServer } from "../../support/nats.ts";
import { toroid } from "../../unit/bin/toroid.ts";

function presenceOf(id: string, host: string): Presence {
  const rest = { version: "0.1.0", pool: "default", slots: 2, busy: 1, draining: false, why: "", protocol: 1 };
  return { id, host, planSlots: 4, labels: [], runs: [], sinceMs: 0, tokens: [], ...rest };
}

test("an executor is seen on its own host, and not once its presence is gone", async () => {
  await using server = await NatsServer.start();
  await using jet = await connectJet({ url: server.url, name: "test" });
  await ensureTopology(jet, [], { storeBytes: 256 * 1024 * 1024, replicas: 1 });
  const bucket = await openBucket(jet, EXECUTORS);
  const ids = async (): Promise<readonly string[]> => (await seenHere({ natsUrl: server.url })).map(({ id }) => id);

  assert.deepEqual(await ids(), []);
  const { state } = await jet.jsm.streams.info(`KV_${EXECUTORS.name}`);
  assert.equal(state.consumer_count, 0, "looking leaves nothing on the server");

  await bucket.put("far", encode(presenceOf("far", "another-host")));
  assert.deepEqual(await ids(), []);
  const env = { TOROID_NATS_URL: server.url };
  const missed = await toroid(["executor", "--check"], { env });
  assert.deepEqual([missed.exit, missed.out], [6, ""]);
  assert.match(missed.err, /no executor of this host says that it lives/);

  await bucket.put("here", encode(presenceOf("here", hostname())));
  assert.deepEqual(await ids(), ["here"]);
  const seen = await toroid(["executor", "--check"], { env });
  assert.deepEqual([seen.exit, seen.out], [0, "here lives, 1 of 2 slots busy\n"], seen.err);

  await bucket.delete("here");
  assert.deepEqual(await ids(), []);
});

test("where NATS is away, the check says so", async () => {
  const { exit, err } = await toroid(["executor", "--check"], { env: { TOROID_NATS_URL: "nats://127.0.0.1:9" } });
  assert.equal(exit, 6);
  assert.match(err, /cannot connect to NATS at nats:\/\/127\.0\.0\.1:9/);
});
