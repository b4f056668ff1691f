/**
 * What happens because time passes, and what a moment's misfortune left undone. Whoever has the lease does it, to save
 * the others the work; the actors see to it that it happens once, whoever does it.
 */
import { setTimeout as delay } from "node:timers/promises";
import { crashPoint } from "../kit/crash-points.ts";
import type { Lease } from "../kit/lease.ts";
import type { Logger } from "../kit/log.ts";
import type { EnvironmentId } from "../protocol/ids.ts";
import { laneSubject } from "../protocol/subjects.ts";
import { admitNext, type Guard } from "./admission.ts";
import type { Mailboxes } from "./mailboxes.ts";
import type { Lanes } from "./projections/lanes.ts";
import type { Timer, Timers } from "./projections/timers.ts";

const TICK_MS = 500;
/** Lanes that are looked at beside each other; the others come with the next tick. */
const ADMITTING_MOST = 512;

export interface TimerParts {
  readonly actors: Mailboxes;
  readonly lanes: Lanes;
  readonly guard: Guard;
  readonly timers: Timers;
  readonly lease: Lease;
  /** Of whoever wrote down when things end. */
  readonly clock: () => number;
  readonly log: Logger;
}

/** Until `stop`. */
export async function runTimers(
  { actors, lanes, guard, timers, lease, clock, log }: TimerParts,
  stop: AbortSignal,
): Promise<void> {
  const admitting = new Map<string, Promise<void>>();

  async function tick(): Promise<void> {
    for (const id of lanes.expired(clock())) {
      await tried({ ...id }, () => actors.environment.tell(id, { kind: "expire" }));
    }
    for (const timer of timers.over(clock())) await tried({ ...timer.due }, () => look(timer));
    // The end of a wider pause reaches its lanes here, and so does whatever else was missed.
    for (const id of lanes.ready()) admit(id);
  }

  /** Beside the others, since it may have to ask EC2, and each lane once at a time. */
  function admit(id: EnvironmentId): void {
    const subject = laneSubject(id);
    if (admitting.has(subject) || admitting.size >= ADMITTING_MOST) return;
    const done = tried({ ...id }, () => admitNext(actors, id, guard)).finally(() => admitting.delete(subject));
    admitting.set(subject, done);
  }

  /** The stage decides whether it is overdue; it may have gone on since, and be timed anew by that. */
  async function look(timer: Timer): Promise<void> {
    const { repository, number, stage, round } = timer.due;
    await actors.stage.tell({ repository, number, stage, round }, { kind: "overdue" });
    crashPoint("coordinator-after-overdue");
    await timers.done(timer);
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
  await Promise.all(admitting.values());
}
