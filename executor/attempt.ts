/**
 * One attempt, from claimed to reported. This is the way of a stage through an executor:
 *
 *   claimed → checkout, image, artifact, hosts → workspace → `started` → install, script, publish, after → outputs → `finished`
 *
 * A script that says no is a value and becomes `finished`; that we could not run it is an error and becomes
 * `attemptErrored`. Nothing is reported on an attempt that is another's by now.
 */
import { randomUUID } from "node:crypto";
import { crashPoint } from "../kit/crash-points.ts";
import type { Jet } from "../kit/jetstream.ts";
import type { Logger } from "../kit/log.ts";
import { dispositionOf, sentenceOf, ToroidError } from "../protocol/errors.ts";
import type { StageEvent } from "../protocol/events.ts";
import { shouldPublish } from "../protocol/pipeline/plan.ts";
import { bareResult, HANDED_BACK } from "../protocol/stage.ts";
import { logSubject } from "../protocol/subjects.ts";
import { filesOfArtifact, type Push } from "../protocol/work.ts";
import type { Artifacts } from "./artifacts.ts";
import type { Background } from "./background.ts";
import { type Bake, type Bakery, noBakery } from "./bake.ts";
import { checkOf, endingOfCheck } from "./check.ts";
import { isNoSpace } from "./checkout/failure.ts";
import type { Checkouts } from "./checkout.ts";
import type { Ending } from "./ending.ts";
import type { Holding } from "./holding.ts";
import { type Lookup, placesOf } from "./hosts.ts";
import { Hold } from "./images/cache.ts";
import { contentOf } from "./images/identity.ts";
import { type ImageStore, imageFor } from "./images/store.ts";
import { LogPublisher } from "./log/publisher.ts";
import { LogStream } from "./log-stream.ts";
import { planPush } from "./plan.ts";
import { type Secrets, valuesOf } from "./secrets.ts";
import type { Spool } from "./spool.ts";
import { endBefore, resultOf, runStage, type StageRun, tenths } from "./stage-run.ts";
import { weakOf } from "./workspace/options.ts";
import { hostnameOf, type StageWork, variablesOf } from "./workspace/variables.ts";
import { type SandboxSettings, type Slot, Workspace } from "./workspace.ts";

export interface AttemptTools {
  readonly jet: Jet;
  readonly checkouts: Checkouts;
  readonly images: ImageStore;
  readonly artifacts: Artifacts;
  readonly secrets: Secrets;
  /** null: no AMI is baked here. */
  readonly bakery: Bakery | null;
  readonly lookup: Lookup;
  readonly sandbox: SandboxSettings;
  readonly workspacesDir: string;
  readonly publicUrl: string | null;
  readonly spool: Spool;
  readonly background: Background;
}

/** `reported`: the store has its end. `abandoned`: it is another's, or will be; its command is not ours to settle. */
export type AttemptEnd = "reported" | "abandoned";

/** @param slot null for a plan, which runs nothing */
export async function runAttempt(h: Holding, slot: Slot | null, t: AttemptTools, log: Logger): Promise<AttemptEnd> {
  // What is checked is whether an attempt before has acted.
  const trail: Trail = { acted: h.purpose === "check" };
  const began = performance.now();
  let ending: Ending;
  try {
    ending =
      h.work.kind === "plan"
        ? await planAttempt(h, h.work.push, t)
        : h.purpose === "check"
          ? endingOfCheck(await stageAttempt(h, checkOf(h.work), mustHave(slot), t, trail))
          : await stageAttempt(h, h.work, mustHave(slot), t, trail);
  } catch (error) {
    ending = endingOfError(h, error, trail);
    if (dispositionOf(error) === "bug" && !h.abandoned.aborted) log.error({ err: error }, "attempt hit a bug");
  }
  if (h.whyAbandoned === "stopped") ending = stopped(trail);
  const event = eventOf(ending, t.jet.clock.nowMs());
  // What was broken off because the store was away has not come to an end.
  const isEnd = h.whyAbandoned === null || h.whyAbandoned === "stopped" || ending.kind === "finished";
  if (isEnd) await t.spool.keepEnd(h.id, h.token, event);
  crashPoint("executor-before-finish");
  const stored = await h.report(event);
  crashPoint("executor-after-finish");
  if (isEnd && !stored && h.whyAbandoned !== "fenced") t.spool.tellEnd(h.token);
  else if (isEnd) await t.spool.dropEnd(h.token);
  const durationMs = tenths(performance.now() - began);
  if (!stored) {
    log.warn({ durationMs, why: h.whyAbandoned }, "attempt abandoned");
    return "abandoned";
  }
  if (ending.kind === "finished") log.info({ durationMs, outcome: ending.result.outcome }, "attempt finished");
  else
    log.warn({ durationMs, code: ending.code, reason: ending.message, retryable: ending.retryable }, "attempt errored");
  return "reported";
}

/** What has to be known of an attempt that breaks off. */
interface Trail {
  acted: boolean;
}

async function planAttempt(h: Holding, push: Push, t: AttemptTools): Promise<Ending> {
  const began = performance.now();
  const planned = await planPush(t.checkouts, push, AbortSignal.any([h.cancelled, h.abandoned]));
  const stepsMs = { plan: tenths(performance.now() - began) };
  switch (planned.kind) {
    case "plan":
    case "skip":
      return { kind: "finished", result: { ...bareResult("passed", ""), planned, stepsMs } };
    case "invalid": {
      const count = planned.problems.length;
      const message = count === 1 ? (planned.problems[0]?.message ?? "") : `${count} problems in .toroid.yml`;
      return { kind: "finished", result: { ...bareResult("failed", message), planned, stepsMs } };
    }
  }
}

async function stageAttempt(h: Holding, work: StageWork, slot: Slot, t: AttemptTools, trail: Trail): Promise<Ending> {
  const { stage, source, context } = work;
  const began = performance.now();
  // Whoever cancels a stage that may have acted wants to know as well whether it has.
  const cancelled = h.purpose === "check" ? new AbortController().signal : h.cancelled;
  const ending = AbortSignal.any([cancelled, h.abandoned]);
  const files = filesOfArtifact(context.artifact);
  const publish = mayPublish(h, work);
  const granted = await t.secrets.grant(h.id.repository, work, publish);

  const workspace = await Workspace.make(t.workspacesDir, slot, t.sandbox, h.abandoned);
  const lent = new AsyncDisposableStack();
  // Let go of after the workspace that stands on it.
  const hold = lent.use(new Hold());
  lent.use(workspace);
  try {
    const furnishing = [
      t.checkouts.checkOut(h.id.repository, work.remote, source, workspace.source, ending),
      files === null ? Promise.resolve(null) : t.artifacts.unpacked(files, ending, lent),
      placesOf(stage.hosts, slot.network, t.lookup, ending),
      workspace.prepare(),
    ] as const;
    // All are waited for, so that none goes on in a workspace that is being removed.
    await Promise.allSettled(furnishing);
    const [checkout, artifact, places] = await Promise.all(furnishing);
    const stepsMs = { checkout: tenths(performance.now() - began) };
    const subject = logSubject(h.id, h.attempt);
    const sink = new LogPublisher(t.jet, subject, h.abandoned, () => t.spool.openLog(h.token, subject));
    await using kept = new AsyncDisposableStack();
    kept.defer(() => t.spool.closeLog(h.token, sink.isLeft));
    const hidden = [
      ...valuesOf(granted.stage, granted.publish),
      ...(stage.ami === null ? [] : (t.bakery?.secrets ?? [])),
    ];
    const log = LogStream.open(sink, stage.limits.logBytes, hidden);
    const made = await imageFor(stage, t.images, log, {
      checkout: workspace.source,
      hold,
      slot,
      places,
      cancelled,
      abandoned: h.abandoned,
    });
    if (made.kind === "ruled") return endingOf(await endBefore(made.ruling, log), stepsMs);
    const { images, name: image } = made;
    const bake = await prepareBake(h, work, { checkout: workspace.source, images, name: image }, t, ending);
    if (bake !== null) kept.defer(() => t.background.run(() => bake.discard(slot)));

    // An environment is never touched before the store knows that it may have been.
    const weak = weakOf(t.sandbox.weak, { images, network: stage.network, limits: stage.limits });
    const atMs = t.jet.clock.nowMs();
    const started: StageEvent = { type: "started", id: randomUUID(), atMs, weak: [...weak], image };
    await reportOrLose(h, started);
    trail.acted = true;
    crashPoint("executor-after-started");

    const run = await runStage(
      workspace,
      {
        images,
        stage,
        variables: variablesOf(h.id, work, h.attempt, t.publicUrl, made.variables, t.bakery?.region ?? null),
        secrets: granted,
        hostname: hostnameOf(h.id),
        objects: checkout.objects,
        artifact,
        places,
      },
      {
        publish,
        publishing: async () => {
          await reportOrLose(h, { type: "publishing", id: randomUUID(), atMs: t.jet.clock.nowMs() });
          crashPoint("executor-after-publishing");
        },
        bake: bake === null ? null : () => bake.run({ workspace, slot, log, cancelled, abandoned: h.abandoned }),
        pack: stage.artifactFiles.length === 0 ? null : (dir) => t.artifacts.pack(dir, stage, h.abandoned),
        cancelled,
        abandoned: h.abandoned,
        environments: context.environments,
        log,
      },
    );
    trail.acted = run.acted || h.purpose === "check";
    return endingOf(run, stepsMs);
  } finally {
    // Not waited for: what the build left can be large, and its end is not the build's business.
    t.background.run(() => lent.disposeAsync());
  }
}

/** Of a stage that wants an AMI. */
async function prepareBake(
  h: Holding,
  { stage, source, context }: StageWork,
  at: { readonly checkout: string; readonly images: readonly string[]; readonly name: string },
  t: AttemptTools,
  signal: AbortSignal,
): Promise<Bake | null> {
  const { id, token } = h;
  const { ami } = stage;
  if (ami === null) return null;
  if (t.bakery === null) throw noBakery();
  const { commit } = source;
  const tree = await t.checkouts.treeOf(id.repository, commit, signal);
  // By its name alone it may be another one on another executor.
  const images = [at.name, ...(await Promise.all(at.images.map(contentOf)))];
  const { checkout } = at;
  return t.bakery.prepare({ id, token, stage, ami, commit, tree, images, params: context.params, checkout }, signal);
}

function endingOf(run: StageRun, stepsMs: Readonly<Record<string, number>>): Ending {
  if (run.ruling.kind === "errored") return { ...run.ruling, acted: run.acted };
  return { kind: "finished", result: resultOf(run, run.ruling, stepsMs) };
}

/** For what must be stored before it happens. */
async function reportOrLose(h: Holding, event: StageEvent): Promise<void> {
  if (!(await h.report(event))) throw new ToroidError("TOR_FENCED", "the stage is another's");
}

function mayPublish(h: Holding, { stage, source }: StageWork): boolean {
  return shouldPublish(stage, { ...source, repository: h.id.repository, changedPaths: null });
}

function eventOf(ending: Ending, atMs: number): StageEvent {
  const base = { id: randomUUID(), atMs };
  if (ending.kind === "finished") return { ...base, type: "finished", result: ending.result };
  const { code, message, acted, retryable } = ending;
  return { ...base, type: "attemptErrored", code, message, acted, retryable };
}

function endingOfError(h: Holding, error: unknown, { acted }: Trail): Ending {
  if (h.cancelled.aborted && h.purpose === "run")
    return { kind: "finished", result: bareResult("cancelled", sentenceOf(h.cancelled.reason)) };
  if (isNoSpace(error)) {
    return { kind: "errored", code: "TOR_DISK_FULL", message: "the executor's disk is full", acted, retryable: true };
  }
  const code = error instanceof ToroidError ? error.code : "TOR_INTERNAL";
  return { kind: "errored", code, message: sentenceOf(error), acted, retryable: dispositionOf(error) !== "terminal" };
}

function stopped({ acted }: Trail): Ending {
  return {
    kind: "errored",
    code: HANDED_BACK,
    message: "the executor was stopped while it ran this",
    acted,
    retryable: true,
  };
}

function mustHave(slot: Slot | null): Slot {
  if (slot === null) throw new ToroidError("TOR_INTERNAL", "a stage was given no slot");
  return slot;
}
