import assert from "node:assert/strict";
import { test } from "node:test";
import { trimLanes } from "../../../coordinator/archive/lanes.ts";
import { makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { type Jet, readSubject } from "../../../kit/jetstream.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import type { EnvironmentId } from "../../../protocol/ids.ts";
import { LANE, LANE_REACTOR } from "../../../protocol/streams.ts";
import { laneSubject } from "../../../protocol/subjects.ts";
import { quiet, startRig } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const LANES: readonly EnvironmentId[] = ["stage", "prod"].map((environment) => ({
  repository: "acme/api",
  environment,
}));
const FULL_BYTES = 256 * 1024;

async function messagesOf(jet: Jet): Promise<readonly number[]> {
  return Promise.all(LANES.map(async (id) => (await readSubject(jet, LANE.name, laneSubject(id), 0)).length));
}

function sum(counts: readonly number[]): number {
  return counts.reduce((all, count) => all + count, 0);
}

/** As a reactor does, for all but the newest `but`. */
async function reactTo(jet: Jet, but: number): Promise<void> {
  const consumer = await jet.js.consumers.get(LANE.name, LANE_REACTOR.name);
  const { num_pending } = await consumer.info();
  for await (const message of await consumer.fetch({ max_messages: num_pending - but, expires: 5_000 }))
    await message.ackAck();
}

test(
  "old events of environments go when their stream fills up, none that is to be reacted to, and no lane",
  LIMIT,
  async () => {
    await using rig = await startRig();
    const { jet } = rig;
    const actors = makeMailboxes(jet, quiet);
    await jet.jsm.streams.update(LANE.name, { max_bytes: FULL_BYTES });
    const change = async (): Promise<void> => {
      for (const id of LANES) {
        await actors.environment.tell(id, { kind: "pause", by: "me", why: "w".repeat(4_000), untilMs: null });
        await actors.environment.tell(id, { kind: "resume", by: "me", why: "done" });
      }
    };
    await change();
    assert.ok((await trimLanes(jet)) < 0.5);
    assert.deepEqual(await messagesOf(jet), [2, 2], "there is room for all");

    const full = async (): Promise<void> => {
      for (;;) await change();
    };
    await assert.rejects(full, (error) => error instanceof ToroidError && error.code === "TOR_DISK_FULL");
    const before = await messagesOf(jet);
    assert.ok((await trimLanes(jet)) > 0.8);
    assert.deepEqual(await messagesOf(jet), before, "nobody has reacted to any");

    const lanes = await Promise.all(LANES.map((id) => makeMailboxes(jet, quiet).environment.load(id)));
    await reactTo(jet, 3);
    assert.ok((await trimLanes(jet)) < 0.5);
    const [stage = 0, prod = 0] = await messagesOf(jet);
    assert.ok(stage > 0 && prod > 0 && stage + prod < sum(before) / 3, `${stage} and ${prod} of ${sum(before)}`);
    const { num_pending } = await jet.jsm.consumers.info(LANE.name, LANE_REACTOR.name);
    assert.equal(num_pending, 3, "they are delivered still");
    assert.deepEqual(await Promise.all(LANES.map((id) => makeMailboxes(jet, quiet).environment.load(id))), lanes);
    await change();
  },
);
