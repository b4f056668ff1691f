/**
 * What follows from an event: a pure list of effects. The event is delivered until all of them are done, so any may
 * be done twice; each is harmless then, because actors ignore what they know already.
 *
 * Reactions read the actor's state as it is now, which may be further than the event. What the event asked for and the
 * state has moved past is somebody else's to do, or done.
 */

import type { Command } from "../protocol/commands.ts";
import { assertNever } from "../protocol/errors.ts";
import type {
  BuildEvent,
  LaneEntry,
  LaneEvent,
  PushEvent,
  QueueRequest,
  StageEvent,
  StageResult,
  Standing,
} from "../protocol/events.ts";
import { type BuildId, type EnvironmentId, PLAN_STAGE, type StageId } from "../protocol/ids.ts";
import type { Stage } from "../protocol/stage.ts";
import { type Artifact, isBranchPush, NO_HISTORY } from "../protocol/work.ts";
import {
  blocked,
  isComplete,
  roundsOf,
  type StageRound,
  settledOf,
  startable,
  unbuilt,
  wishOf,
} from "./actors/build/rounds.ts";
import type { Build } from "./actors/build/state.ts";
import { supersededWhy } from "./actors/build/verdict.ts";
import { causesOf, standingOf } from "./actors/build/work.ts";
import type { BuildCommand } from "./actors/build.ts";
import { type Lane, type Place, superseded } from "./actors/environment/lane.ts";
import { fenceOf, type LaneCommand } from "./actors/environment.ts";
import { dueAtMs, type StageCommand } from "./actors/stage.ts";

export type Effect =
  | { readonly kind: "tell-build"; readonly id: BuildId; readonly command: BuildCommand }
  | { readonly kind: "tell-stage"; readonly id: StageId; readonly command: StageCommand }
  | { readonly kind: "tell-lane"; readonly id: EnvironmentId; readonly command: LaneCommand }
  /** Queue a round of a stage, with what the build knows at that moment. */
  | {
      readonly kind: "queue-stage";
      readonly id: StageId;
      readonly lane: {
        readonly environment: string;
        readonly fence: number;
        readonly previousCommit: string | null;
        readonly previousArtifact: Artifact | null;
      } | null;
    }
  | { readonly kind: "dispatch"; readonly pool: string; readonly command: Command }
  | { readonly kind: "set-timer"; readonly id: StageId; readonly dueAtMs: number; readonly stageSeq: number }
  | { readonly kind: "signal-cancel"; readonly id: StageId }
  /** A script asked for a build of another repository. */
  | {
      readonly kind: "trigger";
      readonly key: string;
      readonly by: StageId;
      readonly request: Extract<QueueRequest, { kind: "repository" }>;
    }
  /** Older pushes of the same branch give way to this one, or this one to a newer. */
  | { readonly kind: "supersede-older"; readonly id: BuildId; readonly by: Standing }
  /** Removes the logs in TOROID_RUN of a build that is archived; `rounds`: those that it knows of. */
  | { readonly kind: "remove-logs"; readonly id: BuildId; readonly rounds: readonly StageId[] }
  | { readonly kind: "summarize-build"; readonly id: BuildId }
  | { readonly kind: "summarize-stage"; readonly id: StageId };

export interface Settings {
  /** Pool that stages are sent to. */
  readonly pool: string;
}

export function reactToPush(repository: string, event: PushEvent): readonly Effect[] {
  const id = { repository, number: event.number };
  return [
    {
      kind: "tell-build",
      id,
      command: { kind: "create", push: event.push, by: event.by, acceptedAtMs: event.atMs, after: event.after ?? [] },
    },
  ];
}

export function reactToBuild(id: BuildId, build: Build, event: BuildEvent, settings: Settings): readonly Effect[] {
  const summarize: Effect = { kind: "summarize-build", id };
  switch (event.type) {
    case "created":
    case "replanned": {
      if (build.push === null) return [summarize];
      const command: StageCommand = { kind: "queue", work: { kind: "plan", push: build.push }, pool: settings.pool };
      const round = event.type === "created" ? 1 : event.round;
      return [{ kind: "tell-stage", id: { ...id, stage: PLAN_STAGE, round }, command }, summarize];
    }
    case "planned":
      return [...olderOf(id, build), ...advance(id, build), summarize];
    case "requested":
    case "retried":
    case "settled":
      return [...advance(id, build), summarize];
    case "cancelRequested":
      // Nothing of what was asked for after that is cancelled.
      return [...(build.cancel === null ? [] : cancelAll(id, build, event.by, event.why)), summarize];
    case "superseded":
      return [...cancelSuperseded(id, build), summarize];
    case "finished":
      return [summarize];
    case "archived":
      return [summarize, { kind: "remove-logs", id, rounds: roundsWithLogs(id, build) }];
    default:
      return assertNever(event, "build event");
  }
}

/** Every round of its stages that ever had a log. */
function roundsWithLogs(id: BuildId, build: Build): readonly StageId[] {
  const plans = Array.from({ length: build.planning }, (_, at) => ({ stage: PLAN_STAGE, round: at + 1 }));
  const planned = roundsOf(build).map(({ stage, round }) => ({ stage: stage.name, round }));
  const known = new Map<string, StageId>();
  for (const { stage, round } of [...plans, ...planned, ...build.settled])
    known.set(`${stage} ${round}`, { ...id, stage, round });
  return [...known.values()];
}

/** A push may end older ones of its branch, if its file says so, and give way to newer ones. */
function olderOf(id: BuildId, build: Build): readonly Effect[] {
  const by = standingOf(id.number, build);
  if (build.plan?.cancelSuperseded !== true || !isBranchPush(build.push) || by === null) return [];
  return [{ kind: "supersede-older", id, by }];
}

/** What of a superseded build has not been built is not any more; its environments are the lanes' business. */
function cancelSuperseded(id: BuildId, build: Build): readonly Effect[] {
  if (build.supersededBy === null) return [];
  const command: StageCommand = { kind: "cancel", by: "toroid", why: supersededWhy(build.supersededBy) };
  if (build.plan === null)
    return [{ kind: "tell-stage", id: { ...id, stage: PLAN_STAGE, round: build.planning }, command }];
  return unbuilt(build).map(({ stage, round }) => ({
    kind: "tell-stage",
    id: { ...id, stage: stage.name, round },
    command,
  }));
}

/** Everything that may start, starts; what never can is settled; a build with nothing left is concluded. */
function advance(id: BuildId, build: Build): readonly Effect[] {
  const effects: Effect[] = [];
  if (build.cancel !== null) effects.push(...cancelAll(id, build, build.cancel.by, build.cancel.why));
  effects.push(...cancelSuperseded(id, build));
  for (const { stage, round, asked } of startable(build)) {
    const stageId = { ...id, stage: stage.name, round };
    if (stage.environment === null) effects.push({ kind: "queue-stage", id: stageId, lane: null });
    else {
      const entry = entryOf(id, build, { stage, round, asked });
      const lane = { repository: id.repository, environment: stage.environment };
      if (entry !== null) effects.push({ kind: "tell-lane", id: lane, command: { kind: "enter", entry } });
    }
  }
  for (const { stage, round } of blocked(build)) {
    const why = `it comes after ${stage.needs.join(", ")}, which did not pass`;
    effects.push({
      kind: "tell-stage",
      id: { ...id, stage: stage.name, round },
      command: { kind: "close", outcome: "skipped", why },
    });
  }
  if (isComplete(build)) effects.push({ kind: "tell-build", id, command: { kind: "conclude" } });
  return effects;
}

/** A round as its lane has to know it; null while it is not known of what commit it is. */
function entryOf({ number }: BuildId, build: Build, { stage, round, asked }: StageRound): LaneEntry | null {
  const stands = standingOf(number, build);
  if (build.source === null || stands === null) return null;
  const wish = asked ? wishOf(build, { stage, round }) : null;
  return {
    ...stands,
    stage: stage.name,
    round,
    policy: stage.queue,
    asked,
    rollback: wish?.how === "rollback",
    askedBy: wish?.by ?? null,
    askedWhy: wish?.why ?? "",
    enteredAtMs: 0,
    approval: stage.approval,
    approved: null,
    causedBy: [...causesOf(build, { stage, round })],
  };
}

function cancelAll(id: BuildId, build: Build, by: string, why: string): readonly Effect[] {
  const command: StageCommand = { kind: "cancel", by, why };
  if (build.plan === null)
    return [{ kind: "tell-stage", id: { ...id, stage: PLAN_STAGE, round: build.planning }, command }];
  const effects: Effect[] = [];
  for (const { stage, round } of roundsOf(build)) {
    if (settledOf(build, stage.name, round) !== null) continue;
    const place = { number: id.number, stage: stage.name, round };
    if (stage.environment !== null) {
      const lane = { repository: id.repository, environment: stage.environment };
      effects.push({ kind: "tell-lane", id: lane, command: { kind: "withdraw", ...place, outcome: "cancelled", why } });
    }
    effects.push({ kind: "tell-stage", id: { repository: id.repository, ...place }, command });
  }
  return effects;
}

export function reactToStage(id: StageId, stage: Stage, event: StageEvent, seq: number): readonly Effect[] {
  const summarize: Effect = { kind: "summarize-stage", id };
  switch (event.type) {
    case "queued": {
      if (stage.queuedSeq !== seq || stage.status !== "queued") return [summarize];
      const { repository, number, stage: name, round } = id;
      const { attempt, purpose, work, pool } = event;
      const command = { repository, number, stage: name, round, queuedSeq: seq, attempt, purpose, work };
      return [{ kind: "dispatch", pool, command }, ...timed(id, stage, seq), summarize];
    }
    case "claimed":
      return [...timed(id, stage, seq), summarize];
    case "started":
    case "publishing":
      return [summarize];
    case "attemptErrored": {
      const reconsider: Effect = { kind: "tell-stage", id, command: { kind: "reconsider" } };
      // Whoever was too slow hears of it now and not at the next look.
      const isOurs = event.code === "TOR_START_TIMEOUT";
      const told: readonly Effect[] = isOurs ? [{ kind: "signal-cancel", id }] : [];
      return [reconsider, ...told, ...timed(id, stage, seq), summarize];
    }
    case "cancelRequested":
      return [{ kind: "signal-cancel", id }, summarize];
    case "finished":
      return [...afterStage(id, stage, event.result), summarize];
    default:
      return assertNever(event, "stage event");
  }
}

/** Has the stage looked at again when it has waited for too long. */
function timed(id: StageId, stage: Stage, seq: number): readonly Effect[] {
  const atMs = dueAtMs(stage);
  return atMs === null ? [] : [{ kind: "set-timer", id, dueAtMs: atMs, stageSeq: seq }];
}

function afterStage(id: StageId, stage: Stage, result: StageResult): readonly Effect[] {
  const build = { repository: id.repository, number: id.number };
  if (id.stage === PLAN_STAGE) return [{ kind: "tell-build", id: build, command: afterPlan(id.round, result) }];
  const effects: Effect[] = [];
  // Requests first: one for an environment that the plan brings anyway adds its parameters before that begins.
  for (const [at, request] of result.requests.entries()) {
    const key = `${id.stage}/${id.round}/${at}`;
    if (request.kind === "repository")
      effects.push({ kind: "trigger", key: `${build.repository}#${build.number}/${key}`, by: id, request });
    else {
      const { environment, params } = request;
      const by = `${id.stage} of #${id.number}`;
      effects.push({
        kind: "tell-build",
        id: build,
        command: { kind: "request", key, environment, params, by, byScript: true },
      });
    }
  }
  const { outcome, message, outputs, artifact } = result;
  const environment = stage.work?.kind === "stage" ? stage.work.stage.environment : null;
  const carried = stage.work?.kind === "stage" ? stage.work.context.artifact : null;
  if (environment !== null) effects.push(leaveLane(id, environment, outcome, carried));
  effects.push({
    kind: "tell-build",
    id: build,
    command: { kind: "settle", stage: id.stage, round: id.round, outcome, message, outputs, artifact },
  });
  return effects;
}

function leaveLane(
  id: StageId,
  environment: string,
  outcome: StageResult["outcome"],
  artifact: StageResult["artifact"],
): Effect {
  const { number, stage, round } = id;
  return {
    kind: "tell-lane",
    id: { repository: id.repository, environment },
    command: { kind: "leave", number, stage, round, outcome, artifact },
  };
}

function afterPlan(round: number, result: StageResult): BuildCommand {
  const { planned, outcome, message } = result;
  if (outcome === "cancelled") return { kind: "abandon", round, outcome: "cancelled", message };
  if (planned === null) return { kind: "abandon", round, outcome: "failed", message };
  switch (planned.kind) {
    case "plan": {
      const { source, plan, history = NO_HISTORY } = planned;
      return { kind: "plan", round, source, plan, history };
    }
    case "skip":
      return { kind: "abandon", round, outcome: "skipped", message: planned.reason };
    case "invalid": {
      const count = planned.problems.length;
      const first = planned.problems[0];
      const where = first === undefined ? "" : `: ${first.file}:${first.line}:${first.column} ${first.message}`;
      return {
        kind: "abandon",
        round,
        outcome: "failed",
        message: `${count} problem${count === 1 ? "" : "s"} in the file${where}`,
      };
    }
    default:
      return assertNever(planned, "planned");
  }
}

export function reactToLane(id: EnvironmentId, lane: Lane, event: LaneEvent, seq: number): readonly Effect[] {
  const admit: Effect = { kind: "tell-lane", id, command: { kind: "admit" } };
  switch (event.type) {
    case "entered":
    case "approved":
      return [...supersede(id, lane), admit];
    case "withdrawn": {
      const stage = { repository: id.repository, number: event.number, stage: event.stage, round: event.round };
      const command: StageCommand = { kind: "close", outcome: event.outcome, why: event.why };
      return [{ kind: "tell-stage", id: stage, command }, admit];
    }
    case "admitted": {
      const { number, stage, round } = event.entry;
      return [
        {
          kind: "queue-stage",
          id: { repository: id.repository, number, stage, round },
          lane: {
            environment: id.environment,
            fence: fenceOf(event, seq),
            previousCommit: event.previousCommit,
            previousArtifact: event.previousArtifact,
          },
        },
        ...supersede(id, lane),
      ];
    }
    case "left":
    case "released":
    case "resumed":
      return [admit];
    case "paused":
      return [];
    default:
      return assertNever(event, "lane event");
  }
}

function supersede(id: EnvironmentId, lane: Lane): readonly Effect[] {
  return superseded(lane).map(({ entry, why }) => withdraw(id, entry, why));
}

function withdraw(id: EnvironmentId, { number, stage, round }: Place, why: string): Effect {
  return { kind: "tell-lane", id, command: { kind: "withdraw", number, stage, round, outcome: "superseded", why } };
}
