/** Dead letters as people see them, kept in memory without what is in them: their stream holds some thousands. */
import { DeliverPolicy } from "@nats-io/jetstream";
import { z } from "zod";
import { follow } from "../../kit/follow.ts";
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import { decode } from "../../protocol/codec.ts";
import { formatStage } from "../../protocol/ids.ts";
import { type LetterState, type LetterSummary, letterEvent } from "../../protocol/letter.ts";
import { LETTER } from "../../protocol/streams.ts";
import { type Letter, letterActor, maybeLetter } from "../actors/letter.ts";
import { messageOf } from "../letters/content.ts";

export interface Letters {
  /** Up to `limit` of those that are `wanted`, newest first, after the one that `before` names. */
  page(wanted: (letter: LetterSummary) => boolean, before: string | null, limit: number): LetterPage;
  /** How many are in each state. */
  counts(): Readonly<Record<LetterState, number>>;
  /** Last sequence of TOROID_LETTER that listeners have heard of. */
  seq(): number;
  /** Those to which something happened after a sequence. */
  changedSince(seq: number): readonly LetterSummary[];
  /** Hears of every change from now on. */
  onChange(listener: (letter: LetterSummary) => void): void;
}

export interface LetterPage {
  readonly letters: readonly LetterSummary[];
  readonly next: string | null;
}

const message = z.looseObject({ event: letterEvent, state: maybeLetter });

/** Follows TOROID_LETTER until `stop`. Resolves when every letter that is there has been read. */
export async function followLetters(jet: Jet, stop: AbortSignal, log: Logger): Promise<Letters> {
  const known = new Map<string, { readonly summary: LetterSummary; readonly seq: number }>();
  let heard = 0;
  const listeners: ((letter: LetterSummary) => void)[] = [];
  await follow(jet, LETTER.name, DeliverPolicy.LastPerSubject, stop, log, (_subject, data, seq) => {
    const { event, state } = decode(message, data);
    const letter = letterActor.apply(state, event, seq);
    if (letter === null) return;
    const summary = summaryOf(letter);
    known.set(letter.id, { summary, seq });
    heard = seq;
    // The store keeps as many, and drops the oldest.
    for (const [oldest] of known) {
      if (known.size <= LETTER.maxMessages) break;
      known.delete(oldest);
    }
    for (const listener of listeners) listener(summary);
  });
  return {
    page(wanted, before, limit) {
      const since = Date.now() - LETTER.maxAgeMs;
      const found = [...known.values()]
        .map(({ summary }) => summary)
        .filter((one) => lastMs(one) > since && wanted(one))
        .sort(byNewest)
        .filter((one) => before === null || placeOf(one) < before);
      const letters = found.slice(0, limit);
      const last = letters.at(-1);
      return { letters, next: last === undefined || found.length <= limit ? null : placeOf(last) };
    },
    counts() {
      const counts = { open: 0, replaying: 0, replayed: 0, discarded: 0 };
      for (const { summary } of known.values()) counts[summary.state] += 1;
      return counts;
    },
    seq: () => heard,
    changedSince: (seq) => [...known.values()].filter((one) => one.seq > seq).map(({ summary }) => summary),
    onChange: (listener) => void listeners.push(listener),
  };
}

/** By which a page begins: sorts as text does, since all times have as many digits. */
function placeOf({ atMs, id }: LetterSummary): string {
  return `${atMs}-${id}`;
}

function byNewest(a: LetterSummary, b: LetterSummary): number {
  return placeOf(a) < placeOf(b) ? 1 : -1;
}

function lastMs({ history, atMs }: LetterSummary): number {
  return history.at(-1)?.atMs ?? atMs;
}

/** A letter, for people: with the beginning of what is in it. */
export function summaryOf({ id, state, atMs, why, content, became, history }: Letter): LetterSummary {
  const common = { id, state, atMs, why, history: [...history], attributes: {} };
  if (content.kind === "push") {
    const { kind, preview: body, bytes, whole } = content;
    return { ...common, kind, body, bytes, whole, build: became?.build ?? null, stage: null };
  }
  const { kind, repository, number, stage } = content;
  const body = formatStage(content);
  return { ...common, kind, body, bytes: body.length, whole: true, build: { repository, number }, stage };
}

/** The same with all that is in it. */
export function wholeOf(letter: Letter): LetterSummary {
  const summary = summaryOf(letter);
  if (letter.content.kind !== "push") return summary;
  const { body, attributes } = messageOf(letter.content);
  return { ...summary, body: Buffer.from(body).toString("utf8"), attributes: { ...attributes } };
}
