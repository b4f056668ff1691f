import { z } from "zod";
import { presence } from "../protocol/commands.ts";
import { buildSummary, environmentSummary } from "../protocol/summary.ts";

/** Answers of the HTTP API that are more than one summary. */
export const buildList = z.looseObject({ builds: z.array(buildSummary), next: z.string().nullable() });
export const repositoryList = z.looseObject({
  repositories: z.array(
    z.looseObject({ repository: z.string(), builds: z.number(), environments: z.array(environmentSummary) }),
  ),
});
export const executorList = z.looseObject({ executors: z.array(presence) });
export const accepted = z.looseObject({ repository: z.string(), number: z.number() });
export const deployment = z.looseObject({
  repository: z.string(),
  number: z.number(),
  environment: z.string(),
  round: z.number(),
});
export const health = z.looseObject({
  status: z.string(),
  store: z.looseObject({ ok: z.boolean(), says: z.string() }).optional(),
});

/** Events of a log stream. */
export const logBytes = z.looseObject({ offset: z.number(), text: z.base64() });
export const logRemoved = z.looseObject({ offset: z.number(), bytes: z.number(), sinceMs: z.number().nullable() });
export const logPhase = z.looseObject({ offset: z.number(), phase: z.string(), atMs: z.number() });
export const logEnd = z.looseObject({
  offset: z.number(),
  droppedBytes: z.number(),
  outcome: z.string().nullable(),
});
