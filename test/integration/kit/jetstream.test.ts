import assert from "node:assert/strict";
import { test } from "node:test";
import { append, connectJet, readLast, readSubject } from "../../../kit/jetstream.ts";
import { isOlder } from "../../../kit/nats-server/version.ts";
import { ensureTopology } from "../../../kit/topology.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { REACTORS, RUN, RUN_REACTOR, STREAMS } from "../../../protocol/streams.ts";
import { NatsServer } from "../../support/nats.ts";

const OPTIONS = { storeBytes: 256 * 1024 * 1024, replicas: 1 };

async function makeRig() {
  await using undo = new AsyncDisposableStack();
  const server = undo.use(await NatsServer.start());
  const jet = undo.use(await connectJet({ url: server.url, name: "test" }));
  await ensureTopology(jet, REACTORS, OPTIONS);
  const kept = undo.move();
  return { server, jet, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

test("an append lands only where the expected sequence is still the last", { timeout: 30_000 }, async () => {
  await using rig = await makeRig();
  const subject = "toroid.run.acme__api.1._build";
  const first = await append(rig.jet, RUN.name, subject, { id: "a" }, 0);
  assert.equal(first.kind, "appended");
  assert.deepEqual(await append(rig.jet, RUN.name, subject, { id: "b" }, 0), { kind: "conflict" });
  const seq = first.kind === "appended" ? first.seq : 0;
  assert.equal((await append(rig.jet, RUN.name, subject, { id: "c" }, seq)).kind, "appended");
  assert.deepEqual(
    (await readSubject(rig.jet, RUN.name, subject, 0)).map((one) => one.eventId),
    ["a", "c"],
  );
  assert.deepEqual(
    (await readSubject(rig.jet, RUN.name, subject, seq)).map((one) => one.eventId),
    ["c"],
  );
  assert.equal((await readLast(rig.jet, RUN.name, subject))?.eventId, "c");
  assert.equal(await readLast(rig.jet, RUN.name, "toroid.run.none.1._build"), null);
  assert.deepEqual(await readSubject(rig.jet, RUN.name, "toroid.run.none.1._build", 0), []);
});

test("long logs are read whole and in order", { timeout: 30_000 }, async () => {
  await using rig = await makeRig();
  const subject = "toroid.run.acme__api.2._build";
  let seq = 0;
  for (let n = 0; n < 1_100; n += 1) {
    const done = await append(rig.jet, RUN.name, subject, { id: String(n) }, seq);
    assert.equal(done.kind, "appended");
    if (done.kind === "appended") seq = done.seq;
  }
  const all = await readSubject(rig.jet, RUN.name, subject, 0);
  assert.deepEqual(
    all.map((one) => Number(one.eventId)),
    Array.from({ length: 1_100 }, (_, n) => n),
  );
});

test("a second start finds everything as it should be, and grows the store", { timeout: 30_000 }, async () => {
  await using rig = await makeRig();
  await ensureTopology(rig.jet, REACTORS, { ...OPTIONS, storeBytes: 2 * OPTIONS.storeBytes });
  const info = await rig.jet.jsm.streams.info(RUN.name);
  assert.equal(info.config.max_bytes, Math.floor(RUN.share * 2 * OPTIONS.storeBytes));
});

test("a stream that somebody changed is refused with its settings and the server's version", {
  timeout: 30_000,
}, async () => {
  await using rig = await makeRig();
  for (const spec of STREAMS) await rig.jet.jsm.streams.delete(spec.name);
  await rig.jet.jsm.streams.add({ name: RUN.name, subjects: [...RUN.subjects], max_consumers: 7 });
  await assert.rejects(ensureTopology(rig.jet, [RUN_REACTOR], OPTIONS), (error) => {
    assert.ok(error instanceof ToroidError);
    assert.equal(error.code, "TOR_STREAM_MISMATCH");
    assert.match(error.message, /nats-server [0-9.]+ keeps stream TOROID_RUN .* max_consumers is 7 and not 64/);
    return true;
  });
});

test("an unreachable server is said in one sentence", { timeout: 30_000 }, async () => {
  await assert.rejects(connectJet({ url: "nats://127.0.0.1:1", name: "test" }), (error) => {
    assert.ok(error instanceof ToroidError);
    assert.equal(error.code, "TOR_NATS_UNREACHABLE");
    assert.match(error.message, /^cannot connect to NATS at nats:\/\/127\.0\.0\.1:1: /);
    return true;
  });
});

test("a store too small for the streams is refused with both sizes", { timeout: 30_000 }, async () => {
  await using server = await NatsServer.start({ maxFileBytes: 64 * 1024 * 1024 });
  await using jet = await connectJet({ url: server.url, name: "test" });
  await assert.rejects(ensureTopology(jet, REACTORS, OPTIONS), (error) => {
    assert.ok(error instanceof ToroidError);
    assert.equal(error.code, "TOR_STREAM_MISMATCH");
    assert.match(error.message, /max_file_store.*TOROID_STORE_BYTES/);
    return true;
  });
});

test("versions compare by number", () => {
  assert.equal(isOlder("2.9.10", "2.12.3"), true);
  assert.equal(isOlder("2.12.3", "2.12.3"), false);
  assert.equal(isOlder("2.15.1-beta", "2.12.3"), false);
  assert.equal(isOlder("3.0.0", "2.12.3"), false);
});
