/** A build follows its plan: which stages may start now, what is still missing, and how it ended. */

import { assertNever } from "../../protocol/errors.ts";
import { type BuildEvent, type BuildOutcome, buildEvent, type StageOutcome } from "../../protocol/events.ts";
import type { BuildId } from "../../protocol/ids.ts";
import type { Plan, StagePlan } from "../../protocol/pipeline/plan.ts";
import { type BuildStatus, nextBuildStatus } from "../../protocol/states.ts";
import { RUN } from "../../protocol/streams.ts";
import { buildRunSubject } from "../../protocol/subjects.ts";
import type { Artifact, CheckedSource, Push, StageContext, Work } from "../../protocol/work.ts";
import { type Actor, append, type Decision, type EventHead, nothing, refuse } from "./actor.ts";

/** How one round of a stage ended. */
export interface Settled {
  readonly stage: string;
  readonly round: number;
  readonly outcome: StageOutcome;
  readonly message: string;
  readonly outputs: Readonly<Record<string, string>>;
}

/** An environment that somebody asked for, beyond what the plan does by itself. */
export interface Requested {
  readonly key: string;
  readonly environment: string;
  readonly round: number;
  readonly params: Readonly<Record<string, string>>;
  readonly by: string;
  readonly byScript: boolean;
}

export interface Build {
  readonly status: BuildStatus;
  readonly push: Push | null;
  readonly by: string;
  readonly createdAtMs: number;
  readonly source: CheckedSource | null;
  readonly plan: Plan | null;
  readonly settled: readonly Settled[];
  readonly requested: readonly Requested[];
  readonly artifact: Artifact | null;
  readonly cancel: { readonly by: string; readonly why: string } | null;
  readonly outcome: BuildOutcome | null;
  readonly message: string;
  readonly finishedAtMs: number | null;
}

export type BuildCommand =
  | { readonly kind: "create"; readonly push: Push; readonly by: string }
  | { readonly kind: "plan"; readonly source: CheckedSource; readonly plan: Plan }
  | {
      readonly kind: "request";
      readonly key: string;
      readonly environment: string;
      readonly params: Readonly<Record<string, string>>;
      readonly by: string;
      readonly byScript: boolean;
    }
  | {
      readonly kind: "settle";
      readonly stage: string;
      readonly round: number;
      readonly outcome: StageOutcome;
      readonly message: string;
      readonly outputs: Readonly<Record<string, string>>;
      readonly artifact: Artifact | null;
    }
  | { readonly kind: "cancel"; readonly by: string; readonly why: string }
  /** Ends a build that has no plan to follow. */
  | { readonly kind: "abandon"; readonly outcome: BuildOutcome; readonly message: string }
  /** Ends it when everything of the plan has ended. */
  | { readonly kind: "conclude" };

/** Ids of rounds: a stage of the plan is round 1. */
export interface StageRound {
  readonly stage: StagePlan;
  readonly round: number;
  /** Somebody asked for it, other than the plan and the build's own scripts. */
  readonly asked: boolean;
}

export const buildActor: Actor<BuildId, Build, BuildEvent, BuildCommand> = {
  noun: "build",
  stream: RUN.name,
  schema: buildEvent,
  initial: {
    status: "absent",
    push: null,
    by: "",
    createdAtMs: 0,
    source: null,
    plan: null,
    settled: [],
    requested: [],
    artifact: null,
    cancel: null,
    outcome: null,
    message: "",
    finishedAtMs: null,
  },
  subjectOf: buildRunSubject,
  makes: (command) => command.kind === "create",

  apply(build, event) {
    const status = nextBuildStatus(build.status, event.type);
    switch (event.type) {
      case "created":
        return { ...build, status, push: event.push, by: event.by, createdAtMs: event.atMs };
      case "planned":
        return { ...build, status, source: event.source, plan: event.plan };
      case "requested": {
        const { key, environment, round, params, by, byScript } = event;
        const requested = [...build.requested, { key, environment, round, params, by, byScript }];
        return { ...build, status, requested, outcome: null, message: "", finishedAtMs: null };
      }
      case "settled": {
        const { stage, round, outcome, message, outputs } = event;
        const settled = [...build.settled, { stage, round, outcome, message, outputs }];
        return { ...build, status, settled, artifact: event.artifact ?? build.artifact };
      }
      case "cancelRequested":
        return { ...build, status, cancel: build.cancel ?? { by: event.by, why: event.why } };
      case "finished":
        return { ...build, status, outcome: event.outcome, message: event.message, finishedAtMs: event.atMs };
      default:
        return assertNever(event, "build event");
    }
  },

  decide(build, command, head) {
    switch (command.kind) {
      case "create":
        if (build.status !== "absent") return nothing();
        return append({ type: "created", ...head, push: command.push, by: command.by });
      case "plan":
        if (build.status !== "planning") return nothing();
        return append({ type: "planned", ...head, source: command.source, plan: command.plan });
      case "request":
        return request(build, command, head);
      case "settle":
        if (build.status !== "running" || settledOf(build, command.stage, command.round) !== null) return nothing();
        return append({ ...command, type: "settled", ...head });
      case "cancel":
        if (build.status === "absent") return refuse("TOR_NOT_FOUND", "there is no such build");
        if (build.status === "finished" || build.cancel !== null) return nothing();
        return append({ type: "cancelRequested", ...head, by: command.by, why: command.why });
      case "abandon":
        if (build.status !== "planning") return nothing();
        return append({ type: "finished", ...head, outcome: command.outcome, message: command.message });
      case "conclude": {
        if (build.status !== "running" || !isComplete(build)) return nothing();
        return append({ type: "finished", ...head, ...verdictOf(build) });
      }
      default:
        return assertNever(command, "build command");
    }
  },
};

function request(
  build: Build,
  command: Extract<BuildCommand, { kind: "request" }>,
  head: EventHead,
): Decision<BuildEvent> {
  if (build.requested.some((one) => one.key === command.key)) return nothing();
  if (build.status === "absent") return refuse("TOR_NOT_FOUND", "there is no such build");
  if (build.plan === null) {
    if (build.status === "finished") return refuse("TOR_REFUSED", "the build ended before it had a plan");
    return refuse("TOR_CONFLICT", "the build has no plan yet: ask again when it has");
  }
  const stage = build.plan.stages.find((one) => one.environment === command.environment);
  if (stage === undefined) {
    const known = build.plan.stages.flatMap((one) => (one.environment === null ? [] : [one.environment]));
    const list = known.length === 0 ? "it has none" : `it has ${known.join(", ")}`;
    return refuse("TOR_NOT_FOUND", `the build has no environment named ${command.environment}: ${list}`);
  }
  if (build.cancel !== null) return refuse("TOR_REFUSED", "the build was cancelled");
  const { key, environment, params, by, byScript } = command;
  return append({ type: "requested", ...head, key, environment, round: roundFor(build, stage), params, by, byScript });
}

/** A request meets the round that the plan would bring anyway, unless that has begun. */
function roundFor(build: Build, stage: StagePlan): number {
  const earlier = build.requested.filter((one) => one.environment === stage.environment).map((one) => one.round);
  const planned = stage.automatic && readiness(build, stage) !== "waiting" ? [1] : [];
  const settled = build.settled.filter((one) => one.stage === stage.name).map((one) => one.round);
  return Math.max(0, ...earlier, ...planned, ...settled) + 1;
}

export function settledOf(build: Build, stage: string, round: number): Settled | null {
  return build.settled.find((one) => one.stage === stage && one.round === round) ?? null;
}

/** May a stage of the plan start, given what it needs? `blocked`: something it needs will not pass by itself. */
export function readiness(build: Build, stage: StagePlan): "ready" | "waiting" | "blocked" {
  if (stage.needs.length === 0) return "ready";
  const dormant = dormantIn(build);
  const needs = stage.needs.map((name) => {
    const outcome = settledOf(build, name, 1)?.outcome ?? null;
    if (outcome === null) return dormant.has(name) ? "blocked" : "waiting";
    const forgiven = build.plan?.stages.find((one) => one.name === name)?.allowFailure === true;
    return outcome === "passed" || forgiven ? "ready" : "blocked";
  });
  if (stage.join === "any") {
    if (needs.includes("ready")) return "ready";
    return needs.includes("waiting") ? "waiting" : "blocked";
  }
  if (needs.includes("blocked")) return "blocked";
  return needs.includes("waiting") ? "waiting" : "ready";
}

/**
 * Stages that nothing brings yet: those that only a request reaches, and what comes after them. A build does not wait
 * for them.
 */
function dormantIn(build: Build): ReadonlySet<string> {
  const stages = build.plan?.stages ?? [];
  const isAsked = (stage: StagePlan): boolean =>
    build.requested.some((one) => one.environment === stage.environment && one.round === 1);
  const dormant = new Set(stages.filter((one) => !one.automatic && !isAsked(one)).map((one) => one.name));
  const follows = ({ automatic, needs, join }: StagePlan): boolean => {
    if (!automatic || needs.length === 0) return false;
    return join === "all" ? needs.some((name) => dormant.has(name)) : needs.every((name) => dormant.has(name));
  };
  for (let size = 0; size !== dormant.size; ) {
    size = dormant.size;
    for (const stage of stages) if (follows(stage)) dormant.add(stage.name);
  }
  return dormant;
}

/** Every round that the build has or will have by itself: what the plan brings, then what was requested. */
export function roundsOf(build: Build): readonly StageRound[] {
  if (build.plan === null) return [];
  const dormant = dormantIn(build);
  const brought = build.plan.stages
    .filter((one) => one.automatic && !dormant.has(one.name))
    .map((stage) => ({ stage, round: 1, asked: false }));
  const asked = build.requested.flatMap((one) => {
    const stage = build.plan?.stages.find((other) => other.environment === one.environment);
    if (stage === undefined || (stage.automatic && one.round === 1)) return [];
    return [{ stage, round: one.round, asked: !one.byScript }];
  });
  return [...brought, ...asked];
}

/** Rounds that may start now and have not ended. Starting one twice does nothing. */
export function startable(build: Build): readonly StageRound[] {
  if (build.status !== "running" || build.cancel !== null) return [];
  return unsettled(build).filter((one) => readinessOf(build, one) === "ready");
}

/** Rounds that can no longer start. */
export function blocked(build: Build): readonly StageRound[] {
  if (build.status !== "running") return [];
  return unsettled(build).filter((one) => readinessOf(build, one) === "blocked");
}

function unsettled(build: Build): readonly StageRound[] {
  return roundsOf(build).filter(({ stage, round }) => settledOf(build, stage.name, round) === null);
}

/**
 * What a stage needs holds for a request too. Only a further round of what the plan has by itself may go though a need
 * will not pass: somebody wishes otherwise. The builds are before it even then, since they make what it deploys.
 */
function readinessOf(build: Build, { stage, round }: StageRound): "ready" | "waiting" | "blocked" {
  const now = readiness(build, stage);
  if (now !== "blocked" || !stage.automatic || round === 1) return now;
  const builds = build.plan?.stages.filter((one) => one.environment === null) ?? [];
  return builds.every((one) => settledOf(build, one.name, 1) !== null) ? "ready" : "waiting";
}

export function isComplete(build: Build): boolean {
  return unsettled(build).length === 0;
}

function verdictOf(build: Build): { readonly outcome: BuildOutcome; readonly message: string } {
  // What somebody asked for again counts as it ended the last time.
  const counted = build.settled.filter(
    (one) =>
      !build.settled.some((other) => other.stage === one.stage && other.round > one.round) &&
      build.plan?.stages.find((stage) => stage.name === one.stage)?.allowFailure !== true,
  );
  const bad = counted.find((one) => ["failed", "errored", "timedOut", "unknown"].includes(one.outcome));
  if (bad !== undefined) return { outcome: "failed", message: `${bad.stage} ${PAST[bad.outcome]}` };
  const cancelled = counted.find((one) => one.outcome === "cancelled");
  if (cancelled !== undefined) {
    const why = cancelled.message === "" ? "" : `: ${cancelled.message}`;
    return { outcome: "cancelled", message: build.cancel?.why ?? `${cancelled.stage} was cancelled${why}` };
  }
  const superseded = counted.find((one) => one.outcome === "superseded");
  if (superseded !== undefined) return { outcome: "superseded", message: `${superseded.stage} was superseded` };
  return { outcome: "passed", message: "" };
}

const PAST: Readonly<Record<StageOutcome, string>> = {
  passed: "passed",
  failed: "failed",
  errored: "errored",
  timedOut: "timed out",
  cancelled: "was cancelled",
  superseded: "was superseded",
  skipped: "was skipped",
  unknown: "ended in an unknown state",
};

/** Names of who is behind a round: who pushed and wrote it, and who asked for it. */
export function causesOf(build: Build, { stage, round }: Pick<StageRound, "stage" | "round">): readonly string[] {
  const { push, source, by } = build;
  const asked = build.requested.filter(
    (one) => one.environment === stage.environment && one.round === round && !one.byScript,
  );
  const names = [...(push?.people ?? []), push?.author ?? "", source?.author ?? "", by, ...asked.map((one) => one.by)];
  return [...new Set(names)].filter((name) => name !== "");
}

/** What an executor needs to run a round. Null while the build has no plan. */
export function workOf(
  build: Build,
  { stage, round }: Pick<StageRound, "stage" | "round">,
  lane: { readonly fence: number; readonly previousCommit: string | null } | null,
): Work | null {
  if (build.push === null || build.source === null) return null;
  const asked = build.requested.find((one) => one.environment === stage.environment && one.round === round);
  const outputs: Record<string, Readonly<Record<string, string>>> = {};
  for (const one of build.settled) if (one.outcome === "passed") outputs[one.stage] = one.outputs;
  const context: StageContext = {
    artifact: build.artifact,
    outputs,
    params: { ...build.push.params, ...asked?.params },
    environments: build.plan?.stages.flatMap((one) => (one.environment === null ? [] : [one.environment])) ?? [],
    fence: lane?.fence ?? null,
    previousCommit: lane?.previousCommit ?? null,
  };
  return { kind: "stage", remote: build.push.remote, source: build.source, stage, context };
}
