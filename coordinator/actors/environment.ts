/**
 * An environment is a lane: at most one stage in flight, the rest in order, held while paused. It knows what is live,
 * and refuses to put something older over it.
 */
import { z } from "zod";
import { assertNever } from "../../protocol/errors.ts";
import {
  type LaneEntry,
  type LaneEvent,
  laneEntry,
  laneEvent,
  live,
  pause,
  type StageOutcome,
} from "../../protocol/events.ts";
import type { EnvironmentId } from "../../protocol/ids.ts";
import { LANE } from "../../protocol/streams.ts";
import { laneSubject } from "../../protocol/subjects.ts";
import type { Artifact } from "../../protocol/work.ts";
import { type Actor, append, type Decision, type EventHead, nothing, refuse } from "./actor.ts";

/** The lane as data; each message on its subject carries one. */
export const laneState = z.looseObject({
  /** Waiting, in the order in which they will go. */
  waiting: z.array(laneEntry),
  inFlight: laneEntry.extend({ fence: z.number().int() }).nullable(),
  pause: pause.nullable(),
  live: live.nullable(),
  /** The last to have gone, newest last: a repeated `enter` of one of them is a repeat and nothing else. */
  departed: z.array(z.string()),
  /** The newest build that the lane let go by itself; an older one does not follow it. */
  furthest: z.number().int().default(0),
});
export type Lane = z.infer<typeof laneState>;

const DEPARTED_KEPT = 256;

export type LaneCommand =
  | { readonly kind: "enter"; readonly entry: LaneEntry }
  /** Takes a waiting entry out. */
  | {
      readonly kind: "withdraw";
      readonly number: number;
      readonly stage: string;
      readonly round: number;
      readonly outcome: StageOutcome;
      readonly why: string;
    }
  /** Lets the next one go, if any may. */
  | { readonly kind: "admit" }
  /** The stage in flight ended. */
  | {
      readonly kind: "leave";
      readonly number: number;
      readonly stage: string;
      readonly round: number;
      readonly outcome: StageOutcome;
      readonly artifact: Artifact | null;
    }
  | { readonly kind: "pause"; readonly by: string; readonly why: string; readonly untilMs: number | null }
  | { readonly kind: "resume"; readonly by: string; readonly why: string }
  /** Resumes if the pause has run out. */
  | { readonly kind: "expire" };

export const environmentActor: Actor<EnvironmentId, Lane, LaneEvent, LaneCommand> = {
  noun: "environment",
  stream: LANE.name,
  schema: laneEvent,
  initial: { waiting: [], inFlight: null, pause: null, live: null, departed: [], furthest: 0 },
  snapshot: laneState,
  subjectOf: laneSubject,

  apply(state, event, seq) {
    switch (event.type) {
      case "entered":
        return { ...state, waiting: inserted(state.waiting, event.entry) };
      case "withdrawn":
        return { ...without(state, event), departed: depart(state, event) };
      case "admitted":
        return {
          ...without(state, event.entry),
          inFlight: { ...event.entry, fence: seq },
          furthest: event.entry.asked ? state.furthest : Math.max(state.furthest, event.entry.number),
        };
      case "left": {
        const stopped =
          event.outcome === "unknown"
            ? { by: "toroid", why: stoppedBecause(event), atMs: event.atMs, untilMs: null }
            : state.pause;
        return {
          ...state,
          inFlight: null,
          live: event.live ?? state.live,
          pause: stopped,
          departed: depart(state, event),
        };
      }
      case "paused":
        return { ...state, pause: event.pause };
      case "resumed":
        return { ...state, pause: null };
      default:
        return assertNever(event, "lane event");
    }
  },

  decide(state, command, head) {
    switch (command.kind) {
      case "enter":
        if (knows(state, command.entry)) return nothing();
        return append({ type: "entered", ...head, entry: { ...command.entry, enteredAtMs: head.atMs } });
      case "withdraw":
        if (!state.waiting.some((one) => isSame(one, command))) return nothing();
        return append({ ...command, type: "withdrawn", ...head });
      case "admit":
        return admit(state, head);
      case "leave":
        return leave(state, command, head);
      case "pause":
        if (command.why.trim() === "")
          return refuse("TOR_INVALID_INPUT", "a pause needs a reason: say why, for those who wait");
        if (command.untilMs !== null && command.untilMs <= head.atMs) {
          return refuse("TOR_INVALID_INPUT", "a pause cannot end in the past");
        }
        if (
          state.pause?.by === command.by &&
          state.pause.why === command.why &&
          state.pause.untilMs === command.untilMs
        )
          return nothing();
        return append({
          type: "paused",
          ...head,
          pause: { by: command.by, why: command.why, atMs: head.atMs, untilMs: command.untilMs },
        });
      case "resume":
        if (state.pause === null) return nothing();
        return append({ type: "resumed", ...head, by: command.by, why: command.why });
      case "expire":
        if (state.pause?.untilMs === null || state.pause === null || state.pause.untilMs > head.atMs) return nothing();
        return append({ type: "resumed", ...head, by: state.pause.by, why: "the pause ran out" });
      default:
        return assertNever(command, "lane command");
    }
  },
};

/** The one thing that decides what happens next in a lane. */
function admit(state: Lane, head: EventHead): Decision<LaneEvent> {
  const next = state.waiting[0];
  if (state.inFlight !== null || state.pause !== null || next === undefined) return nothing();
  const overtaken = staleness(state, next);
  if (overtaken !== null) {
    const { number, stage, round } = next;
    return append({ type: "withdrawn", ...head, number, stage, round, outcome: "superseded", why: overtaken });
  }
  return append({ type: "admitted", ...head, entry: next, previousCommit: state.live?.commit ?? null });
}

function leave(state: Lane, command: Extract<LaneCommand, { kind: "leave" }>, head: EventHead): Decision<LaneEvent> {
  const { number, stage, round, outcome, artifact } = command;
  if (state.inFlight !== null && isSame(state.inFlight, command)) {
    const { commit } = state.inFlight;
    const now = outcome === "passed" ? { number, round, commit, artifact, atMs: head.atMs } : null;
    return append({ type: "left", ...head, number, stage, round, outcome, live: now });
  }
  // It ended before its turn came: cancelled while it waited.
  if (!state.waiting.some((one) => isSame(one, command))) return nothing();
  return append({ type: "withdrawn", ...head, number, stage, round, outcome, why: "it ended before its turn came" });
}

/** Why `entry` may not go any more, or null. What somebody asked for may go back. */
function staleness(state: Lane, entry: LaneEntry): string | null {
  if (entry.asked) return null;
  if (state.live !== null && state.live.number > entry.number) {
    return `#${state.live.number}, which is newer, is live already`;
  }
  return state.furthest > entry.number ? `#${state.furthest}, which is newer, went before it` : null;
}

/** Waiting entries that the newest one makes pointless, with why. Empty unless their policy is `newest`. */
export function superseded(state: Lane): readonly { readonly entry: LaneEntry; readonly why: string }[] {
  const newest = state.waiting.findLast((one) => !one.asked);
  if (newest === undefined) return [];
  return state.waiting
    .filter((one) => one.policy === "newest" && !one.asked && one.number < newest.number)
    .map((entry) => ({ entry, why: `#${newest.number}, which is newer, waits for the same environment` }));
}

interface Place {
  readonly number: number;
  readonly stage: string;
  readonly round: number;
}

function isSame(a: Place, b: Place): boolean {
  return a.number === b.number && a.stage === b.stage && a.round === b.round;
}

function placeKey(place: Place): string {
  return `${place.number} ${place.round} ${place.stage}`;
}

function knows(state: Lane, entry: Place): boolean {
  return (
    state.waiting.some((one) => isSame(one, entry)) ||
    (state.inFlight !== null && isSame(state.inFlight, entry)) ||
    state.departed.includes(placeKey(entry))
  );
}

function without(state: Lane, place: Place): Lane {
  return { ...state, waiting: state.waiting.filter((one) => !isSame(one, place)) };
}

function depart(state: Lane, place: Place): string[] {
  return [...state.departed, placeKey(place)].slice(-DEPARTED_KEPT);
}

/**
 * In order of arrival, but for push order, which is build order: numbers are given in the order of acceptance. Not a
 * sort: push order among some and arrival among others make no order of all.
 */
function inserted(waiting: readonly LaneEntry[], entry: LaneEntry): LaneEntry[] {
  const newer = waiting.findIndex((one) => !entry.asked && !one.asked && one.number > entry.number);
  return newer === -1 ? [...waiting, entry] : waiting.toSpliced(newer, 0, entry);
}

function stoppedBecause(place: Place): string {
  return `#${place.number} ended in an unknown state: look at what it did, then resume`;
}
