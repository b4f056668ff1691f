/** Has AMIs looked after now and then, by whoever has the lease. */
import { setTimeout as delay } from "node:timers/promises";
import type { Lease } from "../../kit/lease.ts";
import type { Logger } from "../../kit/log.ts";
import { sentenceOf } from "../../protocol/errors.ts";
import type { Keeper } from "./keeper.ts";

const TICK_MS = 1_000;

export interface WatchParts {
  readonly keeper: Keeper;
  /** Null: only when somebody asks for it. */
  readonly everyMs: number | null;
  readonly lease: Lease;
  readonly log: Logger;
}

/** Until `stop`. */
export async function watchAmis({ keeper, everyMs, lease, log }: WatchParts, stop: AbortSignal): Promise<void> {
  if (keeper.regions.length === 0 || everyMs === null) return;
  let nextMs = 0;
  while (!stop.aborted) {
    if (performance.now() >= nextMs && (await lease.holds())) {
      nextMs = performance.now() + everyMs;
      try {
        const { gone, failed } = await keeper.clear({ dryRun: false });
        for (const one of gone) log.info({ ...one }, "removed from EC2");
        for (const one of failed) log.warn({ ...one }, "not removed from EC2; tried again");
      } catch (error) {
        log.warn({ why: sentenceOf(error) }, "AMIs could not be looked after; tried again");
      }
    }
    await delay(TICK_MS, undefined, { signal: stop }).catch(() => undefined);
  }
}
