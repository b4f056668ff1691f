import assert from "node:assert/strict";
import { test } from "node:test";
import type { KV } from "@nats-io/kv";
import { connectJet } from "../../../kit/jetstream.ts";
import { Lease } from "../../../kit/lease.ts";
import { makeLogger } from "../../../kit/log.ts";
import { ensureTopology, openBucket } from "../../../kit/topology.ts";
import { LEASES } from "../../../protocol/streams.ts";
import { NatsServer } from "../../support/nats.ts";
import { until } from "../../support/until.ts";

const LIMIT = { timeout: 60_000 };
const QUIET = makeLogger("test", "silent");

async function start() {
  await using undo = new AsyncDisposableStack();
  const server = undo.use(await NatsServer.start());
  const jet = undo.use(await connectJet({ url: server.url, name: "test" }));
  await ensureTopology(jet, [], { storeBytes: 256 * 1024 * 1024, replicas: 1 });
  const bucket = await openBucket(jet, LEASES);
  const kept = undo.move();
  const lease = (self: string): Lease => new Lease(bucket, "timers", self, LEASES.ttlMs, QUIET);
  return { server, bucket, lease, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

test("no two have it at once, however often they ask", LIMIT, async () => {
  await using rig = await start();
  await using one = rig.lease("one");
  await using other = rig.lease("other");
  assert.equal(await one.holds(), true);
  const untilMs = Date.now() + LEASES.ttlMs + 1_000;
  let both = 0;
  await until("the life of a key to be over", async () => {
    const [mine, theirs] = await Promise.all([one.holds(), other.holds()]);
    if (mine && theirs) both += 1;
    return Date.now() > untilMs;
  });
  assert.equal(both, 0);
});

test("it is given back at the end, and runs out when its holder is gone without a word", LIMIT, async () => {
  await using rig = await start();
  await using other = rig.lease("other");
  await using last = rig.lease("last");
  {
    await using one = rig.lease("one");
    assert.equal(await one.holds(), true);
  }
  assert.equal(await other.holds(), true);
  // `other` asks no more.
  await until("it to run out", () => last.holds(), { withinMs: 20_000 });
});

test("a renewal whose answer was lost is found again, and does not have to run out first", LIMIT, async () => {
  await using rig = await start();
  let isDeaf = false;
  // It is written, and the writer is told that it was not.
  const bucket = new Proxy(rig.bucket, {
    get(target, name: keyof KV) {
      const value: unknown = target[name];
      if (name !== "update" || typeof value !== "function")
        return typeof value === "function" ? value.bind(target) : value;
      return async (...given: Parameters<KV["update"]>) => {
        const revision = await target.update(...given);
        if (isDeaf) throw new Error("timeout");
        return revision;
      };
    },
  });
  await using one = new Lease(bucket, "timers", "one", LEASES.ttlMs, QUIET);
  assert.equal(await one.holds(), true);
  const revision = async (): Promise<number> => (await rig.bucket.get("timers"))?.revision ?? 0;
  const before = await revision();
  isDeaf = true;
  await until("a renewal to be lost", async () => {
    await one.holds();
    return (await revision()) > before;
  });
  isDeaf = false;
  const lost = await revision();
  await until("the next renewal", async () => {
    assert.notEqual(await revision(), 0, "it ran out");
    return (await one.holds()) && (await revision()) > lost;
  });
});

test("whoever cannot ask has it no longer, by their own clock", LIMIT, async () => {
  await using rig = await start();
  await using one = rig.lease("one");
  assert.equal(await one.holds(), true);
  await rig.server.kill("SIGSTOP");
  try {
    await until("it to be lost", async () => !(await one.holds()), { withinMs: 20_000 });
  } finally {
    await rig.server.kill("SIGCONT");
  }
  await until("it to be had again", () => one.holds(), { withinMs: 30_000 });
});
