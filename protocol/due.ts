import { z } from "zod";

/** TOROID_TIMER: when a stage has to be looked at again, if nothing happens to it before. */
export const due = z.looseObject({
  repository: z.string(),
  number: z.number().int().positive(),
  stage: z.string().min(1),
  round: z.number().int().positive(),
  dueAtMs: z.number(),
  /** Sequence of the event of the stage's log that it is about. */
  stageSeq: z.number().int().positive(),
});
export type Due = z.infer<typeof due>;
