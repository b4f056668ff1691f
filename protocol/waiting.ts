import { z } from "zod";
import { priority, runsOn } from "./work.ts";

/**
 * TOROID_WAIT: a queued stage whose command is held back, because its pool has enough to do or no executor can run it.
 * Taken away when the command was sent. Like a command it is a hint, the truth is the stage's log.
 */
export const waiting = z.looseObject({
  repository: z.string(),
  number: z.number().int().positive(),
  stage: z.string().min(1),
  round: z.number().int().positive(),
  /** Sequence of the `queued` event in TOROID_RUN. */
  queuedSeq: z.number().int().positive(),
  queue: z.enum(["plan", "work"]),
  priority,
  runsOn,
});
export type Waiting = z.infer<typeof waiting>;
