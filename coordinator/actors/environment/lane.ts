/** A lane as data, and what can be told by looking at it. Pure. */
import { z } from "zod";
import {
  hold,
  type LaneEntry,
  type Live,
  laneEntry,
  live,
  pause,
  type Standing,
  standing,
} from "../../../protocol/events.ts";
import { contains, inOrder, isKnownBefore, overtakes } from "../order.ts";

/** Each message on its subject carries one. */
export const laneState = z.looseObject({
  /** Waiting, in the order in which they will go. */
  waiting: z.array(laneEntry),
  inFlight: laneEntry.extend({ fence: z.number().int() }).nullable(),
  pause: pause.nullable(),
  live: live.nullable(),
  /** What was live before that and before it, newest first: where one goes back to. */
  before: z.array(live).default([]),
  hold: hold.nullable().default(null),
  /** The last one that was given. */
  fence: z.number().int().default(0),
  /** The last to have gone, newest last: a repeated `enter` of one of them is a repeat and nothing else. */
  departed: z.array(z.string()),
  /** The highest number that the lane let go by itself. */
  furthest: z.number().int().default(0),
  /** What it let go by itself, the last first, but for what those contain: nothing goes that comes before them. */
  went: z.array(standing).default([]),
  /** Where what is live stands. */
  liveStanding: standing.nullable().default(null),
});
export type Lane = z.infer<typeof laneState>;

const DEPARTED_KEPT = 256;
const BEFORE_KEPT = 20;

/** One round of a stage, wherever in the lane it is. */
export interface Place {
  readonly number: number;
  readonly stage: string;
  readonly round: number;
}

export function isSame(a: Place, b: Place): boolean {
  return a.number === b.number && a.stage === b.stage && a.round === b.round;
}

function placeKey(place: Place): string {
  return `${place.number} ${place.round} ${place.stage}`;
}

export function knows(lane: Lane, place: Place): boolean {
  return (
    lane.waiting.some((one) => isSame(one, place)) ||
    (lane.inFlight !== null && isSame(lane.inFlight, place)) ||
    lane.departed.includes(placeKey(place))
  );
}

export function without(lane: Lane, place: Place): Lane {
  return { ...lane, waiting: lane.waiting.filter((one) => !isSame(one, place)) };
}

export function depart(lane: Lane, place: Place): string[] {
  return [...lane.departed, placeKey(place)].slice(-DEPARTED_KEPT);
}

/** In order of arrival, but for pushes, which go in their own order. A rollback goes before everything else. */
export function inserted(waiting: readonly LaneEntry[], entry: LaneEntry): LaneEntry[] {
  if (entry.rollback)
    return [...waiting.filter((one) => one.rollback), entry, ...waiting.filter((one) => !one.rollback)];
  if (entry.asked) return [...waiting, entry];
  const pushes = inOrder([...waiting.filter((one) => !one.asked), entry]);
  const next = pushes[pushes.indexOf(entry) + 1];
  const at = next === undefined ? waiting.length : waiting.indexOf(next);
  // Among themselves the others may have changed places, too: each takes the next place that a push had.
  const rest = pushes.values();
  return waiting.toSpliced(at, 0, entry).map((one) => (one.asked ? one : (rest.next().value ?? one)));
}

/** A lane is written whole with each event, so the more wait, the less is kept of what each of them contains. */
const ANCESTORS_OF_ALL = 4_096;
const ANCESTORS_OF_ONE = 16;

export function withBoundedHistory(lane: Lane, entry: LaneEntry): LaneEntry {
  const most = Math.max(ANCESTORS_OF_ONE, Math.floor(ANCESTORS_OF_ALL / (lane.waiting.length + 1)));
  return entry.ancestors.length <= most ? entry : { ...entry, ancestors: entry.ancestors.slice(0, most) };
}

export function standingIn(entry: LaneEntry): Standing {
  const { number, commit, ref, before, origin, ancestors, tip, after } = entry;
  return { number, commit, ref, before, origin, ancestors, tip, after };
}

/** Whom it needed, agreed. */
export function isAgreed(entry: LaneEntry): boolean {
  return entry.approval === null || entry.approved !== null;
}

/** Where one goes back to once `now` is live. Going back there takes away what was gone back from. */
export function beforeThat(lane: Lane, now: Live, isRollback: boolean): Live[] {
  const known = lane.before.filter((one) => one.number !== now.number);
  if (isRollback) {
    const at = lane.before.findIndex((one) => one.number === now.number);
    return at === -1 ? known : lane.before.slice(at + 1);
  }
  const last = lane.live === null || lane.live.number === now.number ? [] : [lane.live];
  return [...last, ...known].slice(0, BEFORE_KEPT);
}

/** Was the build live here, as far as is remembered? Then putting it there again needs nobody's agreement. */
export function wasLive({ live: now, before: earlier }: Lane, number: number): boolean {
  return now?.number === number || earlier.some((one) => one.number === number);
}

/** Why `entry` may not go any more, or null. What somebody asked for may go back. */
export function staleness(lane: Lane, entry: LaneEntry): string | null {
  if (entry.asked) return null;
  const { live: now, liveStanding, went, furthest } = lane;
  if (now !== null) {
    const standsAt = liveStanding?.number === now.number ? liveStanding : null;
    if (isPast(entry, standsAt, now.number)) return `${named(now.number, standsAt, entry)}, is live already`;
  }
  const past = went.find((one) => overtakes(entry, one));
  if (past !== undefined) return `${named(past.number, past, entry)}, went before it`;
  const [last = null] = went;
  return isPast(entry, last, furthest) ? `${named(furthest, last, entry)}, went before it` : null;
}

/** Has the lane come further than `entry`, being at `at`, or at a build of this number of which no more is known? */
function isPast(entry: LaneEntry, at: Standing | null, number: number): boolean {
  if (at === null) return number > entry.number;
  return overtakes(entry, at) || (number > entry.number && !isKnownBefore(at, entry));
}

function named(number: number, at: Standing | null, entry: Standing): string {
  const isWhole = at !== null && at.number === number && contains(at, entry);
  return `#${number}, which ${isWhole ? "contains its commit" : "is newer"}`;
}

/**
 * Waiting entries that need not go any more, with why: what is newer went, or waits as well and their policy is
 * `newest`. One that a person agreed to gives way only to one that may go as well.
 */
export function superseded(lane: Lane): readonly { readonly entry: LaneEntry; readonly why: string }[] {
  const pushed = lane.waiting.filter((one) => !one.asked);
  return pushed.flatMap((entry, at) => {
    const stale = staleness(lane, entry);
    if (stale !== null) return [{ entry, why: stale }];
    if (entry.policy !== "newest") return [];
    const newer = pushed.findLast(
      (one, other) => other > at && one.number !== entry.number && (isAgreed(one) || !isAgreed(entry)),
    );
    if (newer === undefined) return [];
    return [{ entry, why: `${named(newer.number, newer, entry)}, waits for the same environment` }];
  });
}

/** What happens next in a lane that is free: one goes, or one is told that it cannot. Null: nothing may. */
export function nextOf(
  lane: Lane,
):
  | { readonly kind: "admit"; readonly entry: LaneEntry }
  | { readonly kind: "withdraw"; readonly entry: LaneEntry; readonly why: string }
  | null {
  if (lane.inFlight !== null || lane.pause !== null) return null;
  for (const entry of lane.waiting) {
    const why = staleness(lane, entry);
    if (why !== null) return { kind: "withdraw", entry, why };
  }
  // One that nobody has agreed to yet holds up nothing that may go.
  const entry = lane.waiting.find((one) => isAgreed(one) && (lane.hold === null || one.rollback));
  return entry === undefined ? null : { kind: "admit", entry };
}

/** When `entry` no longer waits for approval; null when it does not wait for one. */
export function approvalEndsAtMs(entry: LaneEntry): number | null {
  return entry.approval === null || isAgreed(entry) ? null : entry.enteredAtMs + entry.approval.expiresMs;
}
