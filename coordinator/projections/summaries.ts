/** What lists and pages show of a build; pure. Parts are replaced by newer ones only, so order of arrival is no matter. */

import { type BuildId, PLAN_STAGE, type StageId } from "../../protocol/ids.ts";
import type { Stage } from "../../protocol/stage.ts";
import type { StageStatus } from "../../protocol/states.ts";
import type { BuildSummary, StageSummary } from "../../protocol/summary.ts";
import { roundsOf } from "../actors/build/rounds.ts";
import type { Build } from "../actors/build/state.ts";
import { dueAtMs } from "../actors/stage.ts";
import { forgeLinks } from "./forge.ts";

/** The summary of a build whose own log is known up to `seq`, with the stages that `before` had. */
export function withBuild(before: BuildSummary | null, id: BuildId, build: Build, seq: number): BuildSummary | null {
  if (build.archivedAtMs !== null && before !== null) {
    // What is left of its log says no more than that.
    return before.archivedAtMs === null ? { ...before, archivedAtMs: build.archivedAtMs, seq } : before;
  }
  if (build.push === null || build.status === "absent") return before;
  if (before !== null && before.seq >= seq) return before;
  const { push, source } = build;
  return {
    repository: id.repository,
    number: id.number,
    status: build.status === "archived" ? "finished" : build.status,
    outcome: build.outcome,
    message: build.message,
    waiting: "",
    kind: build.plan?.kind ?? null,
    ref: source?.ref ?? push.ref,
    branch: source?.branch ?? branchOf(push.ref),
    tag: source?.tag ?? null,
    commit: source?.commit ?? push.commit,
    commitMessage: source?.message ?? push.message,
    ...forgeLinks(push, source?.commit ?? push.commit),
    author: source?.author ?? push.author,
    by: build.by,
    createdAtMs: build.createdAtMs,
    finishedAtMs: build.finishedAtMs,
    archivedAtMs: build.archivedAtMs,
    artifact: build.artifact,
    problems: before?.problems ?? [],
    template: templateOf(build),
    stages: stagesOf(build, before?.stages ?? []),
    seq,
  };
}

function templateOf({ plan }: Build): string | null {
  const texts = plan?.stages.map(({ image }) => (image.kind === "packer" ? image.text : null)) ?? [];
  return texts.find((one) => one !== null) ?? null;
}

/** The plan stage, the build's rounds, and what is known of rounds that this state of the build does not have yet. */
function stagesOf(build: Build, known: readonly StageSummary[]): StageSummary[] {
  const planned = roundsOf(build).map(({ stage, round }) => waiting(stage.name, round, stage.environment, stage.needs));
  const listed = [waiting(PLAN_STAGE, 1, null, []), ...planned];
  const isSame = (one: StageSummary) => (other: StageSummary) => other.name === one.name && other.round === one.round;
  const others = known.filter((one) => one.seq > 0 && !listed.some(isSame(one)));
  return [...listed.map((one) => known.find(isSame(one)) ?? one), ...others];
}

function waiting(name: string, round: number, environment: string | null, needs: readonly string[]): StageSummary {
  return {
    name,
    round,
    environment,
    needs: [...needs],
    status: "waiting",
    outcome: null,
    message: "",
    waiting: needs.length === 0 ? "" : `it comes after ${needs.join(", ")}`,
    pool: "",
    labels: [],
    executor: null,
    attempt: 0,
    queuedAtMs: null,
    claimedAtMs: null,
    startedAtMs: null,
    finishedAtMs: null,
    exitCode: null,
    phase: null,
    logBytes: 0,
    weak: [],
    image: null,
    outputs: {},
    stepsMs: {},
    seq: 0,
  };
}

/** The summary with one stage as its log up to `seq` says. A stage that the build does not list (yet) is added. */
export function withStage(before: BuildSummary, id: StageId, stage: Stage, seq: number): BuildSummary {
  const isThis = (one: StageSummary): boolean => one.name === id.stage && one.round === id.round;
  const known = before.stages.find(isThis);
  if (known !== undefined && known.seq >= seq) return before;
  const environment = stage.work?.kind === "stage" ? stage.work.stage.environment : (known?.environment ?? null);
  const base = known ?? waiting(id.stage, id.round, environment, []);
  const next: StageSummary = {
    ...base,
    status: shownStatus(stage.status),
    outcome: stage.result?.outcome ?? null,
    message: stage.result?.message ?? stage.lastError?.message ?? "",
    waiting: whyNot(stage),
    pool: stage.pool,
    labels: stage.work?.kind === "stage" ? [...stage.work.stage.runsOn.labels] : [],
    executor: stage.executor,
    attempt: stage.attempt,
    queuedAtMs: stage.queuedAtMs === 0 ? null : stage.queuedAtMs,
    claimedAtMs: stage.claimedAtMs,
    startedAtMs: stage.startedAtMs,
    finishedAtMs: stage.finishedAtMs,
    exitCode: stage.result?.exitCode ?? null,
    phase: stage.result?.phase ?? null,
    logBytes: stage.result?.logBytes ?? 0,
    weak: [...stage.weak],
    image: stage.image,
    outputs: stage.result?.outputs ?? {},
    stepsMs: stage.result?.stepsMs ?? {},
    seq,
  };
  const planned = stage.result?.planned ?? null;
  const problems = planned?.kind === "invalid" ? planned.problems : before.problems;
  const stages =
    known === undefined ? [...before.stages, next] : before.stages.map((one) => (isThis(one) ? next : one));
  return { ...before, problems, stages };
}

/** What the stage itself knows of why it does not run; what is around it is looked at when somebody asks. */
function whyNot(stage: Stage): string {
  if (stage.status === "queued") return "it waits for a free executor";
  if (stage.status !== "retrying") return "";
  const atMs = dueAtMs(stage);
  const when = atMs === null ? "at once" : `at ${new Date(atMs).toISOString()}`;
  return `attempt ${stage.attempt} errored (${stage.lastError?.message ?? "no reason"}); it is tried again ${when}`;
}

/** The same for a build whose stages left more than one message holds. What they left is in their own logs. */
export function withoutOutputs(summary: BuildSummary): BuildSummary {
  return { ...summary, stages: summary.stages.map((one) => ({ ...one, outputs: {} })) };
}

function shownStatus(status: StageStatus): StageSummary["status"] {
  return status === "absent" ? "waiting" : status;
}

function branchOf(ref: string): string | null {
  return ref.startsWith("refs/heads/") ? ref.slice("refs/heads/".length) : null;
}
