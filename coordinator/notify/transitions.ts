/** The life of a delivery: waiting → sending → delivered, waiting again, or given up; or overtaken by a newer one. Pure. */
import { backoffMs } from "../../kit/retry.ts";
import type { Delivery } from "../../protocol/delivery.ts";
import { assertNever, ToroidError } from "../../protocol/errors.ts";

/** How long one try may take. */
export const TRY_MS = 10_000;
/** By when it must have begun, or it is left to others. */
export const BEGIN_MS = 1_000;
/** How long one try has until others may take it for lost. */
export const CLAIM_MS = TRY_MS + 2 * BEGIN_MS;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 15 * 60_000;
/** The other side may wish for more patience, but not for ever. */
const PATIENCE_MOST_MS = 60 * 60_000;
/** After so long it is of no use any more. */
export const GIVE_UP_MS = 24 * 60 * 60_000;
const ATTEMPTS_KEPT = 20;
const MESSAGE_CHARACTERS = 300;

/** What a channel says of one try. `status`: of the answer. */
export type Answer =
  | { readonly kind: "delivered"; readonly status: number | null; readonly message: string; readonly remoteId?: string }
  | {
      readonly kind: "retry";
      readonly status: number | null;
      readonly message: string;
      /** How long the other side wants to be left alone. */
      readonly afterMs?: number;
      /** The target itself is in trouble, whatever it is told. */
      readonly isDown: boolean;
      readonly remoteId?: string;
    }
  | { readonly kind: "giveUp"; readonly status: number | null; readonly message: string };

export function isOpen({ status }: Delivery): boolean {
  return status === "waiting" || status === "sending";
}

export interface Next {
  /** Something newer is to be said in their place. */
  readonly overtaken: readonly Delivery[];
  /** Its turn has come. */
  readonly send: Delivery | null;
  /** When to look again, if nothing is to be sent now; null: when something changes. */
  readonly lookAtMs: number | null;
}

/** What is to be done with all that is known of one lane. */
export function nextOf(lane: readonly Delivery[], nowMs: number): Next {
  const newest = lane
    .filter(({ mode }) => mode === "state")
    .toSorted(byOrder)
    .at(-1);
  const overtaken = lane.filter(
    (one) => newest !== undefined && one !== newest && one.mode === "state" && isOpen(one) && !isBeingSent(one, nowMs),
  );
  const open = lane.filter((one) => isOpen(one) && !overtaken.includes(one)).toSorted(byAge);
  // One at a time: what is under way may still arrive after what is sent now.
  const [first] = open.toSorted((a, b) => Number(isBeingSent(b, nowMs)) - Number(isBeingSent(a, nowMs)));
  if (first === undefined) return { overtaken, send: null, lookAtMs: null };
  const dueAtMs = first.nextAtMs ?? nowMs;
  if (dueAtMs > nowMs) return { overtaken, send: null, lookAtMs: dueAtMs };
  return { overtaken, send: first, lookAtMs: null };
}

function isBeingSent({ status, nextAtMs }: Delivery, nowMs: number): boolean {
  return status === "sending" && nextAtMs !== null && nextAtMs > nowMs;
}

function byOrder(a: Delivery, b: Delivery): number {
  for (const [at, value] of a.order.entries()) {
    const other = b.order[at] ?? 0;
    if (value !== other) return value - other;
  }
  return 0;
}

function byAge(a: Delivery, b: Delivery): number {
  return a.atMs - b.atMs || byOrder(a, b);
}

export function overtake(delivery: Delivery): Delivery {
  return { ...delivery, status: "overtaken", nextAtMs: null };
}

export function claim(delivery: Delivery, nowMs: number): Delivery {
  return { ...delivery, status: "sending", tried: delivery.tried + 1, nextAtMs: nowMs + CLAIM_MS };
}

/** @param random from 0 to 1 */
export function settle(delivery: Delivery, answer: Answer, nowMs: number, random: number): Delivery {
  const { status, message } = answer;
  const said = (more = ""): Pick<Delivery, "attempts"> => ({
    attempts: [
      ...delivery.attempts,
      { atMs: nowMs, status, message: `${message}${more}`.slice(0, MESSAGE_CHARACTERS) },
    ].slice(-ATTEMPTS_KEPT),
  });
  switch (answer.kind) {
    case "delivered": {
      const remoteId = answer.remoteId ?? delivery.remoteId;
      return { ...delivery, ...said(), status: "delivered", nextAtMs: null, remoteId };
    }
    case "giveUp":
      return { ...delivery, ...said(), status: "gaveUp", nextAtMs: null };
    case "retry": {
      const remoteId = answer.remoteId ?? delivery.remoteId;
      const waitMs = retryAfterMs(delivery.tried, answer.afterMs, random);
      if (nowMs + waitMs - delivery.sinceMs > GIVE_UP_MS)
        return { ...delivery, ...said("; given up after a day"), status: "gaveUp", nextAtMs: null, remoteId };
      return { ...delivery, ...said(), status: "waiting", nextAtMs: nowMs + waitMs, remoteId };
    }
    default:
      return assertNever(answer, "answer");
  }
}

/** How long to wait after try number `tried`; never less than the other side asked for, within reason. */
export function retryAfterMs(tried: number, askedMs: number | undefined, random: number): number {
  const ownMs = backoffMs(Math.min(tried, 30), FIRST_RETRY_MS, LAST_RETRY_MS, random);
  if (askedMs === undefined) return Math.round(ownMs);
  // With jitter above it, for others were asked the same.
  return Math.round(Math.min(askedMs, PATIENCE_MOST_MS) + random * FIRST_RETRY_MS);
}

/**
 * A person wants it tried again, from the beginning.
 *
 * @throws {ToroidError} TOR_CONFLICT for one that is not given up
 */
export function again(delivery: Delivery, nowMs: number): Delivery {
  switch (delivery.status) {
    case "gaveUp":
      return { ...delivery, status: "waiting", tried: 0, sinceMs: nowMs, nextAtMs: nowMs };
    case "waiting":
      return { ...delivery, nextAtMs: nowMs };
    case "sending":
      throw new ToroidError("TOR_CONFLICT", `${delivery.id} is being sent just now`);
    case "delivered":
      throw new ToroidError("TOR_CONFLICT", `${delivery.id} was delivered: there is nothing to try again`);
    case "overtaken":
      throw new ToroidError("TOR_CONFLICT", `${delivery.id} was overtaken: something newer was said in its place`);
    default:
      return assertNever(delivery.status, "status of a delivery");
  }
}
