/** A build follows its plan: which stages may start now, what is still missing, and how it ended. */

import { assertNever } from "../../protocol/errors.ts";
import {
  type BuildEvent,
  type BuildOutcome,
  buildEvent,
  type StageOutcome,
  type Standing,
} from "../../protocol/events.ts";
import { type BuildId, PLAN_STAGE } from "../../protocol/ids.ts";
import type { Plan, StagePlan } from "../../protocol/pipeline/plan.ts";
import { nextBuildStatus } from "../../protocol/states.ts";
import { RUN } from "../../protocol/streams.ts";
import { buildRunSubject } from "../../protocol/subjects.ts";
import {
  type Artifact,
  type CheckedSource,
  type History,
  isBranchPush,
  NO_HISTORY,
  type Push,
  shortOf,
} from "../../protocol/work.ts";
import { type Actor, append, type Decision, type EventHead, nothing, refuse } from "./actor.ts";
import { retryOf } from "./build/retry.ts";
import { isComplete, planRound, roundFor, settledOf, unbuilt } from "./build/rounds.ts";
import type { Build } from "./build/state.ts";
import { verdictOf } from "./build/verdict.ts";
import { standingOf } from "./build/work.ts";
import { comesBefore, isKnownBefore } from "./order.ts";

export type BuildCommand =
  | {
      readonly kind: "create";
      readonly push: Push;
      readonly by: string;
      readonly after?: readonly string[];
      /** Of the push, so that times of builds grow with their numbers. */
      readonly acceptedAtMs?: number;
    }
  | {
      readonly kind: "plan";
      readonly round: number;
      readonly source: CheckedSource;
      readonly plan: Plan;
      readonly history?: History;
    }
  | {
      readonly kind: "request";
      readonly key: string;
      readonly environment: string;
      readonly params: Readonly<Record<string, string>>;
      readonly by: string;
      readonly byScript: boolean;
    }
  /** What it built goes to an environment as it is, whatever others it has passed; `rollback`: back to it. */
  | {
      readonly kind: "promote";
      readonly key: string;
      readonly environment: string;
      readonly params: Readonly<Record<string, string>>;
      readonly by: string;
      readonly why: string;
      readonly rollback: boolean;
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
  /** Another push of the same branch wants it out of the way, if that is the newer one. `number`: its own. */
  | { readonly kind: "supersede"; readonly number: number; readonly by: Standing }
  /** A stage that ended badly once more, or all of them (null); with what comes after. */
  | {
      readonly kind: "retry";
      readonly key: string;
      readonly stage: string | null;
      readonly by: string;
      readonly why: string;
    }
  /** Ends a build that has no plan to follow. */
  | { readonly kind: "abandon"; readonly round: number; readonly outcome: BuildOutcome; readonly message: string }
  /** Ends it when everything of the plan has ended. */
  | { readonly kind: "conclude" }
  /** Leaves nothing but its summary, if it ended by then. */
  | { readonly kind: "archive"; readonly endedByMs: number };

export const buildActor: Actor<BuildId, Build, BuildEvent, BuildCommand> = {
  noun: "build",
  stream: RUN.name,
  schema: buildEvent,
  initial: {
    status: "absent",
    push: null,
    after: [],
    by: "",
    createdAtMs: 0,
    source: null,
    history: null,
    plan: null,
    settled: [],
    requested: [],
    retries: [],
    planRounds: {},
    planning: 1,
    artifact: null,
    supersededBy: null,
    cancel: null,
    outcome: null,
    message: "",
    finishedAtMs: null,
    archivedAtMs: null,
  },
  subjectOf: buildRunSubject,
  makes: (command) => command.kind === "create",

  apply(build, event) {
    const status = nextBuildStatus(build.status, event.type);
    switch (event.type) {
      case "created":
        return { ...build, status, push: event.push, after: event.after ?? [], by: event.by, createdAtMs: event.atMs };
      case "planned":
        return { ...build, status, source: event.source, plan: event.plan, history: event.history ?? null };
      case "requested": {
        const { key, environment, round, params, by, byScript, how, why } = event;
        const requested = [...build.requested, { key, environment, round, params, by, byScript, how, why }];
        return { ...build, ...reopened(build), status, requested };
      }
      case "retried": {
        const rounds = Object.fromEntries(event.rounds.map(({ stage, round }) => [stage, round]));
        const retries = [...build.retries, event.key];
        return { ...build, ...reopened(build), status, retries, planRounds: { ...build.planRounds, ...rounds } };
      }
      case "replanned":
        return { ...build, ...reopened(build), status, retries: [...build.retries, event.key], planning: event.round };
      case "settled": {
        const { stage, round, outcome, message, outputs } = event;
        const settled = [...build.settled, { stage, round, outcome, message, outputs }];
        return { ...build, status, settled, artifact: event.artifact ?? build.artifact };
      }
      case "cancelRequested":
        return { ...build, status, cancel: build.cancel ?? { by: event.by, why: event.why } };
      case "superseded":
        return { ...build, status, supersededBy: event.by };
      case "finished":
        return { ...build, status, outcome: event.outcome, message: event.message, finishedAtMs: event.atMs };
      case "archived":
        return { ...build, status, archivedAtMs: event.atMs };
      default:
        return assertNever(event, "build event");
    }
  },

  decide(build, command, head) {
    switch (command.kind) {
      case "create":
        if (build.status !== "absent") return nothing();
        return append({
          type: "created",
          ...head,
          atMs: command.acceptedAtMs ?? head.atMs,
          push: command.push,
          by: command.by,
          after: [...(command.after ?? [])],
        });
      case "plan":
        if (build.status !== "planning" || command.round !== build.planning) return nothing();
        return append({
          type: "planned",
          ...head,
          source: command.source,
          plan: command.plan,
          history: command.history ?? NO_HISTORY,
        });
      case "request":
        return request(build, command, head);
      case "promote":
        return promote(build, command, head);
      case "retry":
        return retry(build, command, head);
      case "settle":
        if (build.status !== "running" || settledOf(build, command.stage, command.round) !== null) return nothing();
        return append({ ...command, type: "settled", ...head });
      case "cancel":
        if (build.status === "absent") return refuse("TOR_NOT_FOUND", "there is no such build");
        if (hasEnded(build) || build.cancel !== null) return nothing();
        return append({ type: "cancelRequested", ...head, by: command.by, why: command.why });
      case "supersede":
        return supersede(build, command, head);
      case "abandon": {
        if (build.status !== "planning" || command.round !== build.planning) return nothing();
        const { outcome, message } = command;
        const isSuperseded = build.supersededBy !== null && outcome === "cancelled";
        return append({ type: "finished", ...head, outcome: isSuperseded ? "superseded" : outcome, message });
      }
      case "conclude": {
        if (build.status !== "running" || !isComplete(build)) return nothing();
        return append({ type: "finished", ...head, ...verdictOf(build) });
      }
      case "archive":
        if (build.status !== "finished" || build.finishedAtMs === null) return nothing();
        if (build.finishedAtMs > command.endedByMs) return nothing();
        return append({ type: "archived", ...head });
      default:
        return assertNever(command, "build command");
    }
  },
};

function hasEnded({ status }: Build): boolean {
  return status === "finished" || status === "archived";
}

function archivedSentence(atMs: number): string {
  return `the build was archived on ${new Date(atMs).toISOString().slice(0, 10)}: its plan and what it built are known no more, so push, or trigger, its commit again`;
}

/** What was cancelled or given up is over; what is asked for now is not. */
function reopened(build: Build): Partial<Build> {
  const over = build.status === "finished" ? { cancel: null, supersededBy: null } : {};
  return { ...over, outcome: null, message: "", finishedAtMs: null };
}

function retry(build: Build, command: Extract<BuildCommand, { kind: "retry" }>, head: EventHead): Decision<BuildEvent> {
  const { key, stage, by, why } = command;
  if (build.retries.includes(key)) return nothing();
  if (build.status === "absent") return refuse("TOR_NOT_FOUND", "there is no such build");
  if (build.archivedAtMs !== null) return refuse("TOR_ARCHIVED", archivedSentence(build.archivedAtMs));
  if (build.status === "planning")
    return refuse("TOR_CONFLICT", "the build is being planned: ask again when it has ended");
  if (build.status === "running" && build.cancel !== null)
    return refuse("TOR_CONFLICT", "the build is being cancelled: ask again when it has ended");
  if (build.plan === null) {
    if (build.outcome === "skipped")
      return refuse("TOR_REFUSED", "the build was skipped: there is nothing to try again");
    if (stage !== null && stage !== PLAN_STAGE)
      return refuse("TOR_NOT_FOUND", `the build has no plan, and no ${stage}`);
    return append({ type: "replanned", ...head, key, round: build.planning + 1, by, why });
  }
  if (stage === PLAN_STAGE) return refuse("TOR_REFUSED", "the build has its plan: name one of its stages");
  const found = retryOf(build, stage);
  if (found.kind === "cannot") return refuse(found.code, found.why);
  return append({ type: "retried", ...head, key, rounds: found.rounds.map((one) => ({ ...one })), by, why });
}

type Supersede = Extract<BuildCommand, { kind: "supersede" }>;
type Request = Extract<BuildCommand, { kind: "request" }>;
type Promote = Extract<BuildCommand, { kind: "promote" }>;
type Refusal = Extract<Decision<BuildEvent>, { kind: "refuse" }>;

function request(build: Build, command: Request, head: EventHead): Decision<BuildEvent> {
  if (build.requested.some((one) => one.key === command.key)) return nothing();
  const stage = wantedStage(build, command.environment);
  if ("kind" in stage) return stage;
  if (build.cancel !== null) return refuse("TOR_REFUSED", "the build was cancelled");
  const { key, environment, params, by, byScript } = command;
  const round = roundFor(build, stage);
  return append({ type: "requested", ...head, key, environment, round, params, by, byScript, how: "request", why: "" });
}

function promote(build: Build, command: Promote, head: EventHead): Decision<BuildEvent> {
  const { key, environment, params, by, why, rollback } = command;
  if (build.requested.some((one) => one.key === key)) return nothing();
  const stage = wantedStage(build, environment);
  if ("kind" in stage) return stage;
  const built = whatIsBuilt(build);
  if (built !== "passed") return built;
  const how = rollback ? "rollback" : "promote";
  // Two people who press the same button mean the same.
  const isUnderWay = build.requested.some(
    (one) => one.environment === environment && one.how === how && settledOf(build, stage.name, one.round) === null,
  );
  if (isUnderWay) return nothing();
  if (build.cancel !== null && build.status !== "finished")
    return refuse("TOR_CONFLICT", "the build is being cancelled: ask again when it has ended");
  const round = roundFor(build, stage);
  return append({ type: "requested", ...head, key, environment, round, params, by, byScript: false, how, why });
}

/**
 * Only pushes give way, and only to newer ones: what somebody asked for they want. A build that has built what it could
 * goes on, since lanes see to the order of environments.
 */
function supersede(build: Build, command: Supersede, head: EventHead): Decision<BuildEvent> {
  const { number, by } = command;
  if (build.status === "absent") {
    // Whatever was accepted later looks around for itself.
    return number > by.number ? nothing() : refuse("TOR_CONFLICT", "the build has not been created yet");
  }
  if (hasEnded(build) || build.cancel !== null || build.supersededBy !== null) return nothing();
  if (!isBranchPush(build.push) || (build.status === "running" && unbuilt(build).length === 0)) return nothing();
  return isOlder(build, command) ? append({ type: "superseded", ...head, by: by.number }) : nothing();
}

/** Once it is planned it is known where it stands. Until then only what is certain counts: it looks around itself then. */
function isOlder(build: Build, { number, by }: Supersede): boolean {
  const own = standingOf(number, build);
  if (own === null) return false;
  if (build.plan !== null) return comesBefore(own, by);
  return number < by.number ? isKnownBefore(own, by) : own.after.includes(shortOf(by.commit));
}

/** The stage of an environment that somebody asks for, or why there is none. */
function wantedStage(build: Build, environment: string): StagePlan | Refusal {
  if (build.status === "absent") return refusal("TOR_NOT_FOUND", "there is no such build");
  if (build.archivedAtMs !== null) return refusal("TOR_ARCHIVED", archivedSentence(build.archivedAtMs));
  if (build.plan === null) {
    if (build.status === "finished") return refusal("TOR_REFUSED", "the build ended before it had a plan");
    return refusal("TOR_CONFLICT", "the build has no plan yet: ask again when it has");
  }
  const stage = build.plan.stages.find((one) => one.environment === environment);
  if (stage !== undefined) return stage;
  const known = build.plan.stages.flatMap((one) => (one.environment === null ? [] : [one.environment]));
  const list = known.length === 0 ? "it has none" : `it has ${known.join(", ")}`;
  return refusal("TOR_NOT_FOUND", `the build has no environment named ${environment}: ${list}`);
}

/** Only what its own stages made of it can go anywhere. */
function whatIsBuilt(build: Build): "passed" | Refusal {
  for (const stage of build.plan?.stages ?? []) {
    if (stage.environment !== null) continue;
    const ended = settledOf(build, stage.name, planRound(build, stage.name));
    if (ended === null) return refusal("TOR_CONFLICT", `${stage.name} has not ended yet: ask again when it has`);
    if (ended.outcome !== "passed" && !stage.allowFailure)
      return refusal("TOR_REFUSED", `${stage.name} did not pass, so there is nothing to deploy`);
  }
  return "passed";
}

function refusal(code: Refusal["code"], why: string): Refusal {
  return { kind: "refuse", code, why };
}
