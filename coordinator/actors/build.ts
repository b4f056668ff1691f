/** A build follows its plan: which stages may start now, what is still missing, and how it ended. */

import { assertNever } from "../../protocol/errors.ts";
import { type BuildEvent, type BuildOutcome, buildEvent, type StageOutcome } from "../../protocol/events.ts";
import type { BuildId } from "../../protocol/ids.ts";
import type { Plan } from "../../protocol/pipeline/plan.ts";
import { nextBuildStatus } from "../../protocol/states.ts";
import { RUN } from "../../protocol/streams.ts";
import { buildRunSubject } from "../../protocol/subjects.ts";
import type { Artifact, CheckedSource, Push } from "../../protocol/work.ts";
import { type Actor, append, type Decision, type EventHead, nothing, refuse } from "./actor.ts";
import { isComplete, roundFor, settledOf } from "./build/rounds.ts";
import type { Build } from "./build/state.ts";
import { verdictOf } from "./build/verdict.ts";

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
