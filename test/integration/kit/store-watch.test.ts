import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { append, connectJet, type Jet } from "../../../kit/jetstream.ts";
import { StoreWatch } from "../../../kit/store-watch.ts";
import { ensureTopology } from "../../../kit/topology.ts";
import { RUN } from "../../../protocol/streams.ts";
import { NatsServer } from "../../support/nats.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";

const LIMIT = { timeout: 120_000 };
const STORE = { storeBytes: 64 * 1024 * 1024, replicas: 1 };

async function add(jet: Jet, number: number): Promise<void> {
  const event = { type: "cancelRequested", id: `e${number}`, atMs: 1, by: "ada", why: "" };
  await append(jet, RUN.name, `toroid.run.acme__api.${number}._build`, event, 0);
}

/** Once it can be asked again. */
async function looked(watch: StoreWatch, jet: Jet): Promise<string> {
  return until("the store to answer", async () => {
    try {
      return (await watch.look(jet)) ?? "the same";
    } catch {
      return null;
    }
  });
}

test(
  "a store that is older than what was seen of it is noticed, and one that was only away is not",
  LIMIT,
  async () => {
    await using server = await NatsServer.start();
    await using dir = await tempDir();
    await using jet = await connectJet({ url: server.url, name: "test" });
    await ensureTopology(jet, [], STORE);
    const backup = join(dir.path, "backup");
    for (const number of [1, 2]) await add(jet, number);
    await server.whileStopped((store) => cp(store, backup, { recursive: true }));

    const [byLooking, byAppending, earlier] = [new StoreWatch(), new StoreWatch(), new StoreWatch()];
    assert.equal(await looked(earlier, jet), "the same");
    await add(jet, 3);
    byAppending.saw(RUN.name, 3, null);
    assert.equal(await looked(byLooking, jet), "the same");
    await server.restart();
    for (const watch of [byLooking, byAppending, earlier]) assert.equal(await looked(watch, jet), "the same");

    const seen = [new StoreWatch(), new StoreWatch()] as const;
    assert.equal(await looked(seen[0], jet), "the same");
    seen[1].saw(RUN.name, 3, null);
    await server.whileStopped(async (store) => {
      await rm(store, { recursive: true });
      await cp(backup, store, { recursive: true });
    });
    for (const watch of seen) assert.match(await looked(watch, jet), /^TOROID_RUN ends at 2, and ended at 3 before$/);
    // Others have gone on already: its end says nothing any more, but the message does.
    for (const number of [4, 5]) await add(jet, number);
    assert.match(await looked(seen[0], jet), /^TOROID_RUN has another message 3$/);
  },
);

test("what was removed since it was seen is no other store", LIMIT, async () => {
  await using server = await NatsServer.start();
  await using jet = await connectJet({ url: server.url, name: "test" });
  await ensureTopology(jet, [], STORE);
  const watch = new StoreWatch();
  await add(jet, 1);
  assert.equal(await looked(watch, jet), "the same");
  await add(jet, 2);
  await jet.jsm.streams.deleteMessage(RUN.name, 1, false);
  assert.equal(await looked(watch, jet), "the same");
});
