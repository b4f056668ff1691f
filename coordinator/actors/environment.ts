/**
 * An environment is a lane: at most one stage in flight, the rest in order, held while paused. It knows what is live,
 * and refuses to put something older over it. A stage that needs approval waits for it beside the others.
 */
import { assertNever } from "../../protocol/errors.ts";
import { type Hold, type LaneEntry, type LaneEvent, laneEvent, type StageOutcome } from "../../protocol/events.ts";
import type { EnvironmentId } from "../../protocol/ids.ts";
import { LANE } from "../../protocol/streams.ts";
import { laneSubject } from "../../protocol/subjects.ts";
import type { Artifact } from "../../protocol/work.ts";
import { type Actor, append, type Decision, type EventHead, nothing, refuse } from "./actor.ts";
import { type ApprovalCommand, decideApproval, expiredApproval } from "./environment/approval.ts";
import {
  beforeThat,
  depart,
  inserted,
  isSame,
  knows,
  type Lane,
  laneState,
  nextOf,
  type Place,
  standingIn,
  wasLive,
  withBoundedHistory,
  without,
} from "./environment/lane.ts";
import { afterGoing } from "./order.ts";

export type LaneCommand =
  | { readonly kind: "enter"; readonly entry: LaneEntry }
  /** Takes a waiting entry out. */
  | (Place & { readonly kind: "withdraw"; readonly outcome: StageOutcome; readonly why: string })
  /** Lets the next one go, if any may. `only`: if it is this one, of which is known that it can. */
  | { readonly kind: "admit"; readonly only?: Place }
  /** Lets go on what a rollback holds. */
  | { readonly kind: "release"; readonly by: string; readonly why: string }
  /** The stage in flight ended. */
  | (Place & { readonly kind: "leave"; readonly outcome: StageOutcome; readonly artifact: Artifact | null })
  | ApprovalCommand
  | { readonly kind: "pause"; readonly by: string; readonly why: string; readonly untilMs: number | null }
  | { readonly kind: "resume"; readonly by: string; readonly why: string }
  /** Ends what has run out: the pause, or an approval that nobody gave. */
  | { readonly kind: "expire" };

export const environmentActor: Actor<EnvironmentId, Lane, LaneEvent, LaneCommand> = {
  noun: "environment",
  stream: LANE.name,
  schema: laneEvent,
  initial: {
    waiting: [],
    inFlight: null,
    pause: null,
    live: null,
    before: [],
    hold: null,
    fence: 0,
    departed: [],
    furthest: 0,
    went: [],
    liveStanding: null,
  },
  snapshot: laneState,
  subjectOf: laneSubject,

  apply(state, event, seq) {
    switch (event.type) {
      case "entered":
        return { ...state, waiting: inserted(state.waiting, event.entry), hold: holdOf(event) ?? state.hold };
      case "withdrawn":
        return { ...without(state, event), departed: depart(state, event) };
      case "approved": {
        const agreed = (one: LaneEntry): LaneEntry =>
          isSame(one, event) ? { ...one, approved: event.agreement } : one;
        return { ...state, waiting: state.waiting.map(agreed) };
      }
      case "admitted":
        return {
          ...without(state, event.entry),
          inFlight: { ...event.entry, fence: fenceOf(event, seq) },
          fence: fenceOf(event, seq),
          ...(event.entry.asked ? {} : goneBy(state, event.entry)),
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
          before: event.live === null ? state.before : beforeThat(state, event.live, event.rollback),
          liveStanding:
            event.live === null || state.inFlight === null ? state.liveStanding : standingIn(state.inFlight),
          pause: stopped,
          departed: depart(state, event),
        };
      }
      case "released":
        return { ...state, hold: null };
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
        return enter(state, command.entry, head);
      case "withdraw":
        if (!state.waiting.some((one) => isSame(one, command))) return nothing();
        return withdrawn(command, command.outcome, command.why, head);
      case "admit":
        return admit(state, command.only ?? null, head);
      case "leave":
        return leave(state, command, head);
      case "approve":
      case "reject":
        return decideApproval(state, command, head);
      case "release":
        if (state.hold === null) return nothing();
        return append({ type: "released", ...head, by: command.by, why: command.why });
      case "pause":
        return pauseLane(state, command, head);
      case "resume":
        if (state.pause === null) return nothing();
        return append({ type: "resumed", ...head, by: command.by, why: command.why });
      case "expire":
        return expire(state, head);
      default:
        return assertNever(command, "lane command");
    }
  },
};

function enter(state: Lane, entry: LaneEntry, head: EventHead): Decision<LaneEvent> {
  if (knows(state, entry)) return nothing();
  // Somebody agreed to it when it went there first, and going back must not wait for a second person.
  const approval = entry.rollback && wasLive(state, entry.number) ? null : entry.approval;
  const entered = { ...withBoundedHistory(state, entry), approval, enteredAtMs: head.atMs };
  return append({ type: "entered", ...head, entry: entered });
}

function goneBy({ furthest, went }: Lane, entry: LaneEntry): Pick<Lane, "furthest" | "went"> {
  return { furthest: Math.max(furthest, entry.number), went: [...afterGoing(went, standingIn(entry))] };
}

function holdOf({ entry, atMs }: Extract<LaneEvent, { type: "entered" }>): Hold | null {
  const { number, askedBy, askedWhy } = entry;
  return entry.rollback ? { number, by: askedBy ?? "", why: askedWhy, atMs } : null;
}

function withdrawn(place: Place, outcome: StageOutcome, why: string, head: EventHead): Decision<LaneEvent> {
  const { number, stage, round } = place;
  return append({ type: "withdrawn", ...head, number, stage, round, outcome, why, rejectedBy: null });
}

/** The one thing that decides what happens next in a lane. */
function admit(state: Lane, only: Place | null, head: EventHead): Decision<LaneEvent> {
  const next = nextOf(state);
  if (next === null) return nothing();
  if (next.kind === "admit" && only !== null && !isSame(next.entry, only)) return nothing();
  if (next.kind === "withdraw") return withdrawn(next.entry, "superseded", next.why, head);
  // Greater than the last one, whatever the clock says; and by the clock, because after a backup was restored the last
  // one is not the last that a target has seen.
  const fence = Math.max(state.fence + 1, head.atMs);
  const { commit: previousCommit = null, artifact: previousArtifact = null } = state.live ?? {};
  return append({ type: "admitted", ...head, entry: next.entry, previousCommit, previousArtifact, fence });
}

/** What targets compare; earlier versions gave the event's sequence. */
export function fenceOf({ fence }: Extract<LaneEvent, { type: "admitted" }>, seq: number): number {
  return fence ?? seq;
}

function leave(state: Lane, command: Extract<LaneCommand, { kind: "leave" }>, head: EventHead): Decision<LaneEvent> {
  const { number, stage, round, outcome, artifact } = command;
  if (state.inFlight !== null && isSame(state.inFlight, command)) {
    const { commit, rollback, approved, askedBy, causedBy } = state.inFlight;
    const by = approved?.by ?? askedBy ?? causedBy[0] ?? null;
    const now = outcome === "passed" ? { number, round, commit, artifact, atMs: head.atMs, by } : null;
    return append({ type: "left", ...head, number, stage, round, outcome, live: now, rollback });
  }
  // It ended before its turn came: cancelled while it waited.
  if (!state.waiting.some((one) => isSame(one, command))) return nothing();
  return withdrawn(command, outcome, "it ended before its turn came", head);
}

function pauseLane(
  state: Lane,
  { by, why, untilMs }: Extract<LaneCommand, { kind: "pause" }>,
  head: EventHead,
): Decision<LaneEvent> {
  if (why.trim() === "") return refuse("TOR_INVALID_INPUT", "a pause needs a reason: say why, for those who wait");
  if (untilMs !== null && untilMs <= head.atMs) return refuse("TOR_INVALID_INPUT", "a pause cannot end in the past");
  const { pause } = state;
  if (pause?.by === by && pause.why === why && pause.untilMs === untilMs) return nothing();
  return append({ type: "paused", ...head, pause: { by, why, atMs: head.atMs, untilMs } });
}

function expire(state: Lane, head: EventHead): Decision<LaneEvent> {
  const { pause } = state;
  if (pause !== null && pause.untilMs !== null && pause.untilMs <= head.atMs) {
    return append({ type: "resumed", ...head, by: pause.by, why: "the pause ran out" });
  }
  const expired = expiredApproval(state, head.atMs);
  return expired === null ? nothing() : withdrawn(expired.entry, "cancelled", expired.why, head);
}

function stoppedBecause(place: Place): string {
  return `#${place.number} ended in an unknown state: look at what it did, then resume`;
}
