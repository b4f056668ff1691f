/** Deliveries that are not over, as the stream has them: only what is needed to know whose turn it is. */
import { DeliverPolicy } from "@nats-io/jetstream";
import { follow } from "../../kit/follow.ts";
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import { retry } from "../../kit/retry.ts";
import { decode } from "../../protocol/codec.ts";
import { deliveryRecord } from "../../protocol/delivery.ts";
import { NOTIFY } from "../../protocol/streams.ts";
import { laneOf } from "./audience.ts";
import { isOpen } from "./transitions.ts";

export interface Open {
  targets(): Iterable<string>;
  /** Lanes of a target with something in them, those that came first before the others; and when the next is due. */
  lanes(target: string): Iterable<{ readonly id: string; readonly nextAtMs: number }>;
  /** The stream has nothing of it any more. */
  forget(target: string, lane: string): void;
  /** How many wait for a target. */
  waiting(target: string): number;
  /** Resolves when something changed, or after so long. */
  changed(withinMs: number, stop: AbortSignal): Promise<void>;
  /** As if something had. */
  wake(): void;
}

const PREFIX = "toroid.notify.";
const PATIENCE = { attempts: Number.POSITIVE_INFINITY, minMs: 250, maxMs: 5_000, worth: () => true } as const;

/** Follows TOROID_NOTIFY until `stop`. */
export function followOpen(jet: Jet, stop: AbortSignal, log: Logger): Open {
  /** Target → lane → delivery → when it is due. */
  const all = new Map<string, Map<string, Map<string, number>>>();
  let wake = Promise.withResolvers<void>();

  function take(subject: string, data: Uint8Array): void {
    if (!subject.startsWith(PREFIX)) return;
    const { delivery } = decode(deliveryRecord, data);
    const { id, target, nextAtMs } = delivery;
    const lane = laneOf(id);
    const lanes = all.get(target) ?? new Map<string, Map<string, number>>();
    const heads = lanes.get(lane) ?? new Map<string, number>();
    if (isOpen(delivery)) {
      heads.set(id, nextAtMs ?? 0);
      lanes.set(lane, heads);
      all.set(target, lanes);
    } else {
      heads.delete(id);
      if (heads.size === 0) lanes.delete(lane);
      if (lanes.size === 0) all.delete(target);
    }
    wake.resolve();
  }

  // What was there before is taken in while everything else goes on; it is as late as the coordinator is anyway. Who has
  // the lease must not be without it, so that a store that is away for a moment is asked again.
  const begin = (): Promise<void> => follow(jet, NOTIFY.name, DeliverPolicy.LastPerSubject, stop, log, take);
  retry(begin, { ...PATIENCE, signal: stop }).catch((error: unknown) => {
    if (!stop.aborted) log.error({ err: error }, "notifications are not followed");
  });

  return {
    targets: () => [...all.keys()],
    *lanes(target) {
      for (const [id, heads] of all.get(target) ?? []) yield { id, nextAtMs: Math.min(...heads.values()) };
    },
    forget: (target, lane) => void all.get(target)?.delete(lane),
    waiting: (target) => [...(all.get(target)?.values() ?? [])].reduce((sum, { size }) => sum + size, 0),
    async changed(withinMs, end) {
      const { promise } = wake;
      const timer = setTimeout(() => wake.resolve(), withinMs);
      const ended = (): void => wake.resolve();
      end.addEventListener("abort", ended, { once: true });
      if (!end.aborted) await promise;
      end.removeEventListener("abort", ended);
      clearTimeout(timer);
      wake = Promise.withResolvers<void>();
    },
    wake: () => wake.resolve(),
  };
}
