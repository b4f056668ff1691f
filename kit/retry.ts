import { setTimeout as delay } from "node:timers/promises";
import { dispositionOf } from "../protocol/errors.ts";

export interface RetryOptions {
  /** How often to try in all; Infinity: until `signal` aborts. */
  readonly attempts: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly signal: AbortSignal;
  /** Which errors are worth another try; default: those that the catalogue says are. */
  readonly worth?: (error: unknown) => boolean;
  readonly onRetry?: (error: unknown, attempt: number, waitMs: number) => void;
}

/** Calls `once` until it succeeds, waiting twice as long each time, with full jitter. Throws the last error. */
export async function retry<T>(once: (attempt: number) => Promise<T>, o: RetryOptions): Promise<T> {
  const worth = o.worth ?? ((error) => dispositionOf(error) === "retry");
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once(attempt);
    } catch (error) {
      if (attempt >= o.attempts || o.signal.aborted || !worth(error)) throw error;
      const waitMs = backoffMs(attempt, o.minMs, o.maxMs, Math.random());
      o.onRetry?.(error, attempt, waitMs);
      await delay(waitMs, undefined, { signal: o.signal });
    }
  }
}

/** Exponential back-off with jitter: between half and all of `minMs` doubled per attempt, at most `maxMs`. */
export function backoffMs(attempt: number, minMs: number, maxMs: number, random: number): number {
  const ceilingMs = Math.min(maxMs, minMs * 2 ** (attempt - 1));
  return ceilingMs / 2 + (random * ceilingMs) / 2;
}
