/** AMIs for people and programs, as the API tells of them. Pure. */
import { z } from "zod";

const maybeMs = z.number().nullable();

/** What one bake made: an image, in each region that it is in. */
export const amiSummary = z.looseObject({
  /** Digest of everything that it was baked of. */
  key: z.string(),
  bake: z.string(),
  repository: z.string(),
  /** The build that baked it; null when its tag is no number. */
  number: z.number().int().nullable(),
  stage: z.string(),
  commit: z.string(),
  /** Of that build, as far as it is known here. */
  by: z.string().nullable(),
  author: z.string().nullable(),
  ref: z.string().nullable(),
  createdAtMs: maybeMs,
  images: z.array(
    z.looseObject({ region: z.string(), id: z.string(), state: z.string(), snapshots: z.array(z.string()) }),
  ),
  /** Environments in which it is live, and those that can go back to it. */
  live: z.array(z.string()),
  back: z.array(z.string()),
  /** Builds that have it: the same content is baked once. */
  builds: z.array(z.number().int()),
  /** Whether it would go at the next clearing, and why, or why not. */
  goes: z.boolean(),
  why: z.string(),
});
export type AmiSummary = z.infer<typeof amiSummary>;
export const amiList = z.looseObject({ amis: z.array(amiSummary) });

const clearedThing = z.looseObject({
  kind: z.string(),
  region: z.string(),
  id: z.string(),
  bake: z.string(),
  why: z.string(),
});
export type ClearedThing = z.infer<typeof clearedThing>;

export const clearing = z.looseObject({
  /** Nothing was removed; `gone` would have been. */
  dryRun: z.boolean(),
  gone: z.array(clearedThing),
  stays: z.array(clearedThing),
  /** What was to go, and did not: tried again. */
  failed: z.array(clearedThing),
});
export type Clearing = z.infer<typeof clearing>;
