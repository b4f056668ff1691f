/** What people and other systems are notified of: facts, from which each channel makes its own words. */
import { z } from "zod";
import { stageOutcome } from "./events.ts";
import { commitName } from "./work.ts";

/** How what it is about stands: it waits, runs, or ended so. */
export const noticeState = z.enum(["pending", "running", ...stageOutcome.options]);
export type NoticeState = z.infer<typeof noticeState>;

export const notice = z.looseObject({
  /** `build`: its plan and its build stages together. `deployment`: one round of an environment's stage. */
  kind: z.enum(["build", "stage", "deployment", "paused", "resumed", "approval", "test"]),
  state: noticeState,
  atMs: z.number(),
  /** `*` for all of them, as in a pause. */
  repository: z.string(),
  /** Of the build; null where it is about none. */
  number: z.number().int().nullable(),
  stage: z.string().nullable(),
  round: z.number().int().positive(),
  environment: z.string().nullable(),
  /** Why, in a sentence; empty when there is nothing to add. */
  message: z.string(),
  /** Who caused it, or did it. */
  by: z.string(),
  ref: z.string(),
  commit: commitName.nullable(),
  /** First line of the commit's message. */
  title: z.string(),
  author: z.string(),
  /** Where the repository is fetched from; null where it is about none. */
  remote: z.string().nullable(),
  /** The first failure, or the first pass after one. */
  change: z.boolean(),
  rollback: z.boolean().default(false),
  /** The file lets it fail. */
  mayFail: z.boolean().default(false),
  /** When a pause ends by itself. */
  untilMs: z.number().nullable().default(null),
});
export type Notice = z.infer<typeof notice>;

/** Longer texts of a push say nothing more to who is notified. */
const TEXT_CHARACTERS = 300;

export function shortened(text: string): string {
  const characters = Array.from(text);
  return characters.length <= TEXT_CHARACTERS ? text : `${characters.slice(0, TEXT_CHARACTERS - 1).join("")}…`;
}

/** What a branch or an environment was last found to be, by which the next end of it is a change or none. */
export const standing = z.looseObject({
  /** Of the newest end that is known: number and generation, or sequence. */
  place: z.tuple([z.number(), z.number()]),
  good: z.boolean(),
  /** What was ruled lately, so that the same question has the same answer. */
  ruled: z.array(z.looseObject({ place: z.tuple([z.number(), z.number()]), change: z.boolean() })),
});
export type Standing = z.infer<typeof standing>;
