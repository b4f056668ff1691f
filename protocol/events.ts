import { z } from "zod";
import { approval, artifact, commitName, history, plan, push, shortCommit, source, work } from "./work.ts";

const atMs = z.number();
const by = z.string();
const round = z.number().int().positive();
const stageName = z.string().min(1);
const textMap = z.record(z.string(), z.string());

/** How a stage ended. `failed`: the script said no. `errored`: we could not run it. `unknown`: it may have acted, and we cannot tell. */
export const stageOutcome = z.enum([
  "passed",
  "failed",
  "errored",
  "timedOut",
  "cancelled",
  "superseded",
  "skipped",
  "unknown",
]);
export type StageOutcome = z.infer<typeof stageOutcome>;

export const buildOutcome = z.enum(["passed", "failed", "cancelled", "superseded", "skipped"]);
export type BuildOutcome = z.infer<typeof buildOutcome>;

/** A mistake in a repository's file, with where it is. */
export const problem = z.looseObject({
  file: z.string(),
  line: z.number().int(),
  column: z.number().int(),
  message: z.string(),
  hint: z.string().nullable(),
  path: z.string(),
  /** The lines around it with a caret, made where the file is; empty when there is no file. */
  frame: z.string(),
});

/** What a script asked for through TOROID_QUEUE. */
export const queueRequest = z.discriminatedUnion("kind", [
  z.looseObject({ kind: z.literal("environment"), environment: z.string(), params: textMap }),
  z.looseObject({ kind: z.literal("repository"), repository: z.string(), ref: z.string(), params: textMap }),
]);
export type QueueRequest = z.infer<typeof queueRequest>;

/** What a finished stage leaves for others. */
export const stageResult = z.looseObject({
  outcome: stageOutcome,
  /** One sentence for people; empty when there is nothing to add. */
  message: z.string(),
  exitCode: z.number().int().nullable(),
  signal: z.number().int().nullable(),
  /** The phase that decided the outcome; null when none ran. */
  phase: z.string().nullable(),
  outputs: textMap,
  requests: z.array(queueRequest),
  artifact: artifact.nullable(),
  /** Only of the plan stage. */
  planned: z
    .discriminatedUnion("kind", [
      z.looseObject({
        kind: z.literal("plan"),
        source,
        plan,
        /** Left out by executors of before there was one. */
        history: history.optional(),
      }),
      z.looseObject({
        kind: z.literal("skip"),
        source: source.nullable(),
        reason: z.string(),
        /** Build stages that are passed over; left out by earlier versions. */
        stages: z.array(z.string()).optional(),
      }),
      z.looseObject({
        kind: z.literal("invalid"),
        source: source.nullable(),
        problems: z.array(problem),
        text: z.string(),
      }),
    ])
    .nullable(),
  logBytes: z.number().int().nonnegative(),
  /** Milliseconds by step (checkout, workspace, each phase), for the waterfall. */
  stepsMs: z.record(z.string(), z.number()),
});
export type StageResult = z.infer<typeof stageResult>;

/** TOROID_PUSH: what one repository accepted, in order; the number is the build's. */
export const pushEvent = z.discriminatedUnion("type", [
  z.looseObject({
    type: z.literal("accepted"),
    id: z.string(),
    atMs,
    number: round,
    key: z.string(),
    push,
    by,
    /** Sequence of the oldest event that still matters to who reads the log; 0: all do. */
    since: z.number().int().nonnegative().default(0),
    /** What the forge had said already that its branch became after this push, which came late; the next first. */
    after: z.array(shortCommit).optional(),
  }),
]);
export type PushEvent = z.infer<typeof pushEvent>;

/** TOROID_RUN, a build's own log. */
export const buildEvent = z.discriminatedUnion("type", [
  z.looseObject({
    type: z.literal("created"),
    id: z.string(),
    atMs,
    push,
    by,
    /** As in `accepted`. */
    after: z.array(shortCommit).optional(),
  }),
  z.looseObject({ type: z.literal("planned"), id: z.string(), atMs, source, plan, history: history.optional() }),
  z.looseObject({
    type: z.literal("requested"),
    id: z.string(),
    atMs,
    key: z.string(),
    environment: z.string(),
    round,
    params: textMap,
    by,
    /** By a script of the build itself, which goes in push order like the plan; else by somebody who means it. */
    byScript: z.boolean(),
    /** `promote`, `rollback`: what was built, as it is, whatever other environments it has passed. */
    how: z.enum(["request", "promote", "rollback"]).default("request"),
    why: z.string().default(""),
  }),
  z.looseObject({
    type: z.literal("settled"),
    id: z.string(),
    atMs,
    stage: stageName,
    round,
    outcome: stageOutcome,
    message: z.string(),
    outputs: textMap,
    artifact: artifact.nullable(),
  }),
  z.looseObject({ type: z.literal("cancelRequested"), id: z.string(), atMs, by, why: z.string() }),
  /** Somebody wants stages that ended badly, and those after them, once more: the plan goes on with these rounds. */
  z.looseObject({
    type: z.literal("retried"),
    id: z.string(),
    atMs,
    key: z.string(),
    rounds: z.array(z.looseObject({ stage: stageName, round })),
    by,
    why: z.string(),
  }),
  /** The same of the plan, which could not be made. */
  z.looseObject({ type: z.literal("replanned"), id: z.string(), atMs, key: z.string(), round, by, why: z.string() }),
  /** A newer push of its branch ends its build stages. */
  z.looseObject({ type: z.literal("superseded"), id: z.string(), atMs, by: round }),
  z.looseObject({ type: z.literal("finished"), id: z.string(), atMs, outcome: buildOutcome, message: z.string() }),
  /** It ended long ago: its logs in TOROID_RUN are removed but for this, which keeps anything from beginning them anew. */
  z.looseObject({ type: z.literal("archived"), id: z.string(), atMs }),
]);
export type BuildEvent = z.infer<typeof buildEvent>;

/** What an attempt is for: the stage itself, or to find out whether an attempt that was lost had done it. */
export const purpose = z.enum(["run", "check"]);
export type Purpose = z.infer<typeof purpose>;

/** TOROID_RUN, a stage's log. The sequence of a `claimed` event is the fencing token of that attempt. */
export const stageEvent = z.discriminatedUnion("type", [
  z.looseObject({
    type: z.literal("queued"),
    id: z.string(),
    atMs,
    pool: z.string(),
    attempt: round,
    purpose: purpose.default("run"),
    work,
  }),
  z.looseObject({
    type: z.literal("claimed"),
    id: z.string(),
    atMs,
    executor: z.string(),
    attempt: round,
    purpose: purpose.default("run"),
    /** Why an earlier holder lost the stage; null for a first claim. */
    tookOver: z.string().nullable(),
  }),
  z.looseObject({
    type: z.literal("started"),
    id: z.string(),
    atMs,
    weak: z.array(z.string()),
    /** What it stands on, with its digest where it has one; left out by earlier versions. */
    image: z.string().optional(),
  }),
  /** From here on it acts on the world, though it is no environment: it uploads a package, say. */
  z.looseObject({ type: z.literal("publishing"), id: z.string(), atMs }),
  z.looseObject({
    type: z.literal("attemptErrored"),
    id: z.string(),
    atMs,
    code: z.string(),
    message: z.string(),
    /** True when the script may have done something already. */
    acted: z.boolean(),
    retryable: z.boolean(),
  }),
  z.looseObject({ type: z.literal("cancelRequested"), id: z.string(), atMs, by, why: z.string() }),
  z.looseObject({ type: z.literal("finished"), id: z.string(), atMs, result: stageResult }),
]);
export type StageEvent = z.infer<typeof stageEvent>;

/** Somebody's agreement that a stage may go. */
export const agreement = z.looseObject({
  by,
  /** In whose name, when it was a team's. */
  team: z.string().nullable(),
  why: z.string(),
  atMs,
});
export type Agreement = z.infer<typeof agreement>;

/** Where a build stands among the others of its repository. */
export const standing = z.looseObject({
  number: round,
  commit: commitName,
  /** Empty for what was stored before it was known. */
  ref: z.string().default(""),
  /** What its push moved the ref from. */
  before: shortCommit.nullable().default(null),
  /** A push, one that moved its branch back, or a build that somebody asked for. */
  origin: z.enum(["push", "rewind", "wish"]).default("push"),
  /** As in the history of its plan. */
  ancestors: z.array(shortCommit).default([]),
  tip: shortCommit.nullable().default(null),
  /** As in `accepted`. */
  after: z.array(shortCommit).default([]),
});
export type Standing = z.infer<typeof standing>;

/** One place in a lane. */
export const laneEntry = standing.extend({
  stage: stageName,
  round,
  policy: z.enum(["newest", "every"]),
  /** Somebody asked for this very build here: it may go back behind what is live, and nothing newer supersedes it. */
  asked: z.boolean(),
  /** It goes back to this build, before all that waits, and holds the lane for everything else. */
  rollback: z.boolean().default(false),
  /** Who asked, and why; null and empty for what nobody asked for. */
  askedBy: z.string().nullable().default(null),
  askedWhy: z.string().default(""),
  enteredAtMs: atMs,
  /** Who has to agree before it goes; null: nobody. */
  approval: approval.nullable().default(null),
  approved: agreement.nullable().default(null),
  /** Names of who caused it, who may not approve it themselves. */
  causedBy: z.array(z.string()).default([]),
});
export type LaneEntry = z.infer<typeof laneEntry>;

/** What is live in an environment. */
export const live = z.looseObject({
  number: round,
  round,
  commit: commitName,
  artifact: artifact.nullable(),
  atMs,
  /** Who asked for it or agreed to it, else who pushed it; null: not known, as of what earlier versions put there. */
  by: z.string().nullable().default(null),
});
export type Live = z.infer<typeof live>;

/** What a rollback leaves: nothing but rollbacks go until a person releases it. */
export const hold = z.looseObject({ number: round, by, why: z.string(), atMs });
export type Hold = z.infer<typeof hold>;

export const pause = z.looseObject({ by, why: z.string(), atMs, untilMs: z.number().nullable() });
export type Pause = z.infer<typeof pause>;

/** TOROID_LANE. */
export const laneEvent = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("entered"), id: z.string(), atMs, entry: laneEntry }),
  z.looseObject({
    type: z.literal("withdrawn"),
    id: z.string(),
    atMs,
    number: round,
    stage: stageName,
    round,
    outcome: stageOutcome,
    why: z.string(),
    /** Who rejected it; null when nobody did. */
    rejectedBy: z.string().nullable().default(null),
  }),
  z.looseObject({
    type: z.literal("approved"),
    id: z.string(),
    atMs,
    number: round,
    stage: stageName,
    round,
    agreement,
    /** What was live when it was approved: the change that was agreed to is from there. */
    liveCommit: commitName.nullable(),
  }),
  z.looseObject({
    type: z.literal("admitted"),
    id: z.string(),
    atMs,
    entry: laneEntry,
    previousCommit: commitName.nullable(),
    previousArtifact: artifact.nullable().default(null),
    /** The environment's fence; left out by earlier versions: its sequence. */
    fence: z.number().int().positive().optional(),
  }),
  z.looseObject({
    type: z.literal("left"),
    id: z.string(),
    atMs,
    number: round,
    stage: stageName,
    round,
    outcome: stageOutcome,
    /** The new live state; null when this stage changed nothing that we know of. */
    live: live.nullable(),
    rollback: z.boolean().default(false),
  }),
  z.looseObject({ type: z.literal("released"), id: z.string(), atMs, by, why: z.string() }),
  z.looseObject({ type: z.literal("paused"), id: z.string(), atMs, pause }),
  z.looseObject({ type: z.literal("resumed"), id: z.string(), atMs, by, why: z.string() }),
]);
export type LaneEvent = z.infer<typeof laneEvent>;
