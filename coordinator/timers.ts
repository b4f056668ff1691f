/**
 * What happens because time passes, and what a moment's misfortune left undone. Whoever has the lease does it, to save
 * the others the work; the actors see to it that it happens once, whoever does it.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Lease } from "../kit/lease.ts";
import type { Logger } from "../kit/log.ts";
import { admitNext } from "./admission.ts";
import type { Mailboxes } from "./mailboxes.ts";
import type { Lanes } from "./projections/lanes.ts";

const TICK_MS = 500;

/** Until `stop`. */
export async function runTimers(
  { actors, lanes, lease, log }: { actors: Mailboxes; lanes: Lanes; lease: Lease; log: Logger },
  stop: AbortSignal,
): Promise<void> {
  async function tick(): Promise<void> {
    for (const id of lanes.expired(Date.now())) {
      await tried({ ...id }, () => actors.environment.tell(id, { kind: "expire" }));
    }
    // The end of a wider pause reaches its lanes here, and so does whatever else was missed.
    for (const id of lanes.ready()) await tried({ ...id }, () => admitNext(actors, id));
  }

  async function tried(what: object, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      log.warn({ err: error, ...what }, "what is due could not be done; tried again");
    }
  }

  while (!stop.aborted) {
    if (await lease.holds()) await tick();
    await delay(TICK_MS, undefined, { signal: stop, ref: true }).catch(() => undefined);
  }
}
