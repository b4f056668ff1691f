import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { connectJet, type Jet } from "../../../kit/jetstream.ts";
import { findNatsServer, type RunningNatsServer, startNatsServer } from "../../../kit/nats-server.ts";
import { examineSync } from "../../../kit/store-sync.ts";
import { tempDir } from "../../support/temp.ts";
import { startCoordinator } from "./rig.ts";

const CACHE = join(import.meta.dirname, "..", "..", "..", ".toroid", "cache");
const LIMIT = { timeout: 60_000 };

interface Monitored {
  readonly nats: RunningNatsServer;
  readonly jet: Jet;
  readonly monitor: string;
}

async function monitored(undo: AsyncDisposableStack, syncAlways: boolean): Promise<Monitored> {
  const { path: binary } = await findNatsServer(CACHE, (line) => console.error(line));
  const dir = undo.use(await tempDir("toroid-sync-"));
  const at = { binary, storeDir: dir.path, host: "127.0.0.1", port: 0, monitorPort: 0, maxFileBytes: 1024 ** 3 };
  const nats = undo.use(await startNatsServer({ ...at, syncAlways }));
  const jet = undo.use(await connectJet({ url: nats.url, name: "test" }));
  return { nats, jet, monitor: nats.monitorUrl ?? "" };
}

async function storeOf(url: string): Promise<unknown> {
  return ((await (await fetch(new URL("readyz", url))).json()) as { readonly store: unknown }).store;
}

test("a server tells on its monitoring port whether it syncs always", LIMIT, async () => {
  await using undo = new AsyncDisposableStack();
  const [lazy, always] = [await monitored(undo, false), await monitored(undo, true)];
  assert.deepEqual(await examineSync(always.jet, [always.monitor]), { kind: "always" });
  assert.deepEqual(await examineSync(lazy.jet, [lazy.monitor]), {
    kind: "lazy",
    server: lazy.monitor,
    everyMs: 120_000,
  });
  // One of a cluster is enough to lose something by.
  assert.equal((await examineSync(always.jet, [always.monitor, lazy.monitor])).kind, "lazy");
});

test("another server's word, none, and nonsense are no knowledge", LIMIT, async () => {
  await using undo = new AsyncDisposableStack();
  const [one, other] = [await monitored(undo, true), await monitored(undo, true)];
  const whyOf = async (...urls: string[]): Promise<string> => {
    const found = await examineSync(one.jet, urls);
    return found.kind === "unknown" ? found.why : found.kind;
  };
  assert.match(await whyOf(other.monitor), /is another server$/);
  assert.match(await whyOf("http://127.0.0.1:9"), /^http:\/\/127\.0\.0\.1:9: /);
  assert.match(await whyOf(`${one.monitor}/healthz/`), /: it answers 404$/);
  // Of several, it is enough that one of them is ours.
  assert.equal(await whyOf("http://127.0.0.1:9", one.monitor), "always");
});

test("a coordinator does not start on a lazily synced store, unless that is allowed", LIMIT, async () => {
  await using undo = new AsyncDisposableStack();
  const { nats, monitor } = await monitored(undo, false);
  const asked = { TOROID_NATS_MONITOR_URL: monitor, TOROID_ALLOW_LAZY_SYNC: "0" };
  await assert.rejects(startCoordinator(nats.url, asked), { code: "TOR_STORE_LAZY" });
  await using unseen = await startCoordinator(nats.url, { TOROID_ALLOW_LAZY_SYNC: "0" });
  assert.match(
    JSON.stringify(await storeOf(unseen.url)),
    /"ok":false,"says":"it is not known .*TOROID_NATS_MONITOR_URL/,
  );
  await using allowed = await startCoordinator(nats.url, { ...asked, TOROID_ALLOW_LAZY_SYNC: "1" });
  assert.match(JSON.stringify(await storeOf(allowed.url)), /"ok":true,"says":"nats-server .* 120 s only/);
});
