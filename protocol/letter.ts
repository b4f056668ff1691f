/**
 * A dead letter: what nobody could take. Either a message that intake refused, or a stage that ended because no executor
 * could take its command. Each is an actor with one message in TOROID_LETTER, which carries all there is of it.
 */
import { z } from "zod";

export const letterKind = z.enum(["push", "stage"]);
export type LetterKind = z.infer<typeof letterKind>;

/** What is in a letter. */
export const letterContent = z.discriminatedUnion("kind", [
  z.looseObject({
    kind: z.literal("push"),
    /** What the carrier had, packed by whoever stores it; without its end when it did not fit. */
    packed: z.instanceof(Uint8Array),
    whole: z.boolean(),
    /** Of the body, before it was packed or cut. */
    bytes: z.number().int().nonnegative(),
    /** The beginning of the body, for lists. */
    preview: z.string(),
  }),
  z.looseObject({
    kind: z.literal("stage"),
    repository: z.string(),
    number: z.number().int().positive(),
    stage: z.string(),
    round: z.number().int().positive(),
  }),
]);
export type LetterContent = z.infer<typeof letterContent>;

/** What a replay came to. */
export const became = z.looseObject({
  /** Null: it was understood, and nothing was to be done. */
  build: z.looseObject({ repository: z.string(), number: z.number().int().positive() }).nullable(),
  /** In one sentence. */
  what: z.string(),
});
export type Became = z.infer<typeof became>;

const head = { id: z.string(), atMs: z.number() };

export const letterEvent = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("buried"), ...head, letter: z.string(), why: z.string(), content: letterContent }),
  z.looseObject({ type: z.literal("replayAsked"), ...head, by: z.string(), why: z.string() }),
  z.looseObject({ type: z.literal("replayed"), ...head, became }),
  z.looseObject({ type: z.literal("refusedAgain"), ...head, why: z.string() }),
  z.looseObject({ type: z.literal("discarded"), ...head, by: z.string(), why: z.string() }),
]);
export type LetterEvent = z.infer<typeof letterEvent>;

/** One thing that happened to a letter, for people. */
export const letterDeed = z.looseObject({
  atMs: z.number(),
  what: z.enum(["refused", "replay", "replayed", "discarded"]),
  /** Null: nobody did, it came so. */
  by: z.string().nullable(),
  why: z.string(),
});
export type LetterDeed = z.infer<typeof letterDeed>;

/** `open`: somebody has to look. `replaying`: it is on its way through intake. The others are the end of it. */
export const letterState = z.enum(["open", "replaying", "replayed", "discarded"]);
export type LetterState = z.infer<typeof letterState>;

/** A dead letter, for people and programs. */
export const letterSummary = z.looseObject({
  id: z.string(),
  kind: letterKind,
  state: letterState,
  /** When it was refused for the first time. */
  atMs: z.number(),
  /** Why it was, the last time. */
  why: z.string(),
  /** What came; in lists only its beginning. Of a stage, its name. */
  body: z.string(),
  /** How long all of that is. */
  bytes: z.number().int().nonnegative(),
  /** False: its end was cut off when it was kept, so that it cannot be replayed. */
  whole: z.boolean(),
  /** Attributes of the message. Empty in lists. */
  attributes: z.record(z.string(), z.string()),
  /** The build that it is of, or that came of it. */
  build: z.looseObject({ repository: z.string(), number: z.number().int().positive() }).nullable(),
  /** Of a stage. */
  stage: z.string().nullable(),
  /** Everything that happened to it, the oldest first. */
  history: z.array(letterDeed),
});
export type LetterSummary = z.infer<typeof letterSummary>;

export const letterList = z.looseObject({ letters: z.array(letterSummary), next: z.string().nullable() });
