/**
 * An actor decides and never waits: pure functions over the fold of its own log. `mailbox.ts` is the one place that
 * loads, appends with compare-and-set, and tries again when it lost a race.
 */
import type { z } from "zod";
import type { Code } from "../../protocol/errors.ts";

/** Every event has an id of its own and a time; both come in with the command. */
export interface EventHead {
  readonly id: string;
  readonly atMs: number;
}

export type Decision<Event> =
  | { readonly kind: "append"; readonly event: Event }
  /** Already so, or no longer of interest. */
  | { readonly kind: "nothing" }
  /** A person or program asked for what cannot be. */
  | { readonly kind: "refuse"; readonly code: Code; readonly why: string };

export interface Actor<Id, State, Event extends EventHead, Command> {
  readonly noun: string;
  readonly stream: string;
  readonly schema: z.ZodType<Event>;
  readonly initial: State;
  /**
   * Given: each stored message carries the state before it, so that a log without end is loaded by its last message.
   * Not given: the log is short, and folded from its beginning.
   */
  readonly snapshot?: z.ZodType<State>;
  /**
   * Given: the newest event says from which sequence on the log has to be read; what came before does not matter any
   * more, and may be gone. 0: all of it.
   */
  since?(newest: Event): number;
  /** How much of it is to be remembered, in bytes as they are stored, when its events add up to more than that. */
  sizeOf?(state: State): number;
  subjectOf(id: Id): string;
  /** Is the command most likely the first that this actor hears? Only saves a read. */
  makes?(command: Command): boolean;
  /** The state after `event`, stored with sequence `seq`. */
  apply(state: State, event: Event, seq: number): State;
  decide(state: State, command: Command, head: EventHead): Decision<Event>;
}

export function nothing<Event>(): Decision<Event> {
  return { kind: "nothing" };
}

export function append<Event>(event: Event): Decision<Event> {
  return { kind: "append", event };
}

export function refuse<Event>(code: Code, why: string): Decision<Event> {
  return { kind: "refuse", code, why };
}
