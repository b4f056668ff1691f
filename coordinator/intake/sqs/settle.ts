import { setTimeout as delay } from "node:timers/promises";
import { crashPoint } from "../../../kit/crash-points.ts";
import type { Logger } from "../../../kit/log.ts";
import { backoffMs, retry } from "../../../kit/retry.ts";
import type { Signals } from "../../../kit/signals.ts";
import { dispositionOf, sentenceOf, ToroidError } from "../../../protocol/errors.ts";
import { type Arrival, type RawMessage, readMessage } from "../message.ts";
import type { Delivery, Queue } from "./queue.ts";

/** What became of a message. */
export type Count = "recorded" | "ignored" | "refused" | "putBack";

export interface SettleOptions {
  readonly handle: (arrival: Arrival) => Promise<void>;
  /** Resolves once a message that was refused is kept with its reason, where people can see and replay it. */
  readonly keep: (message: RawMessage, reason: string) => Promise<void>;
  readonly count?: (what: Count) => void;
}

const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 15_000;
const PUT_BACK_MIN_MS = 1_000;
const PUT_BACK_MAX_MS = 15 * 60_000;

type Fate =
  | { readonly kind: "recorded" }
  | { readonly kind: "ignored"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string }
  /** `error` is undefined when we are only going home. */
  | { readonly kind: "putBack"; readonly afterSeconds: number; readonly error?: unknown };

/**
 * Brings one message to its end, and keeps others from seeing it until then. Never throws: what cannot be settled
 * (the queue is gone) becomes visible by itself.
 */
export async function settle(
  queue: Queue,
  delivery: Delivery,
  o: SettleOptions,
  on: Signals,
  log: Logger,
): Promise<void> {
  const messageLog = log.child({ message: delivery.id });
  const beat = setInterval(
    () => {
      queue.hide(delivery, queue.visibilitySeconds).catch((error: unknown) => {
        messageLog.warn({ err: error }, "visibility not extended; the message may come twice");
      });
    },
    (queue.visibilitySeconds * 1_000) / 3,
  );
  try {
    const fate = await unlessAbandoned(fateOf(delivery, o, on, messageLog), on.hard);
    if (fate.kind === "refused") await keep(delivery, fate.reason, o, on);
    clearInterval(beat); // before it is visible again, or the heartbeat would hide it
    await carryOut(queue, delivery, fate, messageLog);
    o.count?.(fate.kind);
  } catch (error) {
    messageLog.warn({ err: error }, "message not settled; it will come again");
  } finally {
    clearInterval(beat);
  }
}

async function fateOf(delivery: Delivery, o: SettleOptions, on: Signals, log: Logger): Promise<Fate> {
  const read = readMessage(rawOf(delivery));
  if (read.kind === "ignored" || read.kind === "refused") return read;
  for (let attempt = 1; ; attempt += 1) {
    if (on.stop.aborted) return { kind: "putBack", afterSeconds: 0 };
    try {
      await o.handle(read);
      return { kind: "recorded" };
    } catch (error) {
      if (isAboutTheMessage(error)) return { kind: "refused", reason: sentenceOf(error) };
      if (dispositionOf(error) !== "retry") return { kind: "putBack", afterSeconds: pauseSeconds(delivery), error };
      // In hand rather than put back: each receive counts towards the queue's own redrive policy.
      if (attempt === 1) log.warn({ err: error, key: read.key }, "arrival not recorded; tried again");
      await delay(backoffMs(Math.min(attempt, 16), RETRY_MIN_MS, RETRY_MAX_MS, Math.random()), undefined, {
        signal: on.stop,
      }).catch(() => undefined);
    }
  }
}

function rawOf({ text, attributes, id }: Delivery): RawMessage {
  return { body: Buffer.from(text, "utf8"), attributes, id };
}

/** Tried again while the store is away, and given up only with the message: it comes again then. */
async function keep(delivery: Delivery, reason: string, o: SettleOptions, on: Signals): Promise<void> {
  const again = { attempts: Number.POSITIVE_INFINITY, minMs: RETRY_MIN_MS, maxMs: RETRY_MAX_MS, signal: on.stop };
  await retry(() => o.keep(rawOf(delivery), reason), again);
  crashPoint("coordinator-after-letter");
}

async function carryOut(queue: Queue, delivery: Delivery, fate: Fate, log: Logger): Promise<void> {
  switch (fate.kind) {
    case "recorded":
      return queue.remove(delivery);
    case "ignored":
      log.debug({ reason: fate.reason }, "message ignored");
      return queue.remove(delivery);
    case "refused":
      log.warn({ reason: fate.reason }, "message refused");
      return queue.bury(delivery, fate.reason);
    case "putBack":
      if (fate.error !== undefined) {
        log.error({ err: fate.error, afterSeconds: fate.afterSeconds }, "arrival not recorded; put back");
      }
      return queue.hide(delivery, fate.afterSeconds);
  }
}

/** Leaves no listener on `hard`, which outlives millions of messages. */
function unlessAbandoned(fate: Promise<Fate>, hard: AbortSignal): Promise<Fate> {
  return new Promise((resolve, reject) => {
    const leave = (): void => resolve({ kind: "putBack", afterSeconds: 0 });
    if (hard.aborted) leave();
    hard.addEventListener("abort", leave, { once: true });
    void fate.then(resolve, reject).finally(() => hard.removeEventListener("abort", leave));
  });
}

/** Whatever is done, this message would be refused again. */
function isAboutTheMessage(error: unknown): boolean {
  return error instanceof ToroidError && ["TOR_INVALID_INPUT", "TOR_NOT_FOUND", "TOR_REFUSED"].includes(error.code);
}

function pauseSeconds(delivery: Delivery): number {
  const ms = backoffMs(Math.min(delivery.receives, 16), PUT_BACK_MIN_MS, PUT_BACK_MAX_MS, Math.random());
  return Math.max(1, Math.round(ms / 1_000));
}
