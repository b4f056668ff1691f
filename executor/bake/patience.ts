/** How long to wait for an image: for as long as something goes on, and looked at the more seldom the longer it takes. Pure. */

export interface Patience {
  readonly beganAtMs: number;
  /** When something last went on. */
  readonly movedAtMs: number;
  /** Percent of its snapshots, and the state of the image. */
  readonly seen: string;
}

export const FIRST_LOOK_MS = 1_000;
const SELDOM_MS = 30_000;
/** A look after a tenth of what it took so far finds the end a tenth too late at most. */
const SHARE = 10;

export function beginWaiting(nowMs: number): Patience {
  return { beganAtMs: nowMs, movedAtMs: nowMs, seen: "" };
}

export function looked(before: Patience, seen: string, nowMs: number): Patience {
  return seen === before.seen ? before : { ...before, seen, movedAtMs: nowMs };
}

/** When to look again, or null: nothing went on for too long. */
export function nextLookMs({ beganAtMs, movedAtMs }: Patience, patienceMs: number, nowMs: number): number | null {
  const leftMs = movedAtMs + patienceMs - nowMs;
  if (leftMs <= 0) return null;
  const wantedMs = Math.min(SELDOM_MS, Math.max(FIRST_LOOK_MS, (nowMs - beganAtMs) / SHARE));
  return Math.min(wantedMs, leftMs);
}
