/** Composition root of the executor: everything is made here, in the order in which it is undone. */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Consumer } from "@nats-io/jetstream";
import { connectJet, type Jet } from "../kit/jetstream.ts";
import { type Logger, makeLogger } from "../kit/log.ts";
import type { Signals } from "../kit/signals.ts";
import { checkServer, ensureConsumers, openBucket } from "../kit/topology.ts";
import { decode } from "../protocol/codec.ts";
import { cancelSignal } from "../protocol/commands.ts";
import { sentenceOf, ToroidError } from "../protocol/errors.ts";
import type { StageId } from "../protocol/ids.ts";
import { COMMAND, EXECUTORS, executorConsumer, LOG, RUN } from "../protocol/streams.ts";
import { CANCEL_SIGNAL } from "../protocol/subjects.ts";
import { Artifacts } from "./artifacts.ts";
import { type AttemptTools, runAttempt } from "./attempt.ts";
import { Background } from "./background.ts";
import { Checkouts } from "./checkout.ts";
import type { Claimant } from "./claim.ts";
import type { Config } from "./config.ts";
import { probeSandbox } from "./doctor.ts";
import { lookupAt } from "./hosts.ts";
import { ImageStore } from "./images/store.ts";
import { sweep, takeState } from "./leftovers.ts";
import { NETWORK_HOST, Networks } from "./network.ts";
import { PresenceBeat } from "./presence.ts";
import { Slots } from "./slots.ts";
import { serveSlot, type WorkerTools } from "./worker.ts";

/** Plans are short and wait for the network, so a few may be made at once beside what the slots run. */
const PLANS_AT_ONCE = 4;
const TOPOLOGY_WAIT_MS = 500;

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
  if (process.geteuid?.() !== 0) throw new ToroidError("TOR_NOT_ROOT", "an executor has to be started by root");
  await using cleanup = new AsyncDisposableStack();
  const { lock, dirs } = await takeState(config.stateDir);
  cleanup.use(lock);
  await mkdir(config.imagesDir, { recursive: true });
  await mkdir(config.artifactsDir, { recursive: true });
  await sweep(dirs, config.sandbox, config.cgroup, log);
  const networks = cleanup.use(await Networks.bringUp(config, dirs.networks, log));
  const slots = cleanup.use(await Slots.take(config.slots, dirs.slots, networks));
  const proven = await provenSandbox(config, slots.all[0]?.uidBase ?? 0, dirs.workspaces);
  const weak = networks === null ? [...proven, NETWORK_HOST] : proven;

  const id = `${hostname().replace(/[^A-Za-z0-9_-]/g, "-")}-${randomBytes(4).toString("hex")}`;
  const jet = cleanup.use(await connectJet({ url: config.natsUrl, name: `toroid-executor ${id}` }));
  checkServer(jet);
  if (!(await topologyThere(jet, signals.stop, log))) return;
  const specs = { plan: executorConsumer(config.pool, "plan"), work: executorConsumer(config.pool, "work") };
  await ensureConsumers(jet, [specs.plan, specs.work]);
  const presences = await openBucket(jet, EXECUTORS);
  const self = { id, host: hostname(), version: "0.1.0", pool: config.pool, slots: config.slots };
  const presence = cleanup.use(await PresenceBeat.start(presences, self, log));
  void watchCancels(jet, presence, log);

  const background = cleanup.use(new Background((error) => log.error({ err: error }, "workspace not removed")));
  const attempt: AttemptTools = {
    jet,
    checkouts: new Checkouts(config.git, dirs.mirrors),
    images: new ImageStore({
      defaultImage: config.defaultImage,
      imagesDir: config.imagesDir,
      cacheDir: dirs.imageCache,
      helper: config.sandbox,
    }),
    artifacts: new Artifacts(config.artifactsDir, dirs.artifactCache),
    lookup: lookupAt(config.network.dns),
    sandbox: {
      helper: config.sandbox,
      cgroup: config.cgroup,
      allowWeak: config.allowWeak,
      weak,
      masks: [config.stateDir, config.artifactsDir, config.imagesDir],
    },
    workspacesDir: dirs.workspaces,
    publicUrl: config.publicUrl,
    background,
  };
  const claimant: Claimant = { jet, presences, self: id, holdsToken: (token) => presence.holdsToken(token) };
  const toolsFor = (spec: { readonly stream: string; readonly name: string }): WorkerTools => ({
    consumer: consumerOf(jet, spec.stream, spec.name),
    claimant,
    presence,
    run: (holding, slot, own) => runAttempt(holding, slot, attempt, own),
    log: log.child({ executor: id }),
  });
  const [planTools, workTools] = [toolsFor(specs.plan), toolsFor(specs.work)];
  const serving = [
    ...Array.from({ length: PLANS_AT_ONCE }, () => serveSlot(null, planTools, signals.stop, signals.hard)),
    ...slots.all.map((slot) => serveSlot(slot, workTools, signals.stop, signals.hard)),
  ];
  signals.stop.addEventListener("abort", () => void presence.drain(), { once: true });
  log.info({ executor: id, pool: config.pool, slots: config.slots, weak }, "executor ready");
  await Promise.all(serving);
  log.info({ executor: id }, "executor drained");
}

/**
 * What this host cannot hold builds to, by running one that does nothing.
 *
 * @throws {ToroidError} TOR_SANDBOX_SETUP
 */
async function provenSandbox(config: Config, uidBase: number, dir: string): Promise<readonly string[]> {
  const verdict = await probeSandbox(config, dir, uidBase);
  if (verdict.reason === "exit" && verdict.code === 0) return verdict.weak;
  if (verdict.lacks.length > 0) {
    const [names, all] = [verdict.lacks.join(", "), [...config.allowWeak, ...verdict.lacks].join(",")];
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
