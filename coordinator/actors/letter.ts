/**
 * A dead letter waits for a person, who has it replayed or discards it. It is replayed once, however often that is asked
 * for; one that is refused again waits again.
 */
import { z } from "zod";
import { assertNever } from "../../protocol/errors.ts";
import {
  type Became,
  became,
  type LetterContent,
  type LetterDeed,
  type LetterEvent,
  letterContent,
  letterDeed,
  letterEvent,
  letterState,
} from "../../protocol/letter.ts";
import { LETTER } from "../../protocol/streams.ts";
import { letterSubject } from "../../protocol/subjects.ts";
import { type Actor, append, type Decision, type EventHead, nothing, refuse } from "./actor.ts";

/** Of what happened to it, the newest are remembered. */
const HISTORY = 50;

const letter = z.looseObject({
  id: z.string(),
  state: letterState,
  atMs: z.number(),
  why: z.string(),
  content: letterContent,
  /** How often a replay was asked for, so that each has a name. */
  replays: z.number().int().nonnegative(),
  became: became.nullable(),
  history: z.array(letterDeed).readonly(),
});
export type Letter = z.infer<typeof letter>;
export const maybeLetter = letter.nullable();

export type LetterCommand =
  | { readonly kind: "bury"; readonly letter: string; readonly why: string; readonly content: LetterContent }
  | { readonly kind: "replay"; readonly by: string; readonly why: string }
  | { readonly kind: "discard"; readonly by: string; readonly why: string }
  /** What the replay came to that is under way. */
  | { readonly kind: "settle"; readonly outcome: ReplayOutcome };

export type ReplayOutcome =
  | { readonly kind: "replayed"; readonly became: Became }
  | { readonly kind: "refused"; readonly why: string };

export const letterActor: Actor<string, Letter | null, LetterEvent, LetterCommand> = {
  noun: "dead letter",
  stream: LETTER.name,
  schema: letterEvent,
  initial: null,
  snapshot: maybeLetter,
  subjectOf: letterSubject,
  makes: ({ kind }) => kind === "bury",

  apply(state, event) {
    if (event.type === "buried") {
      const { letter: id, atMs, why, content } = event;
      const history = [{ atMs, what: "refused", by: null, why } as const];
      return { id, state: "open", atMs, why, content, replays: 0, became: null, history };
    }
    if (state === null) return null;
    const { atMs } = event;
    switch (event.type) {
      case "replayAsked": {
        const { by, why } = event;
        const asked = having(state, { atMs, what: "replay", by, why });
        return { ...asked, state: "replaying", replays: state.replays + 1 };
      }
      case "replayed": {
        const why = event.became.what;
        return { ...having(state, { atMs, what: "replayed", by: null, why }), state: "replayed", became: event.became };
      }
      case "refusedAgain": {
        const { why } = event;
        return { ...having(state, { atMs, what: "refused", by: null, why }), state: "open", why };
      }
      case "discarded": {
        const { by, why } = event;
        return { ...having(state, { atMs, what: "discarded", by, why }), state: "discarded" };
      }
      default:
        return assertNever(event, "letter event");
    }
  },

  decide(state, command, head) {
    if (command.kind === "bury") {
      const { letter: id, why, content } = command;
      return state === null ? append({ type: "buried", ...head, letter: id, why, content }) : nothing();
    }
    if (state === null)
      return refuse("TOR_NOT_FOUND", "there is no such dead letter: it may have been too old to keep");
    switch (command.kind) {
      case "replay":
        return replay(state, command, head);
      case "discard":
        return discard(state, command, head);
      case "settle": {
        if (state.state !== "replaying") return nothing();
        const { outcome } = command;
        if (outcome.kind === "refused") return append({ type: "refusedAgain", ...head, why: outcome.why });
        return append({ type: "replayed", ...head, became: outcome.became });
      }
      default:
        return assertNever(command, "letter command");
    }
  },
};

function replay(
  { state, content, history }: Letter,
  { by, why }: { readonly by: string; readonly why: string },
  head: EventHead,
): Decision<LetterEvent> {
  if (state === "replaying" || state === "replayed") return nothing();
  if (state === "discarded") return refuse("TOR_REFUSED", `it was discarded${byWhom(history)}`);
  if (content.kind === "push" && !content.whole) {
    const where = "send the message again from where it came, or from the dead-letter queue";
    return refuse(
      "TOR_REFUSED",
      `its ${content.bytes} bytes were too many to keep, so that its end is missing: ${where}`,
    );
  }
  return append({ type: "replayAsked", ...head, by, why });
}

function discard(
  { state }: Letter,
  { by, why }: { readonly by: string; readonly why: string },
  head: EventHead,
): Decision<LetterEvent> {
  if (why.trim() === "") return refuse("TOR_INVALID_INPUT", "to discard a dead letter needs a reason, which is kept");
  if (state === "discarded") return nothing();
  if (state === "replayed") return refuse("TOR_REFUSED", "it was replayed, and is dead no more");
  if (state === "replaying") return refuse("TOR_CONFLICT", "it is being replayed: ask again when that has ended");
  return append({ type: "discarded", ...head, by, why });
}

function byWhom(history: readonly LetterDeed[]): string {
  const last = history.at(-1);
  return last?.by === null || last === undefined ? "" : ` by ${last.by}: ${last.why}`;
}

function having(state: Letter, deed: LetterDeed): Letter {
  return { ...state, history: [...state.history, deed].slice(-HISTORY) };
}
