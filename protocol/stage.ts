/**
 * A stage, as coordinators and executors both must see it: the fold of its log, and the rules by which an executor
 * may take it. Pure.
 */
import { assertNever } from "./errors.ts";
import type { Purpose, StageEvent, StageResult } from "./events.ts";
import { nextStageStatus, type StageStatus } from "./states.ts";
import type { Work } from "./work.ts";

export interface Stage {
  readonly status: StageStatus;
  readonly work: Work | null;
  readonly pool: string;
  /** Sequence of the newest `queued` event. */
  readonly queuedSeq: number;
  readonly queuedAtMs: number;
  /** The attempt queued or running now; 0 before the first. */
  readonly attempt: number;
  /** What that attempt is for. */
  readonly purpose: Purpose;
  /** How many attempts have been checks. */
  readonly checks: number;
  /** How many attempts at the stage itself were given back by an executor that was told to go. */
  readonly handedBack: number;
  /** Fencing token: sequence of the newest `claimed` event; 0 when nobody holds the stage. */
  readonly token: number;
  readonly executor: string | null;
  readonly claimedAtMs: number | null;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  readonly cancel: { readonly by: string; readonly why: string } | null;
  readonly lastError: {
    readonly code: string;
    readonly message: string;
    readonly acted: boolean;
    readonly retryable: boolean;
    readonly atMs: number;
  } | null;
  readonly weak: readonly string[];
  /** What the attempt that began last stands on, with its digest where it has one. */
  readonly image: string | null;
  /** This attempt may have changed something outside: an environment's script began, or a publish. */
  readonly acted: boolean;
  readonly result: StageResult | null;
}

export const NO_STAGE: Stage = {
  status: "absent",
  work: null,
  pool: "",
  queuedSeq: 0,
  queuedAtMs: 0,
  attempt: 0,
  purpose: "run",
  checks: 0,
  handedBack: 0,
  token: 0,
  executor: null,
  claimedAtMs: null,
  startedAtMs: null,
  finishedAtMs: null,
  cancel: null,
  lastError: null,
  weak: [],
  image: null,
  acted: false,
  result: null,
};

/**
 * The stage after `event`, which has sequence `seq` in TOROID_RUN.
 *
 * @throws {ToroidError} TOR_TRANSITION_ILLEGAL
 */
export function applyToStage(stage: Stage, event: StageEvent, seq: number): Stage {
  const status = nextStageStatus(stage.status, event.type);
  switch (event.type) {
    case "queued":
      return {
        ...stage,
        status,
        work: event.work,
        pool: event.pool,
        queuedSeq: seq,
        queuedAtMs: event.atMs,
        attempt: event.attempt,
        purpose: event.purpose,
        token: 0,
        executor: null,
        claimedAtMs: null,
        startedAtMs: null,
        // What is to be checked is whether an earlier attempt has.
        acted: event.purpose === "check",
      };
    case "claimed":
      return {
        ...stage,
        status,
        attempt: event.attempt,
        purpose: event.purpose,
        checks: stage.checks + (event.purpose === "check" ? 1 : 0),
        token: seq,
        executor: event.executor,
        claimedAtMs: event.atMs,
        startedAtMs: null,
        acted: event.purpose === "check",
      };
    case "started":
      return {
        ...stage,
        status,
        startedAtMs: event.atMs,
        weak: event.weak,
        image: event.image ?? null,
        acted: environmentOf(stage.work) !== null,
      };
    case "publishing":
      return { ...stage, status, acted: true };
    case "attemptErrored":
      return {
        ...stage,
        status,
        handedBack: stage.handedBack + (event.code === HANDED_BACK && stage.purpose === "run" ? 1 : 0),
        lastError: {
          code: event.code,
          message: event.message,
          acted: event.acted,
          retryable: event.retryable,
          atMs: event.atMs,
        },
      };
    case "cancelRequested":
      return { ...stage, status, cancel: stage.cancel ?? { by: event.by, why: event.why } };
    case "finished":
      return { ...stage, status, finishedAtMs: event.atMs, result: event.result };
    default:
      return assertNever(event, "stage event");
  }
}

/** How often a plan may be attempted before it is errored for good. */
export const MAX_ATTEMPTS = 3;

/** How often a stage may be, as its file says; checks have as many of their own. */
export function attemptsOf(work: Work): number {
  return work.kind === "plan" ? MAX_ATTEMPTS : work.stage.retry.attempts;
}

/** Code of an attempt that its executor gave back, because it was told to go. */
export const HANDED_BACK = "TOR_EXECUTOR_STOPPED";

/** How many of those are nobody's fault. A stage that always outlives its executors is not repeated for ever. */
const HAND_BACKS_MOST = 10;

/** Attempts at the stage itself that count, the present one among them. */
export function runsOf({ attempt, checks, handedBack }: Stage): number {
  return attempt - checks - Math.min(handedBack, HAND_BACKS_MOST);
}

/** Was the last attempt ended by who ran it, and not by what it ran? Then the next one need not wait. */
export function wasHandedBack({ lastError, handedBack }: Stage): boolean {
  return lastError?.code === HANDED_BACK && handedBack <= HAND_BACKS_MOST;
}

/** Can a script be asked whether a lost attempt went? */
export function isCheckable({ work, checks }: Stage): boolean {
  return work?.kind === "stage" && work.stage.check.length > 0 && checks < attemptsOf(work);
}

/** May another attempt be made without asking a person, once one may have acted on the world? */
export function isRepeatable(work: Work): boolean {
  return work.kind === "plan" || work.stage.idempotent;
}

function environmentOf(work: Work | null): string | null {
  return work?.kind === "stage" ? work.stage.environment : null;
}

export type ClaimRuling =
  /** Append `claimed` with this attempt. */
  | {
      readonly kind: "claim";
      readonly attempt: number;
      readonly purpose: Purpose;
      readonly tookOver: string | null;
    }
  /** Append `finished` with this outcome: it cannot be run again. */
  | { readonly kind: "give-up"; readonly outcome: "unknown" | "errored" | "cancelled"; readonly message: string }
  /** Another executor is alive and holds it: look again later. */
  | { readonly kind: "held" }
  /** The command is of the past: acknowledge and forget. */
  | { readonly kind: "stale" };

/**
 * May an executor take `stage` on the word of a command for the `queued` event `queuedSeq`?
 *
 * @param holderHolds whether the present holder is alive and says that it holds the stage's token
 */
export function ruleClaim(stage: Stage, queuedSeq: number, holderHolds: boolean): ClaimRuling {
  if (stage.queuedSeq !== queuedSeq || stage.work === null) return { kind: "stale" };
  if (stage.status === "queued") {
    // A cancelled stage that nobody claimed is finished by the coordinator.
    if (stage.cancel !== null) return { kind: "stale" };
    return { kind: "claim", attempt: stage.attempt, purpose: stage.purpose, tookOver: null };
  }
  if (stage.status !== "claimed" && stage.status !== "running") return { kind: "stale" };
  if (holderHolds) return { kind: "held" };
  const lost = `executor ${stage.executor ?? "?"} was lost`;
  if (stage.acted && !isRepeatable(stage.work)) {
    if (isCheckable(stage)) return { kind: "claim", attempt: stage.attempt + 1, purpose: "check", tookOver: lost };
    return {
      kind: "give-up",
      outcome: "unknown",
      message: `${lost} while this stage ran; it may have acted, so it is not repeated by itself`,
    };
  }
  if (stage.cancel !== null) return { kind: "give-up", outcome: "cancelled", message: stage.cancel.why };
  const most = attemptsOf(stage.work);
  if (runsOf(stage) >= most) {
    return {
      kind: "give-up",
      outcome: "errored",
      message: `${lost}, and this was attempt ${runsOf(stage)} of ${most}`,
    };
  }
  return { kind: "claim", attempt: stage.attempt + 1, purpose: "run", tookOver: lost };
}

/** Does the holder of `token` still own the stage? Everything it would report is void otherwise. */
export function holds(stage: Stage, token: number): boolean {
  return stage.token === token && (stage.status === "claimed" || stage.status === "running");
}

/** A result with nothing in it but an outcome and its reason. */
export function bareResult(outcome: StageResult["outcome"], message: string): StageResult {
  return {
    outcome,
    message,
    exitCode: null,
    signal: null,
    phase: null,
    outputs: {},
    requests: [],
    artifact: null,
    planned: null,
    logBytes: 0,
    stepsMs: {},
  };
}
