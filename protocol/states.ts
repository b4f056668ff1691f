import { ToroidError } from "./errors.ts";
import type { BuildEvent, StageEvent } from "./events.ts";

/**
 * The life of a stage. A blank cell is illegal; an empty row is terminal.
 *
 * `claimed` from `claimed` or `running` is another executor taking over from a lost one; `queued` from `retrying` is
 * the coordinator giving an errored attempt another try.
 */
export type StageStatus = "absent" | "queued" | "claimed" | "running" | "retrying" | "finished";

export const STAGE_TRANSITIONS: Readonly<Record<StageStatus, Partial<Record<StageEvent["type"], StageStatus>>>> = {
  absent: { queued: "queued", finished: "finished" },
  queued: { claimed: "claimed", cancelRequested: "queued", finished: "finished" },
  claimed: {
    claimed: "claimed",
    started: "running",
    attemptErrored: "retrying",
    cancelRequested: "claimed",
    finished: "finished",
  },
  running: {
    claimed: "claimed",
    publishing: "running",
    attemptErrored: "retrying",
    cancelRequested: "running",
    finished: "finished",
  },
  retrying: { queued: "queued", cancelRequested: "retrying", finished: "finished" },
  finished: {},
};

/**
 * The life of a build. `finished` is left again when somebody asks for another environment of it, or tries it again.
 * Only what is finished is archived; but of the log before `archived` there is any part left while it is removed, the
 * newest first, and in the end none.
 */
export type BuildStatus = "absent" | "planning" | "running" | "finished" | "archived";

export const BUILD_TRANSITIONS: Readonly<Record<BuildStatus, Partial<Record<BuildEvent["type"], BuildStatus>>>> = {
  absent: { created: "planning", archived: "archived" },
  planning: {
    planned: "running",
    cancelRequested: "planning",
    superseded: "planning",
    finished: "finished",
    archived: "archived",
  },
  running: {
    requested: "running",
    retried: "running",
    settled: "running",
    cancelRequested: "running",
    superseded: "running",
    finished: "finished",
    archived: "archived",
  },
  finished: { requested: "running", retried: "running", replanned: "planning", archived: "archived" },
  archived: {},
};

/** @throws {ToroidError} TOR_TRANSITION_ILLEGAL when `event` cannot happen in `from`. */
export function nextStageStatus(from: StageStatus, event: StageEvent["type"]): StageStatus {
  return follow(STAGE_TRANSITIONS[from][event], "stage", from, event);
}

/** @throws {ToroidError} TOR_TRANSITION_ILLEGAL when `event` cannot happen in `from`. */
export function nextBuildStatus(from: BuildStatus, event: BuildEvent["type"]): BuildStatus {
  return follow(BUILD_TRANSITIONS[from][event], "build", from, event);
}

function follow<S>(to: S | undefined, what: string, from: string, event: string): S {
  if (to === undefined) {
    throw new ToroidError("TOR_TRANSITION_ILLEGAL", `a ${what} that is ${from} cannot have ${event}`, { from, event });
  }
  return to;
}
