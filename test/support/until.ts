import { setTimeout as sleep } from "node:timers/promises";
import { sentenceOf } from "../../protocol/errors.ts";

export interface Patience {
  /** How long to wait at most. */
  readonly withinMs?: number;
  readonly everyMs?: number;
}

/**
 * Waits until `probe` answers something other than undefined, null or false, and gives that answer. A probe that throws has
 * not come true yet; at the deadline its last error is the cause.
 *
 * @param what completes the sentence "waited … for": "the build to pass".
 */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  { withinMs = 10_000, everyMs = 10 }: Patience = {},
): Promise<Exclude<T, undefined | false | null>> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    let last: unknown;
    try {
      last = await probe();
      if (isThere(last as T)) return last as Exclude<T, undefined | false | null>;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) {
      const seen = last instanceof Error ? `: ${sentenceOf(last)}` : "";
      throw new Error(`waited ${withinMs} ms in vain for ${what}${seen}`, { cause: last });
    }
    await sleep(everyMs);
  }
}

function isThere<T>(value: T): value is Exclude<T, undefined | false | null> {
  return value !== undefined && value !== false && value !== null;
}
