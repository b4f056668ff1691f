import type { Consumer, JsMsg } from "@nats-io/jetstream";
import { dispositionOf } from "../protocol/errors.ts";
import type { Logger } from "./log.ts";
import type { Turn } from "./turn.ts";

export interface ConsumeOptions {
  /** How many messages may be in hand at once. */
  readonly parallel: number;
  /** Less than a third of the consumer's ack wait. */
  readonly heartbeatMs: number;
  /** How long a message that failed is left alone. */
  readonly retryDelayMs: number;
  /** Messages with the same key are handled one after the other, in order of delivery. */
  readonly keyOf: (message: JsMsg) => string;
  /** By which acknowledgements leave. */
  readonly turn: Turn;
}

/**
 * Handles messages of a consumer until `stop`, then takes nothing new and resolves once all in hand are settled.
 *
 * A handler that resolves acknowledges; one that throws has the message again later, unless the error is terminal by
 * the catalogue, which ends the message.
 */
export async function consume(
  from: Consumer,
  handle: (message: JsMsg) => Promise<void>,
  o: ConsumeOptions,
  stop: AbortSignal,
  log: Logger,
): Promise<void> {
  const inHand = new Set<Promise<void>>();
  const tails = new Map<string, Promise<void>>();
  while (!stop.aborted) {
    const messages = await from.consume({ max_messages: o.parallel, expires: 30_000 });
    const close = (): void => void messages.close();
    stop.addEventListener("abort", close, { once: true });
    try {
      if (stop.aborted) await messages.close();
      for await (const message of messages) {
        const key = o.keyOf(message);
        const before = tails.get(key) ?? Promise.resolve();
        const task = before.then(() => settle(message, handle, o, log));
        tails.set(key, task);
        inHand.add(task);
        void task.finally(() => {
          inHand.delete(task);
          if (tails.get(key) === task) tails.delete(key);
        });
        if (inHand.size >= o.parallel) await Promise.race(inHand);
      }
    } catch (error) {
      if (!stop.aborted) log.warn({ err: error }, "consumer ended; opened again");
    } finally {
      stop.removeEventListener("abort", close);
    }
  }
  await Promise.all(inHand);
}

async function settle(
  message: JsMsg,
  handle: (message: JsMsg) => Promise<void>,
  o: ConsumeOptions,
  log: Logger,
): Promise<void> {
  const beat = setInterval(() => message.working(), o.heartbeatMs);
  try {
    await handle(message);
    await o.turn.add(() => message.ack());
  } catch (error) {
    const disposition = dispositionOf(error);
    log.warn(
      { err: error, subject: message.subject, seq: message.seq, delivery: message.info.deliveryCount, disposition },
      "message not handled",
    );
    if (disposition === "terminal") message.term(String(error));
    else message.nak(o.retryDelayMs);
  } finally {
    clearInterval(beat);
  }
}
