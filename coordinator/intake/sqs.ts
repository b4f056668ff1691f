/**
 * The way in by SQS: receives, hands on, and deletes only what is recorded.
 *
 * One receive is in flight at a time and asks for as many messages as there are free slots, so a batch is no barrier
 * and a full house stops receiving. What is in hand is kept from other receivers by extending its visibility.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../../kit/log.ts";
import { backoffMs } from "../../kit/retry.ts";
import type { Signals } from "../../kit/signals.ts";
import { sentenceOf } from "../../protocol/errors.ts";
import type { Arrival, RawMessage } from "./message.ts";
import type { Delivery, Queue } from "./sqs/queue.ts";
import { queueError } from "./sqs/queue-errors.ts";
import { type Count, settle } from "./sqs/settle.ts";

export { openQueue, type Queue, type QueueConfig } from "./sqs/queue.ts";
export type { Count } from "./sqs/settle.ts";

export interface ReceiveOptions {
  /**
   * Resolves once the arrival is recorded for good; the message is deleted then. An error that may pass
   * (`dispositionOf` says retry) is tried again with the message in hand; TOR_INVALID_INPUT and TOR_NOT_FOUND make a
   * dead letter of it; after any other it becomes visible again later.
   */
  readonly handle: (arrival: Arrival) => Promise<void>;
  /** Resolves once a message that was refused is kept as a dead letter, with its reason. */
  readonly keep: (message: RawMessage, reason: string) => Promise<void>;
  /** How many messages may be in hand at once. */
  readonly parallel: number;
  /** Hears of everything that became of a message, for `/metrics`. */
  readonly count?: (what: Count) => void;
}

const MAX_BATCH = 10;
const MIN_WAIT_MS = 250;
const MAX_WAIT_MS = 30_000;

/**
 * Receives until `stop`, which takes effect when the receive in flight has ended (`waitSeconds` at most): to abort it
 * could swallow the next message until its visibility ends. Resolves when all in hand is settled, or given back
 * after `hard`. An unreachable queue is tried again for ever.
 */
export async function receiveFromQueue(queue: Queue, o: ReceiveOptions, on: Signals, log: Logger): Promise<void> {
  const inHand = new Set<Promise<void>>();
  const link = linkState(log);
  while (!on.stop.aborted) {
    const room = o.parallel - inHand.size;
    if (room <= 0) {
      await Promise.race(inHand);
      continue;
    }
    const received = await receive(queue, Math.min(room, MAX_BATCH), on, link);
    for (const delivery of received) {
      const task: Promise<void> = settle(queue, delivery, o, on, log).finally(() => inHand.delete(task));
      inHand.add(task);
    }
  }
  await Promise.all(inHand);
}

/** Nothing, after a pause, when the queue cannot be reached. */
async function receive(queue: Queue, max: number, on: Signals, link: Link): Promise<readonly Delivery[]> {
  try {
    const received = await queue.receive(max, on.hard);
    link.up();
    return received;
  } catch (error) {
    if (on.hard.aborted) return [];
    const failures = link.down(error);
    const waitMs = backoffMs(Math.min(failures, 16), MIN_WAIT_MS, MAX_WAIT_MS, Math.random());
    await delay(waitMs, undefined, { signal: on.stop }).catch(() => undefined);
    return [];
  }
}

interface Link {
  up(): void;
  /** Answers how many failures there were in a row. */
  down(error: unknown): number;
}

/** One line when it breaks or breaks in another way, one when it is whole again; silence between. */
function linkState(log: Logger): Link {
  let failures = 0;
  let said = "";
  let sinceMs = 0;
  return {
    up() {
      if (failures > 0) log.info({ failures, downMs: Math.round(performance.now() - sinceMs) }, "queue is back");
      failures = 0;
      said = "";
    },
    down(thrown) {
      const error = queueError(thrown);
      if (failures === 0) sinceMs = performance.now();
      if (error.code !== said) {
        log.error(
          { err: error, code: error.code, why: sentenceOf(error) },
          "queue cannot be received from; tried again",
        );
      }
      said = error.code;
      failures += 1;
      return failures;
    },
  };
}
