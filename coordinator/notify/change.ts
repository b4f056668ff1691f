/**
 * Is the end of a build or a deployment a change: the first failure of its branch or environment, or the first pass
 * after one? Pure. What was ruled is remembered, so that an event that comes again is ruled the same.
 */
import type { NoticeState, Standing } from "../../protocol/notice.ts";
import { isBad } from "./notices.ts";

const REMEMBERED = 32;

type At = readonly [number, number];

export interface Ruling {
  readonly change: boolean;
  /** To be kept in place of the one before; null: there is nothing new to keep. */
  readonly standing: Standing | null;
}

export function rule(known: Standing | null, [major, minor]: At, state: NoticeState): Ruling {
  const good = state === "passed";
  // What neither passed nor failed says nothing of the branch.
  if (!good && !isBad(state)) return { change: false, standing: null };
  const place: [number, number] = [major, minor];
  const before = known?.ruled.find((one) => compare(one.place, place) === 0);
  if (before !== undefined) return { change: before.change, standing: null };
  if (known !== null && compare(known.place, place) > 0) return { change: false, standing: null };
  const change = known === null ? !good : known.good !== good;
  const ruled = [...(known?.ruled ?? []), { place, change }].slice(-REMEMBERED);
  return { change, standing: { place, good, ruled } };
}

function compare(a: At, b: At): number {
  return a[0] - b[0] || a[1] - b[1];
}
