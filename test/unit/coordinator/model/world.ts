/** One state of the model's world, as data, and the small steps it is changed by. */

import type { Effect } from "../../../../coordinator/reactions.ts";
import type { Purpose, StageEvent } from "../../../../protocol/events.ts";
import type { StageId } from "../../../../protocol/ids.ts";
import type { Plan } from "../../../../protocol/pipeline/plan.ts";
import { appended, type Log, type LogEvent, type Told } from "./logs.ts";
import type { Memory } from "./memory.ts";

/** An event that no reaction is through with yet. */
export interface Delivery {
  readonly log: Log["kind"];
  readonly subject: string;
  readonly seq: number;
  readonly event: LogEvent;
}

/** What one coordinator has in hand. */
export interface Reaction {
  readonly delivery: Delivery;
  /** Still to do, the first one first. */
  readonly todo: readonly Todo[];
  /** Decided on for the first one, and not appended yet. */
  readonly decided: { readonly event: LogEvent; readonly after: number } | null;
}
export type Todo =
  | Exclude<Effect, { kind: "tell-build" | "tell-stage" | "tell-lane" }>
  /** `leaves`: the lane that is told when the stage turns out to have ended. */
  | { readonly kind: "tell"; readonly told: Told; readonly leaves: string | null };

/** A command in the pool's queue. */
export interface Message {
  readonly id: StageId;
  readonly queuedSeq: number;
  readonly attempt: number;
  readonly purpose: Purpose;
  readonly isFirst: boolean;
}

export interface Executor {
  readonly name: string;
  readonly holds: Held | null;
}
export interface Held {
  readonly message: Message;
  readonly phase: "taken" | "claiming" | "claimed" | "reporting" | "started" | "running";
  /** About to be appended after `after`: a claim, or a report. */
  readonly saying: StageEvent | null;
  readonly after: number;
  readonly token: number;
  /** Others think that it is dead: its presence ran out, and its command was given to the queue again. */
  readonly isLapsed: boolean;
}

export interface World {
  readonly logs: readonly Log[];
  readonly deliveries: readonly Delivery[];
  readonly reactions: readonly Reaction[];
  readonly messages: readonly Message[];
  readonly executors: readonly Executor[];
  /** How much may still go wrong, and how much people still do. */
  readonly trouble: number;
  readonly wishes: number;
}

export interface Step {
  readonly says: () => string;
  readonly next: World;
  /** It may happen, and need not: things go right without it. */
  readonly isOptional?: boolean;
}

export interface Scenario {
  readonly plan: Plan;
  readonly builds: number;
  readonly executors: number;
  readonly coordinators: number;
  /** How often anything may go wrong: somebody dies, seems dead, hears twice, or cannot run a stage. */
  readonly trouble: number;
  /** What people may ask for, and how many times. */
  readonly people: readonly Told[];
  readonly wishes: number;
  /** Scripts may also fail. */
  readonly fails: boolean;
  /**
   * A coordinator decides and appends in one step. Nothing is lost by that while it compares, since it decides again
   * when anything was said in between; and the world is a fraction as large.
   */
  readonly isAtomic: boolean;
  /** Pushes are accepted in the order opposite to that in which they were made. */
  readonly isReversed?: boolean;
  /** What is taken away, to see that it is needed. */
  readonly without?: "fence" | "claim-compare" | "coordinator-compare" | "ancestry";
}

export interface Model {
  readonly memory: Memory;
  readonly scenario: Scenario;
}

export function keyOf(memory: Memory, world: World): string {
  const bag = (things: readonly object[]): string =>
    things
      .map((one) => memory.number(one))
      .sort((a, b) => a - b)
      .join();
  const { logs, deliveries, reactions, messages, executors, trouble, wishes } = world;
  return `${[logs, deliveries, reactions, messages, executors].map(bag).join(";")};${trouble};${wishes}`;
}

/** The log as it is, or `empty` when nothing was said there yet. */
export function logIn<L extends Log>({ logs }: World, empty: L): L {
  return (logs.find((one) => one.subject === empty.subject) as L | undefined) ?? empty;
}

export function withLog(world: World, log: Log): World {
  return { ...world, logs: [...world.logs.filter((one) => one.subject !== log.subject), log] };
}

/** Those that no coordinator has anything to do for, whatever has happened since. */
const QUIET = new Set(["stage claimed", "stage started", "build finished", "lane paused"]);

/**
 * Appends by compare-and-set; null when something else was appended since `after`.
 *
 * @param after null: appended whatever was said since
 */
export function append(memory: Memory, world: World, empty: Log, event: LogEvent, after: number | null): World | null {
  const log = memory.one(logIn(world, empty));
  if (after !== null && log.seq !== after) return null;
  const now = appended(memory, log, memory.one(event));
  const next = withLog(world, now);
  if (QUIET.has(`${now.kind} ${event.type}`)) return next;
  const delivery: Delivery = memory.one({ log: now.kind, subject: now.subject, seq: now.seq, event });
  return { ...next, deliveries: [...next.deliveries, delivery] };
}

/** Without one of those that are equal to `thing`. */
export function less<T>(things: readonly T[], thing: T): readonly T[] {
  return things.toSpliced(things.indexOf(thing), 1);
}
