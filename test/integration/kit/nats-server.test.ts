import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "nats";
import { findNatsServer, startNatsServer } from "../../../kit/nats-server.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { isAlive, script } from "../../support/child.ts";
import { assertNoLeaks, snapshot } from "../../support/leaks.ts";
import { NatsServer } from "../../support/nats.ts";
import { needs } from "../../support/skips.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";

const before = await snapshot();
after(() => assertNoLeaks(before));

const ROOT = join(import.meta.dirname, "..", "..", "..");
const { path: binary } = await findNatsServer(join(ROOT, ".toroid", "cache"), console.error);
const anywhere = { binary, host: "127.0.0.1", port: 0, syncAlways: false } as const;

test("it takes connections on a free port of its own, with JetStream", async () => {
  await using server = await NatsServer.start();
  const nc = await connect({ servers: server.url });
  assert.equal(nc.info?.jetstream, true);
  assert.equal(nc.info?.port, server.port);
  assert.equal(nc.info?.max_payload, 1024 * 1024);
  await nc.close();
});

test("what was acknowledged is there after kill -9 and a restart on the same port", async () => {
  await using server = await NatsServer.start({ syncAlways: true });
  const { url } = server;
  await publish(url, ["one", "two"]);
  await server.kill("SIGKILL");
  await server.restart();
  assert.equal(server.url, url);
  assert.equal(await countMessages(url), 2);
  await server.restart();
  assert.equal(await countMessages(url), 2);
});

test("it is told to sync always, how much disk it may use, and to be monitored, only when asked", async () => {
  await using dir = await tempDir();
  const storeDir = join(dir.path, 'a "quoted" store');
  const started = await startNatsServer({
    ...anywhere,
    storeDir,
    syncAlways: true,
    maxFileBytes: 123_456_789,
    monitorPort: 0,
  });
  await using server = started;
  const config = await readFile(join(storeDir, "nats.conf"), "utf8");
  assert.match(config, /sync_interval: always/);
  const vars = await (await fetch(`${server.monitorUrl}/varz`)).text();
  assert.match(vars, /"max_storage": 123456789/);
  assert.match(vars, /"sync_always": true/);
});

test("without a monitor port nothing serves http", async () => {
  await using dir = await tempDir();
  await using server = await startNatsServer({ ...anywhere, storeDir: dir.path });
  assert.equal(server.monitorUrl, undefined);
});

test("a port in use is refused with a sentence, before the store is touched", async () => {
  await using server = await NatsServer.start();
  await using dir = await tempDir();
  const storeDir = join(dir.path, "store");
  await assert.rejects(startNatsServer({ ...anywhere, storeDir, port: server.port }), (error) => {
    assert.ok(error instanceof ToroidError);
    assert.equal(error.code, "TOR_ADDRESS_IN_USE");
    assert.equal(error.message, `cannot start nats-server: 127.0.0.1:${server.port} is in use by another program`);
    return true;
  });
  await assert.rejects(readFile(join(storeDir, "nats.conf")), { code: "ENOENT" });
});

test("a monitor port in use is refused with the same sentence", async () => {
  await using server = await NatsServer.start();
  await using dir = await tempDir();
  await assert.rejects(startNatsServer({ ...anywhere, storeDir: dir.path, monitorPort: server.port }), {
    code: "TOR_ADDRESS_IN_USE",
    message: `cannot start nats-server: 127.0.0.1:${server.port} is in use by another program`,
  });
});

test("a directory in use is refused: two servers on one store would destroy it", async () => {
  await using dir = await tempDir();
  await using server = await startNatsServer({ ...anywhere, storeDir: dir.path });
  await assert.rejects(startNatsServer({ ...anywhere, storeDir: dir.path }), { code: "TOR_ADDRESS_IN_USE" });
  await server.stop();
  await using _next = await startNatsServer({ ...anywhere, storeDir: dir.path });
});

test("a server that cannot start says why in its own words", async () => {
  await using dir = await tempDir();
  const failing = startNatsServer({ ...anywhere, storeDir: dir.path, host: "192.0.2.1" });
  await assert.rejects(failing, (error) => {
    assert.ok(error instanceof ToroidError);
    assert.equal(error.code, "TOR_NATS_UNREACHABLE");
    assert.match(error.message, /^nats-server ended with 1: .*192\.0\.2\.1.*cannot assign requested address/);
    return true;
  });
});

test("a program that is no nats-server is refused", async () => {
  await using dir = await tempDir();
  const starting = startNatsServer({ ...anywhere, binary: join(dir.path, "none"), storeDir: dir.path });
  await assert.rejects(starting, ToroidError);
});

test("it stops in order when asked", async () => {
  await using dir = await tempDir();
  const server = await startNatsServer({ ...anywhere, storeDir: dir.path });
  await server.stop();
  assert.equal(isAlive(server.pid), false);
  assert.notEqual((await server.exited).signal, "SIGKILL");
  await server.stop();
});

test("it dies with its parent, even by kill -9", async (t) => {
  if (!needs(t, { program: "setpriv" })) return;
  await using dir = await tempDir();
  await using parent = script(join(ROOT, "test", "support", "hold-nats.ts"), [binary, dir.path]);
  const pid = Number(await parent.line());
  assert.ok(isAlive(pid));
  parent.kill("SIGKILL");
  await parent.exited;
  await until("the server to die", () => !isAlive(pid));
  await using _next = await startNatsServer({ ...anywhere, storeDir: dir.path });
});

async function publish(url: string, texts: readonly string[]): Promise<void> {
  const nc = await connect({ servers: url });
  await (await jetstreamManager(nc)).streams.add({ name: "KEPT", subjects: ["kept.>"] });
  for (const text of texts) await jetstream(nc).publish("kept.x", text);
  await nc.close();
}

async function countMessages(url: string): Promise<number> {
  const nc = await connect({ servers: url });
  const { state } = await (await jetstreamManager(nc)).streams.info("KEPT");
  await nc.close();
  return state.messages;
}
