import type { Consumer, JsMsg } from "@nats-io/jetstream";
import { dispositionOf } from "../protocol/errors.ts";
import type { Logger } from "./log.ts";
import type { Turn } from "./turn.ts";

export interface ConsumeOptions {
  /** How many messages may be handled at once. */
  readonly parallel: number;
  /** How many may be in hand at once, with those that only wait to be acknowledged. */
  readonly inHand: number;
  /** Less than a third of the consumer's ack wait. */
  readonly heartbeatMs: number;
  /** How long a message that failed is left alone. */
  readonly retryDelayMs: number;
  /** Messages with the same key are handled one after the other, in order of delivery. */
  readonly keyOf: (message: JsMsg) => string;
  /** By which acknowledgements leave. */
  readonly turn: Turn;
}

/** What of a message no other waits for, but its own acknowledgement. It has a handler for its failure already. */
export interface Handled {
  readonly rest: Promise<unknown>;
}

export type Handle = (message: JsMsg) => Promise<Handled>;

/**
 * Handles messages of a consumer until `stop`, then takes nothing new and resolves once all in hand are settled.
 *
 * A handler that resolves, and its rest, acknowledges; one that throws has the message again later, unless the error is
 * terminal by the catalogue, which ends the message.
 */
export async function consume(
  from: Consumer,
  handle: Handle,
  o: ConsumeOptions,
  stop: AbortSignal,
  log: Logger,
): Promise<void> {
  const handling = new Crowd();
  const inHand = new Crowd();
  const tails = new Map<string, Promise<void>>();
  const beats = new Beats(o.heartbeatMs);
  while (!stop.aborted) {
    const messages = await from.consume({ max_messages: o.parallel, expires: 30_000 });
    const close = (): void => void messages.close();
    stop.addEventListener("abort", close, { once: true });
    try {
      if (stop.aborted) await messages.close();
      for await (const message of messages) {
        const key = o.keyOf(message);
        const handled = Promise.withResolvers<void>();
        const before = tails.get(key);
        tails.set(key, handled.promise);
        handling.add();
        inHand.add();
        beats.add(message);
        void settle(message, before, handle, handled.resolve, o, log).finally(() => {
          beats.remove(message);
          inHand.remove();
        });
        void handled.promise.then(() => {
          if (tails.get(key) === handled.promise) tails.delete(key);
          handling.remove();
        });
        await handling.below(o.parallel);
        await inHand.below(o.inHand);
      }
    } catch (error) {
      if (!stop.aborted) log.warn({ err: error }, "consumer ended; opened again");
    } finally {
      stop.removeEventListener("abort", close);
    }
  }
  await inHand.below(1);
  beats.end();
}

async function settle(
  message: JsMsg,
  before: Promise<void> | undefined,
  handle: Handle,
  handled: () => void,
  o: ConsumeOptions,
  log: Logger,
): Promise<void> {
  await before;
  try {
    const { rest } = await handle(message);
    handled();
    await rest;
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
    handled();
  }
}

/** Counts, and can be waited for to become smaller. */
class Crowd {
  #count = 0;
  #waiting: { readonly most: number; readonly go: () => void }[] = [];

  add(): void {
    this.#count += 1;
  }

  remove(): void {
    this.#count -= 1;
    const ready = this.#waiting.filter(({ most }) => this.#count < most);
    if (ready.length === 0) return;
    this.#waiting = this.#waiting.filter((one) => !ready.includes(one));
    for (const { go } of ready) go();
  }

  async below(most: number): Promise<void> {
    if (this.#count < most) return;
    await new Promise<void>((go) => this.#waiting.push({ most, go }));
  }
}

/** Signs of life for messages that take long: one timer for all, since hardly any does. */
class Beats {
  #young = new Set<JsMsg>();
  #old = new Set<JsMsg>();
  readonly #timer: NodeJS.Timeout;

  constructor(everyMs: number) {
    this.#timer = setInterval(() => this.#beat(), everyMs);
  }

  add(message: JsMsg): void {
    this.#young.add(message);
  }

  remove(message: JsMsg): void {
    if (!this.#young.delete(message)) this.#old.delete(message);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** Who was there at the last one is told of. */
  #beat(): void {
    for (const message of this.#old) message.working();
    for (const message of this.#young) this.#old.add(message);
    this.#young = new Set();
  }
}
