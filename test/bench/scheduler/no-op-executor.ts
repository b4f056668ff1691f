/**
 * A process of executors whose stages do nothing: commands, claims, leases and reports are the executor's own code, the
 * workspace is left out. A plan is made of the pushed ref, `refs/heads/<n>`: n stages.
 *
 *   node no-op-executor.ts EXECUTORS SLOTS     configured by TOROID_NATS_URL; says `ready` to its parent
 */
import { randomUUID } from "node:crypto";
import type { AttemptEnd } from "../../../executor/attempt.ts";
import type { Claimant } from "../../../executor/claim.ts";
import { Gate } from "../../../executor/gate.ts";
import type { Holding } from "../../../executor/holding.ts";
import { PresenceBeat } from "../../../executor/presence.ts";
import { serveSlot, type WorkerTools } from "../../../executor/worker.ts";
import type { Slot } from "../../../executor/workspace.ts";
import { connectJet } from "../../../kit/jetstream.ts";
import { makeLogger } from "../../../kit/log.ts";
import { onSignals, tellParent } from "../../../kit/signals.ts";
import { ensureConsumers, openBucket } from "../../../kit/topology.ts";
import { packageVersion } from "../../../kit/version.ts";
import type { StageResult } from "../../../protocol/events.ts";
import { planOf } from "../../../protocol/pipeline/plan.ts";
import { bareResult } from "../../../protocol/stage.ts";
import { EXECUTORS, executorConsumer } from "../../../protocol/streams.ts";
import { PROTOCOL_VERSION } from "../../../protocol/versions.ts";
import type { CheckedSource, Push } from "../../../protocol/work.ts";

const PLANS_AT_ONCE = 2;
const [executors = 1, slots = 1] = process.argv.slice(2).map(Number);
const NO_SLOT: Slot | null = null;

const signals = onSignals();
const log = makeLogger("no-op-executor");
log.level = "warn";
await using jet = await connectJet({ url: process.env["TOROID_NATS_URL"] ?? "", name: "no-op executors" });
const specs = { plan: executorConsumer("default", "plan"), work: executorConsumer("default", "work") };
await ensureConsumers(jet, [specs.plan, specs.work]);
const presences = await openBucket(jet, EXECUTORS);
const consumers = {
  plan: await jet.js.consumers.get(specs.plan.stream, specs.plan.name),
  work: await jet.js.consumers.get(specs.work.stream, specs.work.name),
};
const running = Array.from({ length: executors }, (_, n) => runOne(`${process.pid}-${n}`));
await Promise.all(running.map(({ ready }) => ready));
tellParent({ ready: String(executors) });
await Promise.all(running.map(({ ended }) => ended));

function runOne(id: string): { readonly ready: Promise<unknown>; readonly ended: Promise<void> } {
  const versions = { version: packageVersion(), protocol: PROTOCOL_VERSION };
  const self = { id, host: "bench", ...versions, pool: "default", labels: [], slots, planSlots: PLANS_AT_ONCE };
  const gate = new Gate();
  const around = { whyShut: () => gate.why, look: () => Promise.resolve(), renewed: () => undefined, kept: () => [] };
  const starting = PresenceBeat.start(presences, self, around, log);
  async function serve(): Promise<void> {
    await using presence = await starting;
    const claimant: Claimant = {
      jet,
      presences,
      self: id,
      holdsToken: (token) => presence.holdsToken(token),
      wasCutOff: () => false,
    };
    const tools = (consumer: WorkerTools["consumer"]): WorkerTools => ({
      consumer,
      claimant,
      presence,
      gate,
      run: end,
      log,
    });
    const serveOne = (consumer: (typeof consumers)["plan"]): Promise<void> =>
      serveSlot(
        NO_SLOT,
        tools(() => Promise.resolve(consumer)),
        signals.stop,
        signals.hard,
      );
    await Promise.all([
      ...Array.from({ length: PLANS_AT_ONCE }, () => serveOne(consumers.plan)),
      ...Array.from({ length: slots }, () => serveOne(consumers.work)),
    ]);
  }
  return { ready: starting, ended: serve() };
}

async function end(holding: Holding): Promise<AttemptEnd> {
  const head = { id: randomUUID(), atMs: Date.now() };
  const planned = holding.work.kind === "plan" ? planOfRef(holding.work.push) : null;
  if (planned === null) await holding.report({ ...head, type: "started", weak: [] });
  const result: StageResult = { ...bareResult("passed", ""), planned };
  return (await holding.report({ ...head, id: randomUUID(), type: "finished", result })) ? "reported" : "abandoned";
}

function planOfRef(push: Push): StageResult["planned"] {
  const count = Number(/\d+$/.exec(push.ref)?.[0] ?? 1);
  const values = Array.from({ length: count }, (_, n) => `"${n}"`).join(", ");
  const text = count === 1 ? 'script: "true"' : `script: "true"\nmatrix: { N: [${values}] }`;
  const source: CheckedSource = {
    ref: push.ref,
    branch: "main",
    tag: null,
    before: null,
    commit: "0123456789abcdef0123456789abcdef01234567",
    message: "",
    author: "",
    defaultBranch: "main",
  };
  const made = planOf(".toroid.yml", text, {
    ...source,
    repository: push.repository,
    changedPaths: null,
    tree: { template: "none", files: [] },
  });
  if (made.kind !== "plan") throw new Error(`the bench's own file is ${made.kind}`);
  return { kind: "plan", source, plan: structuredClone(made.plan) as never };
}
