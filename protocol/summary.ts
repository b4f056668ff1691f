import { z } from "zod";
import { buildOutcome, problem, stageOutcome } from "./events.ts";
import { artifact, commitName } from "./work.ts";

const maybeMs = z.number().nullable();

/** One stage of a build, for people. Durations and instants in milliseconds since 1970. */
export const stageSummary = z.looseObject({
  name: z.string(),
  round: z.number().int().positive(),
  environment: z.string().nullable(),
  needs: z.array(z.string()),
  status: z.enum(["waiting", "queued", "claimed", "running", "retrying", "finished"]),
  outcome: stageOutcome.nullable(),
  message: z.string(),
  /** Why it does not run yet, in one sentence; empty when it does. */
  waiting: z.string(),
  /** Where it was sent; empty for any pool that has the labels. */
  pool: z.string().default(""),
  /** What its executor must have. */
  labels: z.array(z.string()).default([]),
  executor: z.string().nullable(),
  attempt: z.number().int().nonnegative(),
  queuedAtMs: maybeMs,
  claimedAtMs: maybeMs,
  startedAtMs: maybeMs,
  finishedAtMs: maybeMs,
  exitCode: z.number().int().nullable(),
  phase: z.string().nullable(),
  logBytes: z.number().int().nonnegative(),
  /** What its host does not hold it to, by the helper's names. */
  weak: z.array(z.string()).default([]),
  /** What it stands on, with its digest where it has one. */
  image: z.string().nullable().default(null),
  outputs: z.record(z.string(), z.string()),
  stepsMs: z.record(z.string(), z.number()),
  /** Last sequence of the stage's log that is in here: a summary never goes back. */
  seq: z.number().int().nonnegative(),
});
export type StageSummary = z.infer<typeof stageSummary>;

/** TOROID_BUILD: one build, for lists and pages. A projection; the truth is in TOROID_RUN. */
export const buildSummary = z.looseObject({
  repository: z.string(),
  number: z.number().int().positive(),
  status: z.enum(["planning", "running", "finished"]),
  outcome: buildOutcome.nullable(),
  message: z.string(),
  /** Why nothing of it runs, in one sentence; empty when something does, or it has ended. */
  waiting: z.string().default(""),
  kind: z.enum(["library", "application"]).nullable(),
  ref: z.string(),
  branch: z.string().nullable(),
  tag: z.string().nullable(),
  commit: commitName.nullable(),
  commitMessage: z.string(),
  /** Where its forge shows the commit, and what the push changed; null where that is not known. */
  commitUrl: z.string().nullable().default(null),
  compareUrl: z.string().nullable().default(null),
  author: z.string(),
  by: z.string(),
  createdAtMs: z.number(),
  finishedAtMs: maybeMs,
  /** Since when this is all there is of it, but for its output while that is kept; null: there is all. */
  archivedAtMs: maybeMs.default(null),
  artifact: artifact.nullable(),
  problems: z.array(problem),
  /** The Packer template that was made of the file, for the repository has none; null: there is none that was made. */
  template: z.string().nullable().default(null),
  /** The plan stage first, then the build's stages in the plan's order, then later rounds. */
  stages: z.array(stageSummary),
  /** Last sequence of the build's own log that is in here. */
  seq: z.number().int().nonnegative(),
});
export type BuildSummary = z.infer<typeof buildSummary>;

/** A stage that waits for its environment, for people. */
export const waitingSummary = z.looseObject({
  number: z.number().int(),
  stage: z.string(),
  round: z.number().int(),
  /** Null: nobody has to agree, or somebody has. */
  approval: z
    .looseObject({
      from: z.array(z.string()).readonly(),
      self: z.boolean(),
      endsAtMs: z.number(),
      /** What would change: the commits from what is live (null: nothing is) to this build's. */
      change: z.looseObject({ from: commitName.nullable(), to: commitName }),
    })
    .nullable()
    .default(null),
  approvedBy: z.string().nullable().default(null),
  rollback: z.boolean().default(false),
  /** In one sentence. */
  why: z.string().default(""),
});
export type WaitingSummary = z.infer<typeof waitingSummary>;

/** An environment, for people. */
export const environmentSummary = z.looseObject({
  repository: z.string(),
  environment: z.string(),
  paused: z
    .looseObject({
      by: z.string(),
      why: z.string(),
      atMs: z.number(),
      untilMs: maybeMs,
      /** What is paused, when it is more than this environment; `*` for all of them. */
      of: z.looseObject({ repository: z.string(), environment: z.string() }).nullable().default(null),
    })
    .nullable(),
  live: z
    .looseObject({
      number: z.number().int(),
      commit: commitName,
      atMs: z.number(),
      artifact: artifact.nullable(),
      /** Who put it there, as far as that is known. */
      by: z.string().nullable().default(null),
    })
    .nullable(),
  /** What a rollback holds, until somebody releases it. */
  held: z
    .looseObject({ number: z.number().int(), by: z.string(), why: z.string(), atMs: z.number() })
    .nullable()
    .default(null),
  /** What was live before, newest first: where a rollback goes. */
  before: z.array(z.looseObject({ number: z.number().int(), commit: commitName, atMs: z.number() })).default([]),
  inFlight: z.looseObject({ number: z.number().int(), stage: z.string(), round: z.number().int() }).nullable(),
  waiting: z.array(waitingSummary),
  /** Why what waits does, in one sentence; empty when nothing does. */
  why: z.string().default(""),
});
export type EnvironmentSummary = z.infer<typeof environmentSummary>;
