/** Composition root of the executor: everything is made here, in the order in which it is undone. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Consumer } from "@nats-io/jetstream";
import { openEc2 } from "../kit/ec2.ts";
import { connectJet, type Jet } from "../kit/jetstream.ts";
import { type Logger, makeLogger } from "../kit/log.ts";
import type { Signals } from "../kit/signals.ts";
import { watchStore } from "../kit/store-watch.ts";
import { checkServer, ensureConsumers, openBucket } from "../kit/topology.ts";
import { packageVersion } from "../kit/version.ts";
import { decode } from "../protocol/codec.ts";
import { cancelSignal } from "../protocol/commands.ts";
import { sentenceOf, ToroidError } from "../protocol/errors.ts";
import type { StageId } from "../protocol/ids.ts";
import { COMMAND, DRAINS, EXECUTORS, executorConsumer, LOG, RUN } from "../protocol/streams.ts";
import { CANCEL_SIGNAL } from "../protocol/subjects.ts";
import { PROTOCOL_VERSION } from "../protocol/versions.ts";
import { BucketStore } from "./artifacts/bucket.ts";
import { ArtifactCache } from "./artifacts/cache.ts";
import { type ArtifactStore, DirectoryStore } from "./artifacts/store.ts";
import { Artifacts } from "./artifacts.ts";
import { type AttemptTools, runAttempt } from "./attempt.ts";
import { Background } from "./background.ts";
import { type BakeConfig, readSettings } from "./bake/settings.ts";
import { Bakery } from "./bake.ts";
import { Checkouts } from "./checkout.ts";
import type { Claimant } from "./claim.ts";
import type { Config } from "./config.ts";
import { type ProbePlace, probeSandbox } from "./doctor.ts";
import { Gate } from "./gate.ts";
import { lookupAt } from "./hosts.ts";
import { Hold, ImageCache } from "./images/cache.ts";
import { DebianImages } from "./images/debian.ts";
import { exportByServe } from "./images/layer.ts";
import { handsOfServe, ociImages } from "./images/make.ts";
import { PackerImages } from "./images/packer.ts";
import { ImageStore } from "./images/store.ts";
import { Leash } from "./leash.ts";
import { sweep } from "./leftovers.ts";
import { NETWORK_HOST, networkOf } from "./network.ts";
import { Orders } from "./orders.ts";
import { assertPair } from "./pairing.ts";
import { PresenceBeat } from "./presence.ts";
import { openSandbox } from "./sandbox.ts";
import { Secrets } from "./secrets.ts";
import { makeSlots, scratchOf } from "./slots.ts";
import { Spool } from "./spool.ts";
import { serveSlot, type WorkerTools } from "./worker.ts";
import type { Slot } from "./workspace.ts";

/** Plans are short and wait for the network, so a few may be made at once beside what the slots run. */
const PLANS_AT_ONCE = 4;
const TOPOLOGY_WAIT_MS = 500;
/** No stage takes so long to write its artifact. */
const HALF_DONE_MS = 48 * 3_600_000;

/**
 * Runs an executor until it is told to go and holds nothing more.
 *
 * @throws {ToroidError} when it cannot start
 */
export async function runExecutor(
  config: Config,
  signals: Signals,
  log: Logger = makeLogger("executor"),
): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  // Read while we can: the checkout may be root's alone.
  const versions = { version: packageVersion(), protocol: PROTOCOL_VERSION };
  const store =
    config.artifacts.kind === "bucket" ? new BucketStore(config.artifacts) : new DirectoryStore(config.artifacts.path);
  // While we may still read everything of ours.
  const ec2 = config.bake === null ? null : await openBake(config.bake);
  if (ec2 !== null) cleanup.defer(() => ec2.client.destroy());
  const { client, ready, dirs, slots: count, packer: tools } = cleanup.use(await openSandbox(config, store, log));
  await sweep(dirs, client, log);
  const cache = await ArtifactCache.open(dirs.artifactCache, config.artifactCacheBytes, (path) => client.remove(path));
  const network = networkOf(config, ready, log);
  const leash = new Leash();
  const slots = await makeSlots(client, {
    count,
    spare: ready.slots - count,
    dir: dirs.slots,
    network,
    leash: ready.leases ? leash : null,
  });
  const allowWeak: readonly string[] = []; // it is serve that was told
  const masks = [config.stateDir, config.imagesDir];
  if (config.artifacts.kind === "directory") masks.push(config.artifacts.path);
  if (config.secrets.dir !== null) masks.push(config.secrets.dir);
  const settings = { allowWeak, masks };
  const imageCache = new ImageCache({
    store: ready.store,
    index: dirs.imageIndex,
    hands: handsOfServe(client, dirs.slots),
    mostBytes: config.images.cacheBytes,
  });
  await imageCache.sweep().catch((err: unknown) => log.warn({ err }, "images left half-made not removed"));
  const images = new ImageStore({
    defaultImage: config.defaultImage,
    imagesDir: config.imagesDir,
    cache: imageCache,
    oci: ociImages(imageCache, config.images),
    debian: new DebianImages(imageCache, { ...config.images, workspacesDir: dirs.workspaces, settings }),
    packer: new PackerImages(imageCache, { workspacesDir: dirs.workspaces, tools, settings }),
  });
  const proven = await provenIn(images, config, slots[0], dirs.workspaces, signals.stop);
  const weak = network === "host" ? [...proven, NETWORK_HOST] : proven;
  /** NATS has an older state than this executor has seen: what it holds is nobody's. */
  const outdated = new AbortController();
  const stop = AbortSignal.any([signals.stop, client.lost, outdated.signal]);
  const hard = AbortSignal.any([signals.hard, outdated.signal]);

  const id = `${hostname().replace(/[^A-Za-z0-9_-]/g, "-")}-${randomBytes(4).toString("hex")}`;
  const jet = cleanup.use(await connectJet({ url: config.natsUrl, name: `toroid-executor ${id}` }));
  checkServer(jet);
  if (!(await topologyThere(jet, stop, log))) return client.lost.throwIfAborted();
  await jet.clock.start();
  const presences = await openBucket(jet, EXECUTORS);
  const { pool, labels } = config;
  const self = { id, host: hostname(), ...versions, pool, labels, slots: count, planSlots: PLANS_AT_ONCE };
  await assertPair(jet, presences, self);
  const specs = { plan: executorConsumer(config.pool, "plan"), work: executorConsumer(config.pool, "work") };
  await ensureConsumers(jet, [specs.plan, specs.work]);
  const gate = new Gate();
  const orders = new Orders(() => openBucket(jet, DRAINS), id, gate, log);
  const spool = cleanup.use(new Spool(jet, dirs.spool, config.spoolBytes, log));
  const renewed = (agoMs: number): void => {
    leash.renewed(agoMs);
    spool.hurry();
  };
  const around = { whyShut: () => gate.why, look: () => orders.look(), renewed, kept: () => spool.tokens };
  await spool.begin();
  const presence = cleanup.use(await PresenceBeat.start(presences, self, around, log));
  void watchCancels(jet, presence, log);

  const background = cleanup.use(new Background((error) => log.error({ err: error }, "leavings not removed")));
  background.run(() => sweepArtifacts(store, jet.clock.nowMs(), log));
  const attempt: AttemptTools = {
    jet,
    checkouts: new Checkouts(config.git, dirs.mirrors),
    images,
    artifacts: new Artifacts(store, cache, dirs.artifactCache),
    secrets: new Secrets(config.secrets, config.git),
    bakery:
      ec2 === null
        ? null
        : new Bakery({
            ...ec2,
            workspacesDir: dirs.workspaces,
            tools,
            sandbox: settings,
            exportRuns: (workspace, into) => exportByServe(client, dirs.slots, scratchOf(workspace), into),
          }),
    lookup: lookupAt(config.network.dns),
    sandbox: { ...settings, weak },
    workspacesDir: dirs.workspaces,
    publicUrl: config.publicUrl,
    spool,
    background,
  };
  const claimant: Claimant = {
    jet,
    presences,
    self: id,
    holdsToken: (token) => presence.holdsToken(token),
    wasCutOff: () => presence.isBackSinceShortly,
  };
  const toolsFor = (spec: { readonly stream: string; readonly name: string }): WorkerTools => ({
    consumer: consumerOf(jet, spec.stream, spec.name),
    claimant,
    presence,
    gate,
    run: (holding, slot, own) => runAttempt(holding, slot, attempt, own),
    log: log.child({ executor: id }),
  });
  const [planTools, workTools] = [toolsFor(specs.plan), toolsFor(specs.work)];
  const serving = [
    ...Array.from({ length: PLANS_AT_ONCE }, () => serveSlot(null, planTools, stop, hard)),
    ...slots.map((slot) => serveSlot(slot, workTools, stop, hard)),
  ];
  stop.addEventListener("abort", () => void presence.drain(), { once: true });
  client.lost.addEventListener("abort", () => log.error({ err: client.lost.reason }, "sandbox lost"), { once: true });
  log.info({ executor: id, ...versions, pool, labels, slots: count, uid: process.geteuid?.(), weak }, "executor ready");
  const watching = watchStore(jet, stop, log).catch((error: unknown) => outdated.abort(error));
  await Promise.all(serving);
  await watching;
  outdated.signal.throwIfAborted();
  log.info({ executor: id }, "executor drained");
  client.lost.throwIfAborted();
}

/** In the image of stages that name none: unpacked now, where it is an archive, and not before the first of them. */
async function provenIn(
  images: ImageStore,
  config: Config,
  slot: Slot | undefined,
  workspaces: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  await using hold = new Hold();
  const base = await images.base({ kind: "default" }, { checkout: workspaces, hold, signal, log: null, place: null });
  return provenSandbox(config, slot, { workspace: join(workspaces, "probe"), images: base.images });
}

async function openBake(config: BakeConfig) {
  const settings = await readSettings(config.sourceFile);
  return { config, settings, client: await openEc2(config) };
}

/**
 * What this host cannot hold builds to, by running one that does nothing in the image of those that name none.
 *
 * @throws {ToroidError} TOR_SANDBOX_SETUP
 */
async function provenSandbox(
  { allowWeak }: Config,
  slot: Slot | undefined,
  at: ProbePlace,
): Promise<readonly string[]> {
  if (slot === undefined) throw new ToroidError("TOR_INTERNAL", "there is no slot");
  const verdict = await probeSandbox(slot, at);
  if (verdict.reason === "exit" && verdict.code === 0) return verdict.weak;
  if (verdict.lacks.length > 0) {
    const [names, all] = [verdict.lacks.join(", "), [...allowWeak, ...verdict.lacks].join(",")];
    throw new ToroidError(
      "TOR_SANDBOX_SETUP",
      `this host cannot hold builds to what they are promised (${names}): mend it, \`toroid doctor --executor\` says ` +
        `what is missing; or set TOROID_ALLOW_WEAK=${all}, and builds run without and say so`,
    );
  }
  throw new ToroidError(
    "TOR_SANDBOX_SETUP",
    `no workspace can be made on this host: ${verdict.message}; \`toroid doctor --executor\` tells more`,
  );
}

/** What other executors left of archives that they did not get done with. That it cannot be removed harms nothing yet. */
async function sweepArtifacts(store: ArtifactStore, nowMs: number, log: Logger): Promise<void> {
  try {
    const removed = await store.sweep(nowMs - HALF_DONE_MS);
    if (removed > 0) log.warn({ removed }, "half written artifacts removed");
  } catch (err) {
    log.warn({ err }, "half written artifacts not removed");
  }
}

/** Waits until a coordinator has made the streams; false when told to go before. */
async function topologyThere(jet: Jet, stop: AbortSignal, log: Logger): Promise<boolean> {
  for (let said = false; !stop.aborted; ) {
    try {
      for (const { name } of [RUN, COMMAND, LOG]) await jet.jsm.streams.info(name);
      await (await openBucket(jet, EXECUTORS)).status();
      return true;
    } catch (error) {
      if (!said) log.info({ reason: sentenceOf(error) }, "waiting for a coordinator to make the streams");
      said = true;
      await sleep(TOPOLOGY_WAIT_MS, undefined, { signal: stop }).catch(() => undefined);
    }
  }
  return false;
}

/** One consumer object for all slots of a queue, looked up again after a failure. */
function consumerOf(jet: Jet, stream: string, name: string): () => Promise<Consumer> {
  let known: Promise<Consumer> | null = null;
  return () => {
    known ??= jet.js.consumers.get(stream, name).catch((error: unknown) => {
      known = null;
      throw error;
    });
    return known;
  };
}

/** The signal only says where to look: the truth is the stage's log. */
async function watchCancels(jet: Jet, presence: PresenceBeat, log: Logger): Promise<void> {
  for await (const message of jet.nc.subscribe(CANCEL_SIGNAL)) {
    try {
      const wanted = decode(cancelSignal, message.data);
      for (const { holding } of presence.held) if (isSame(holding.id, wanted)) await holding.look();
    } catch (err) {
      log.warn({ err }, "cancel signal not followed");
    }
  }
}

function isSame(a: StageId, b: StageId): boolean {
  return a.repository === b.repository && a.number === b.number && a.stage === b.stage && a.round === b.round;
}
