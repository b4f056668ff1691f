/** A stage, from the coordinator's side: it queues, retries and cancels. Executors claim and report (`protocol/stage.ts`). */

import { assertNever } from "../../protocol/errors.ts";
import { type StageEvent, type StageOutcome, stageEvent } from "../../protocol/events.ts";
import type { StageId } from "../../protocol/ids.ts";
import { durationText } from "../../protocol/pipeline/duration.ts";
import {
  applyToStage,
  attemptsOf,
  bareResult,
  isCheckable,
  isRepeatable,
  NO_STAGE,
  runsOf,
  type Stage,
  wasHandedBack,
} from "../../protocol/stage.ts";
import { RUN } from "../../protocol/streams.ts";
import { stageRunSubject } from "../../protocol/subjects.ts";
import type { Work } from "../../protocol/work.ts";
import { type Actor, append, type Decision, type EventHead, nothing } from "./actor.ts";

export type StageCommand =
  /** Wants to run; nothing happens to a stage that has a log already. */
  | { readonly kind: "queue"; readonly work: Work; readonly pool: string }
  /** Its attempt errored: try again, or give up. */
  | { readonly kind: "reconsider" }
  /** No executor will get the command of its `queued` event `queuedSeq` any more. */
  | { readonly kind: "undeliverable"; readonly queuedSeq: number; readonly why: string }
  /** Time has passed: ends what has waited for too long. */
  | { readonly kind: "overdue" }
  | { readonly kind: "cancel"; readonly by: string; readonly why: string }
  /** Ends a stage that never ran and never will. */
  | { readonly kind: "close"; readonly outcome: StageOutcome; readonly why: string };

export const stageActor: Actor<StageId, Stage, StageEvent, StageCommand> = {
  noun: "stage",
  stream: RUN.name,
  schema: stageEvent,
  initial: NO_STAGE,
  subjectOf: stageRunSubject,
  makes: (command) => command.kind === "queue",
  apply: applyToStage,

  decide(stage, command, head) {
    switch (command.kind) {
      case "queue":
        if (stage.status !== "absent") return nothing();
        return append({ type: "queued", ...head, pool: command.pool, attempt: 1, purpose: "run", work: command.work });
      case "reconsider":
        return reconsider(stage, head);
      case "undeliverable":
        // Who holds it needs no command; there will be another one for whoever takes it over.
        if (stage.status !== "queued" || stage.queuedSeq !== command.queuedSeq) return nothing();
        if (stage.acted) return unknown(command.why, head);
        return append({ type: "finished", ...head, result: bareResult("errored", command.why) });
      case "overdue":
        return overdue(stage, head);
      case "cancel":
        return cancel(stage, command.by, command.why, head);
      case "close":
        if (stage.status !== "absent") return nothing();
        return append({ type: "finished", ...head, result: bareResult(command.outcome, command.why) });
      default:
        return assertNever(command, "stage command");
    }
  },
};

function reconsider(stage: Stage, head: EventHead): Decision<StageEvent> {
  if (stage.status !== "retrying" || stage.work === null || stage.lastError === null) return nothing();
  const { message, acted, retryable } = stage.lastError;
  const again = { type: "queued", ...head, pool: stage.pool, attempt: stage.attempt + 1, work: stage.work } as const;
  if (acted && !isRepeatable(stage.work)) {
    if (isCheckable(stage)) return append({ ...again, purpose: "check" });
    return unknown(message, head);
  }
  if (stage.cancel !== null)
    return append({ type: "finished", ...head, result: bareResult("cancelled", stage.cancel.why) });
  if (!retryable || runsOf(stage) >= attemptsOf(stage.work)) {
    return append({ type: "finished", ...head, result: bareResult("errored", message) });
  }
  const atMs = dueAtMs(stage);
  if (atMs !== null && atMs > head.atMs) return nothing();
  return append({ ...again, purpose: "run" });
}

function unknown(message: string, head: EventHead): Decision<StageEvent> {
  const why = `${message}; it may have acted, so it is not repeated by itself`;
  return append({ type: "finished", ...head, result: bareResult("unknown", why) });
}

/** After an attempt that could not be run: twice as long each time, up to this unless the file asks for more. */
const MOST_BACKOFF_MS = 10 * 60_000;

function backoffOf(stage: Stage): number {
  if (stage.work?.kind !== "stage" || wasHandedBack(stage)) return 0;
  const { backoffMs } = stage.work.stage.retry;
  return Math.min(backoffMs * 2 ** (runsOf(stage) - 1), Math.max(backoffMs, MOST_BACKOFF_MS));
}

/** When the stage has waited for too long in the state that it is in; null when it may wait on. */
export function dueAtMs(stage: Stage): number | null {
  const { status, work, queuedAtMs, claimedAtMs, lastError } = stage;
  if (work?.kind !== "stage") return null;
  const { queueMs, startMs } = work.stage.timeouts;
  if (status === "queued" && queueMs !== null) return queuedAtMs + queueMs;
  if (status === "claimed" && startMs !== null && claimedAtMs !== null) return claimedAtMs + startMs;
  const waitMs = backoffOf(stage);
  if (status === "retrying" && lastError !== null && waitMs > 0) return lastError.atMs + waitMs;
  return null;
}

function overdue(stage: Stage, head: EventHead): Decision<StageEvent> {
  const atMs = dueAtMs(stage);
  if (atMs === null || atMs > head.atMs || stage.work?.kind !== "stage") return nothing();
  if (stage.status === "retrying") return reconsider(stage, head);
  const { queueMs, startMs } = stage.work.stage.timeouts;
  if (stage.status === "queued") {
    if (stage.acted) return unknown("no executor came to check it", head);
    const why = `no executor took it within ${durationText(queueMs ?? 0)}, its timeout in the queue`;
    return append({ type: "finished", ...head, result: bareResult("timedOut", why) });
  }
  // Nothing of this attempt's script has begun, so that another executor may try.
  return append({
    type: "attemptErrored",
    ...head,
    code: "TOR_START_TIMEOUT",
    message: `executor ${stage.executor ?? "?"} did not begin it within ${durationText(startMs ?? 0)}, its timeout to start`,
    acted: stage.acted,
    retryable: true,
  });
}

/** An attempt before may have acted, and nobody has found out. */
function mayHaveActed({ status, acted, work, lastError }: Stage): boolean {
  if (work === null || isRepeatable(work)) return false;
  return status === "retrying" ? lastError?.acted === true : acted;
}

function cancel(stage: Stage, by: string, why: string, head: EventHead): Decision<StageEvent> {
  switch (stage.status) {
    case "absent":
    case "queued":
    case "retrying":
      // Nobody holds it, so it can end at once; but what may have acted is not undone by that.
      if (mayHaveActed(stage)) return unknown("it was cancelled before it could be checked", head);
      return append({ type: "finished", ...head, result: bareResult("cancelled", why) });
    case "claimed":
    case "running":
      if (stage.cancel !== null) return nothing();
      return append({ type: "cancelRequested", ...head, by, why });
    case "finished":
      return nothing();
    default:
      return assertNever(stage.status, "stage status");
  }
}
