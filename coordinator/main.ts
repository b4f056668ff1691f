/** Composition root of the coordinator: the only place where its parts meet. */
import { randomUUID } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { connectJet, type Jet } from "../kit/jetstream.ts";
import { Lease } from "../kit/lease.ts";
import { makeLogger } from "../kit/log.ts";
import { Parts } from "../kit/parts.ts";
import type { Signals } from "../kit/signals.ts";
import { examineSync, type StoreSync } from "../kit/store-sync.ts";
import { watchStore } from "../kit/store-watch.ts";
import { declareSpoken, ensureTopology, openBucket } from "../kit/topology.ts";
import { packageVersion } from "../kit/version.ts";
import { sentenceOf } from "../protocol/errors.ts";
import { spokenBy } from "../protocol/pairing.ts";
import { ARCHIVE, DRAINS, LEASES, REACTORS, SESSIONS, TOKENS } from "../protocol/streams.ts";
import { accept } from "./accept.ts";
import { openAudit } from "./access/audit.ts";
import { Sessions } from "./access/sessions.ts";
import { Tokens } from "./access/tokens.ts";
import type { Guard } from "./admission.ts";
import { runArchiver } from "./archive/archiver.ts";
import { Ec2Clients } from "./artifacts/clients.ts";
import { makeGate } from "./artifacts/gate.ts";
import { Keeper } from "./artifacts/keeper.ts";
import { watchAmis } from "./artifacts/watch.ts";
import type { Config } from "./config.ts";
import { Dispatcher } from "./dispatch/dispatcher.ts";
import { judgeSync } from "./durability.ts";
import { makeEffects } from "./effects.ts";
import { serveHttp } from "./http/server.ts";
import { shownOf } from "./http/settings.ts";
import type { RawMessage } from "./intake/message.ts";
import { openQueue, receiveFromQueue } from "./intake/sqs.ts";
import { contentOfMessage, letterOfMessage } from "./letters/content.ts";
import { makeMailboxes } from "./mailboxes.ts";
import { makeCounts } from "./metrics/counts.ts";
import { makeChannels } from "./notify/channels.ts";
import { runCourier } from "./notify/courier.ts";
import { makeDeliveries } from "./notify/deliveries.ts";
import { loadNotifySettings } from "./notify/load.ts";
import { followOpen } from "./notify/open.ts";
import { makeOutbox } from "./notify/outbox.ts";
import { secretsIn } from "./notify/settings.ts";
import { followExecutors } from "./projections/executors.ts";
import { followHistory } from "./projections/history.ts";
import { followLanes } from "./projections/lanes.ts";
import { followLetters } from "./projections/letters.ts";
import { restAfter } from "./projections/summary-writer.ts";
import { followTimers } from "./projections/timers.ts";
import { runReactor } from "./reactor.ts";
import { runTimers } from "./timers.ts";

const MESSAGES_IN_HAND = 32;
/**
 * By how much the heap may grow before it is looked through again. Left to itself it grows to four times what is in use,
 * and keeps that: 430 MB where 40 makes it 317 and this 299, for some percent more work.
 */
const HEAP_GROWING_PERCENT = 25;

/** Runs until `outer.stop`, and resolves when nothing is in hand. `onReady` hears the URL of page and API. */
export async function runCoordinator(
  config: Config,
  outer: Signals,
  onReady: (url: string) => void = () => {},
): Promise<void> {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  const log = makeLogger("coordinator");
  const parts = new Parts(outer, (error) => {
    log.fatal({ err: error, why: sentenceOf(error) }, "coordinator cannot go on");
  });
  const { signals } = parts;
  const { publicUrl } = config.http;
  const notify = loadNotifySettings(config.notify);
  const channels = await makeChannels(notify, { publicUrl, version: packageVersion() });
  await using jet = await connectJet({ url: config.natsUrl, name: "toroid-coordinator" });
  // Before the connection goes: what follows the store would else ask again and again.
  using _begun = parts;
  // It comes again after any break, but not when it is turned away.
  void jet.nc.closed().then((error) => (error instanceof Error ? parts.fail(error) : undefined));
  const durability = judgeSync(await syncOf(jet, config), config.allowLazySync);
  if (!durability.ok) log.warn({ why: durability.says }, "a loss of power may lose builds");
  const { storeBytes, replicas, keepBuildsMs, keepLogsMs } = config;
  await ensureTopology(jet, REACTORS, { storeBytes, replicas, keepLogsMs });
  await jet.clock.start();
  await declareSpoken(jet, spokenBy(packageVersion()));

  const actors = makeMailboxes(jet, log);
  const settings = { pool: config.pool };
  // Streams to people end first, then what is in hand, then the connection.
  const [lanes, history, timers, executors, letters] = await Promise.all([
    followLanes(jet, signals.stop, log),
    followHistory(jet, signals.stop, log),
    followTimers(jet, signals.stop, log),
    followExecutors(jet, signals.stop, log),
    followLetters(jet, signals.stop, log),
  ]);
  const leases = await openBucket(jet, LEASES);
  const drains = await openBucket(jet, DRAINS);
  const tokens = new Tokens(await openBucket(jet, TOKENS), jet.clock.nowMs);
  await tokens.follow(signals.stop, log);
  const sessions = new Sessions(await openBucket(jet, SESSIONS), jet.clock.nowMs);
  await sessions.follow(signals.stop, log);
  const cursors = await openBucket(jet, ARCHIVE);
  await using lease = new Lease(leases, "timers", randomUUID(), LEASES.ttlMs, log);
  const dispatcher = Dispatcher.start({ jet, actors, executors, lease, log }, signals.stop);
  using clients = new Ec2Clients(config.amis.endpoint);
  const keeper = new Keeper({ clients, actors, history, lanes, config: config.amis, clock: jet.clock.nowMs, log });
  const guard: Guard = { gate: makeGate(clients, log), lanes };
  const effects = makeEffects(jet, actors, dispatcher.offer, settings, log, restAfter, guard);
  const counts = makeCounts();
  const outbox = makeOutbox(jet, actors, notify);
  const open = followOpen(jet, signals.stop, log);
  using queue = config.queue === null ? null : await openQueue(config.queue);
  await using http = await serveHttp(
    {
      jet,
      actors,
      history,
      lanes,
      gate: guard.gate,
      keeper,
      deliveries: makeDeliveries(jet, open, notify, publicUrl),
      executors,
      letters,
      drains,
      dispatcher,
      durability,
      settings: shownOf(config, packageVersion(), durability),
      audit: openAudit(jet),
      counts,
      tokens,
      sessions,
      log,
      stop: signals.stop,
    },
    config.http,
  );

  parts.add(watchStore(jet, signals.stop, log));
  parts.add(runReactor({ jet, actors, effects, dispatcher, settings, outbox, counts, log }, signals.stop));
  parts.add(dispatcher.run(signals.stop));
  parts.add(runTimers({ actors, lanes, guard, timers, lease, clock: jet.clock.nowMs, log }, signals.stop));
  parts.add(runArchiver({ jet, actors, history, lanes, lease, cursors, keepBuildsMs, log }, signals.stop));
  parts.add(runCourier({ jet, lease, open, channels, secrets: secretsIn(notify), log }, signals.stop));
  parts.add(watchAmis({ keeper, everyMs: config.amis.everyMs, lease, log }, signals.stop));
  if (queue === null) log.warn("no queue is configured (TOROID_QUEUE_URL): builds come by the API only");
  else {
    const handle = async (arrival: Parameters<typeof accept>[1]): Promise<void> => {
      const { repository, number, fresh } = await accept(actors, arrival, "queue");
      log.info({ repository, build: number, key: arrival.key, fresh }, "accepted");
    };
    const keep = async (message: RawMessage, why: string): Promise<void> => {
      const letter = letterOfMessage(message);
      await actors.letter.tell(letter, { kind: "bury", letter, why, content: contentOfMessage(message) });
    };
    parts.add(
      receiveFromQueue(queue, { handle, keep, parallel: MESSAGES_IN_HAND, count: counts.ofMessage }, signals, log),
    );
  }
  log.info({ url: http.url, nats: config.natsUrl }, "coordinator ready");
  onReady(http.url);
  await parts.ended();
  log.info("coordinator stopped");
}

async function syncOf(jet: Jet, { natsMonitorUrls }: Config): Promise<StoreSync> {
  if (natsMonitorUrls.length > 0) return examineSync(jet, natsMonitorUrls);
  return { kind: "unknown", why: "no monitoring port is named" };
}
