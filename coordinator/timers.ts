/** What happens because time passes. Every coordinator does it; the actors see to it that it happens once. */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../kit/log.ts";
import type { Mailboxes } from "./mailboxes.ts";
import type { Lanes } from "./projections/lanes.ts";

const TICK_MS = 500;

/** Resumes environments whose pause has run out, until `stop`. */
export async function runTimers(actors: Mailboxes, lanes: Lanes, stop: AbortSignal, log: Logger): Promise<void> {
  while (!stop.aborted) {
    for (const id of lanes.expired(Date.now())) {
      try {
        await actors.environment.tell(id, { kind: "expire" });
      } catch (error) {
        log.warn({ err: error, ...id }, "a pause that ran out could not be ended; tried again");
      }
    }
    await delay(TICK_MS, undefined, { signal: stop, ref: true }).catch(() => undefined);
  }
}
