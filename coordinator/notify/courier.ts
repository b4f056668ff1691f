/**
 * Carries deliveries to their targets. Whoever has the lease does it; what is tried is written down before, by
 * compare-and-set, so that two who think they have it do not send the same at once. A target that is down is left alone
 * for a while, and is never waited for by another.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { crashPoint } from "../../kit/crash-points.ts";
import { append, type Jet, readSubject } from "../../kit/jetstream.ts";
import type { Lease } from "../../kit/lease.ts";
import type { Logger } from "../../kit/log.ts";
import { decode } from "../../protocol/codec.ts";
import { type Delivery, deliveryRecord } from "../../protocol/delivery.ts";
import { NOTIFY } from "../../protocol/streams.ts";
import { deliverySubject } from "../../protocol/subjects.ts";
import { codeOf, unanswered } from "./channels/http.ts";
import type { Channels } from "./channels.ts";
import type { Open } from "./open.ts";
import { type Answer, BEGIN_MS, claim, nextOf, overtake, retryAfterMs, settle, TRY_MS } from "./transitions.ts";

const TICK_MS = 500;
/** Lanes of one target that are served at once. */
const LANES_AT_ONCE = 4;
/** How long what is being sent may take once we are to end. */
const LAST_CHANCE_MS = 1_500;
const LONGEST_REST_MS = 60_000;

export interface CourierParts {
  readonly jet: Jet;
  readonly lease: Lease;
  readonly open: Open;
  readonly channels: Channels;
  /** What may never be shown, whoever says it. */
  readonly secrets: readonly string[];
  readonly log: Logger;
}

/** How a target has done lately. */
interface Health {
  inHand: number;
  failures: number;
  restUntilMs: number;
}

/** Until `stop`; then resolves when nothing is in hand. */
export async function runCourier(
  { jet, lease, open, channels, secrets, log }: CourierParts,
  stop: AbortSignal,
): Promise<void> {
  const healths = new Map<string, Health>();
  const inHand = new Map<string, Promise<void>>();
  /** Lanes where nothing is to be done before. */
  const quiet = new Map<string, number>();
  const last = new AbortController();

  function healthOf(target: string): Health {
    const known = healths.get(target) ?? { inHand: 0, failures: 0, restUntilMs: 0 };
    healths.set(target, known);
    return known;
  }

  function look(): void {
    const nowMs = jet.clock.nowMs();
    for (const [lane, atMs] of quiet) if (atMs <= nowMs) quiet.delete(lane);
    for (const target of open.targets()) {
      const health = healthOf(target);
      for (const lane of open.lanes(target)) {
        const isBusy = health.inHand >= (health.failures === 0 ? LANES_AT_ONCE : 1);
        if (isBusy || health.restUntilMs > nowMs) break;
        if (inHand.has(lane.id) || lane.nextAtMs > nowMs || quiet.has(lane.id)) continue;
        begin(target, lane.id, health);
      }
    }
  }

  function begin(target: string, lane: string, health: Health): void {
    health.inHand += 1;
    const done = serve(target, lane, health)
      .catch((error: unknown) => {
        log.warn({ err: error, target }, "a notification could not be looked after; tried again");
        return jet.clock.nowMs() + TICK_MS;
      })
      .then((lookAtMs) => {
        if (lookAtMs !== null) quiet.set(lane, lookAtMs);
        inHand.delete(lane);
        health.inHand -= 1;
        open.wake();
      });
    inHand.set(lane, done);
  }

  /** One step of a lane. Answers when to look again; null: as soon as something changes. */
  async function serve(target: string, lane: string, health: Health): Promise<number | null> {
    const stored = await readSubject(jet, NOTIFY.name, deliverySubject(`${lane}.*`), 0);
    // What is kept no more is not waited for.
    if (stored.length === 0) open.forget(target, lane);
    const known = stored.map(({ data, seq }) => ({ delivery: decode(deliveryRecord, data).delivery, seq }));
    const all = known.map(({ delivery }) => delivery);
    const seqOf = (one: Delivery): number => known.find(({ delivery }) => delivery === one)?.seq ?? 0;
    const { overtaken, send, lookAtMs } = nextOf(all, jet.clock.nowMs());
    for (const one of overtaken) await write(overtake(one), seqOf(one));
    // What is to change is heard of; until then nothing is to be done here.
    if (send === null) return lookAtMs ?? jet.clock.nowMs() + TICK_MS;
    const claimed = claim(send, jet.clock.nowMs());
    const beganMs = performance.now();
    const seq = await write(claimed, seqOf(send));
    if (seq === null) return null;
    crashPoint("coordinator-after-notice-claimed");
    // Who stood still since then may not be alone with it any more.
    if (performance.now() - beganMs > BEGIN_MS) return null;
    const answer = masked(await attempt(target, claimed, all));
    crashPoint("coordinator-after-notice-sent");
    const settled = settle(claimed, answer, jet.clock.nowMs(), Math.random());
    note(target, health, answer);
    await write(settled, seq);
    const facts = { delivery: settled.id, about: settled.about, status: answer.status, why: answer.message };
    if (settled.status === "delivered") log.info(facts, "notification delivered");
    else if (settled.status === "gaveUp") log.error(facts, "notification given up");
    else log.warn({ ...facts, tried: settled.tried }, "notification not delivered; tried again");
    return null;
  }

  async function attempt(target: string, delivery: Delivery, lane: readonly Delivery[]): Promise<Answer> {
    const send = channels.get(target);
    if (send === undefined) {
      const message = `no target named ${target} is configured (TOROID_NOTIFY)`;
      return { kind: "retry", status: null, message, isDown: true };
    }
    try {
      return await send(delivery, lane, AbortSignal.any([AbortSignal.timeout(TRY_MS), last.signal]));
    } catch (error) {
      log.debug({ why: codeOf(error), target }, "a target gave no answer");
      return unanswered(error);
    }
  }

  /** A target that is down is left alone for all that it is to be told, and then asked for one thing first. */
  function note(target: string, health: Health, answer: Answer): void {
    if (answer.kind !== "retry" || !answer.isDown) {
      health.failures = 0;
      health.restUntilMs = 0;
      return;
    }
    health.failures += 1;
    const restMs = Math.min(LONGEST_REST_MS, retryAfterMs(health.failures, answer.afterMs, Math.random()));
    health.restUntilMs = jet.clock.nowMs() + restMs;
    if (health.failures === 1) log.warn({ target, why: answer.message }, "a target of notifications is down");
  }

  function masked<T extends Answer>(answer: T): T {
    let { message } = answer;
    for (const secret of secrets) message = message.replaceAll(secret, "***");
    return { ...answer, message };
  }

  /** The record's new sequence; null when somebody else was there first. */
  async function write(delivery: Delivery, expectedSeq: number): Promise<number | null> {
    const record = { id: randomUUID(), delivery };
    const done = await append(jet, NOTIFY.name, deliverySubject(delivery.id), record, expectedSeq);
    return done.kind === "appended" ? done.seq : null;
  }

  while (!stop.aborted) {
    if (await lease.holds()) look();
    await open.changed(TICK_MS, stop);
  }
  const ends = new AbortController();
  const late = delay(LAST_CHANCE_MS, undefined, { signal: ends.signal }).then(
    () => last.abort(),
    () => undefined,
  );
  await Promise.all(inHand.values());
  ends.abort();
  await late;
}
