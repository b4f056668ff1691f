/** What may be archived, and when; pure. */
import type { EnvironmentSummary } from "../../protocol/summary.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Above this share of TOROID_RUN builds are archived before their time. */
const PRESSING = 0.8;
/** And until this one. */
const RELIEVED = 0.7;
/** No younger ones even then: what comes late of a build has come by then. */
export const LEAST_KEPT_MS = 60 * 60 * 1_000;
/** What is halved when everything is to be kept. */
const FOR_EVER_MS = 365 * DAY_MS;

/** How long builds are kept for now: as asked for, or less while there is no room. */
export interface Keeping {
  /** Null: for ever. */
  readonly keepMs: number | null;
  /** Halvings of the time that was asked for. */
  readonly halvings: number;
}

/** After a look at the stream: time is halved again at each look for as long as it is too full. */
export function keepingAfter(before: Keeping, askedMs: number | null, usedShare: number): Keeping {
  const isPressed = isPressing(usedShare) || (before.halvings > 0 && usedShare > RELIEVED);
  if (!isPressed) return { keepMs: askedMs, halvings: 0 };
  const full = askedMs ?? FOR_EVER_MS;
  const keepMs = Math.max(LEAST_KEPT_MS, full / 2 ** (before.halvings + 1));
  // Halving what is at its least already would count for ever.
  return { keepMs: Math.min(keepMs, full), halvings: keepMs > LEAST_KEPT_MS ? before.halvings + 1 : before.halvings };
}

/** Above this share of TOROID_LANE old events of environments go, */
const LANES_TRIMMED = 0.5;
/** and of them all so much stays to be looked into. */
const LANES_LEFT = 0.25;

export interface LaneLog {
  readonly usedShare: number;
  readonly messages: number;
  readonly lastSeq: number;
  /** The sequence up to which all has been reacted to. */
  readonly reactedTo: number;
}

/**
 * Events of TOROID_LANE below this sequence may go, but for each lane's newest; null: all stay. Never 0, by which the
 * server would understand all of them.
 */
export function trimBelow({ usedShare, messages, lastSeq, reactedTo }: LaneLog): number | null {
  if (usedShare <= LANES_TRIMMED) return null;
  // Nearly all sequences of the newest are there still.
  const kept = Math.floor((messages * LANES_LEFT) / usedShare);
  const below = Math.min(lastSeq - kept, reactedTo) + 1;
  return below > 1 ? below : null;
}

/** It refuses new events when it is full. */
export function isPressing(usedShare: number): boolean {
  return usedShare > PRESSING;
}

/** Builds that an environment needs: what is live, where a rollback goes, what waits or is under way. */
export function neededBuilds(environments: readonly EnvironmentSummary[]): ReadonlySet<number> {
  return new Set(
    environments.flatMap(({ live, before, held, inFlight, waiting }) =>
      [live, ...before, held, inFlight, ...waiting].flatMap((one) => (one === null ? [] : [one.number])),
    ),
  );
}

/** How far a repository is archived: everything below `next`, but for `kept`, which is looked at again. */
export interface Cursor {
  readonly next: number;
  readonly kept: readonly number[];
}

export const FROM_THE_START: Cursor = { next: 1, kept: [] };

/** What was found of one build. `later`: so are all after it. */
export type Finding = "archived" | "kept" | "later";

/** After a look at builds: some of those kept, then, in order, some from `next` on. */
export function cursorAfter(before: Cursor, found: ReadonlyMap<number, Finding>): Cursor {
  const kept = before.kept.filter((number) => (found.get(number) ?? "kept") !== "archived");
  let { next } = before;
  for (let finding = found.get(next); finding === "archived" || finding === "kept"; finding = found.get(next)) {
    if (finding === "kept") kept.push(next);
    next += 1;
  }
  return { next, kept };
}
