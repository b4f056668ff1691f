/** How far somebody has heard, as the id of an event; the same for all coordinators of a store. Pure. */

export interface Position {
  /** Of this store: another one counts anew. */
  readonly store: string;
  /** Last sequence of TOROID_BUILD, of TOROID_LANE and of TOROID_LETTER. */
  readonly builds: number;
  readonly lanes: number;
  readonly letters: number;
}

export function positionText({ store, builds, lanes, letters }: Position): string {
  return `${store}-${builds}-${lanes}-${letters}`;
}

/** Null when it is none of ours. */
export function positionFrom(text: string): Position | null {
  const [, store, builds, lanes, letters] = /^([0-9a-z]{1,20})-(\d{1,15})-(\d{1,15})-(\d{1,15})$/.exec(text) ?? [];
  if (store === undefined) return null;
  return { store, builds: Number(builds), lanes: Number(lanes), letters: Number(letters) };
}
