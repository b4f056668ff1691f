import { z } from "zod";
import { purpose } from "./events.ts";
import { work } from "./work.ts";

/**
 * A hint on TOROID_CMD that a stage waits for an executor. It says all that is needed to run it, but grants nothing:
 * the executor first claims the stage by appending `claimed` where `queuedSeq` is still the last sequence.
 */
export const command = z.looseObject({
  repository: z.string(),
  number: z.number().int().positive(),
  stage: z.string().min(1),
  round: z.number().int().positive(),
  /** Sequence of the `queued` event in TOROID_RUN. */
  queuedSeq: z.number().int().positive(),
  attempt: z.number().int().positive(),
  purpose: purpose.default("run"),
  work,
});
export type Command = z.infer<typeof command>;

/** Core NATS message on {@link CANCEL_SIGNAL}. */
export const cancelSignal = z.looseObject({
  repository: z.string(),
  number: z.number().int().positive(),
  stage: z.string().min(1),
  round: z.number().int().positive(),
});
export type CancelSignal = z.infer<typeof cancelSignal>;

/** What an executor says of itself in KV toroid_exec, under its id, renewed before it expires. */
export const presence = z.looseObject({
  id: z.string(),
  host: z.string(),
  version: z.string(),
  pool: z.string(),
  slots: z.number().int().nonnegative(),
  busy: z.number().int().nonnegative(),
  /** How many plans it makes at once, beside the slots. */
  planSlots: z.number().int().nonnegative().default(4),
  labels: z.array(z.string()).default([]),
  /** The stages that it runs, by name. */
  runs: z.array(z.string()).default([]),
  /** It takes nothing new, and finishes what it has. */
  draining: z.boolean(),
  /** Why it does; empty when it does not. */
  why: z.string().default(""),
  /** The newest version of the protocol that it understands. */
  protocol: z.number().int().positive().default(1),
  sinceMs: z.number(),
  /** Fencing tokens it holds. A claim whose token is not here is not being worked on. */
  tokens: z.array(z.number().int()),
});
export type Presence = z.infer<typeof presence>;

/** That an executor is to take nothing new until this is taken back: KV toroid_drain, under the executor's id. */
export const drainOrder = z.looseObject({ by: z.string(), why: z.string(), atMs: z.number() });
export type DrainOrder = z.infer<typeof drainOrder>;
