/** Which images have to go so that the rest fits: what was not used for the longest first. Pure. */

export interface Candidate {
  readonly name: string;
  readonly bytes: number;
  readonly usedAtMs: number;
  readonly pinned: boolean;
}

/** The names of those that have to go, in that order; what is in use stays, though it may be too much. */
export function tooMany<T extends Candidate>(all: readonly T[], mostBytes: number): readonly T[] {
  let bytes = all.reduce((sum, one) => sum + one.bytes, 0);
  const going: T[] = [];
  for (const one of all.filter(({ pinned }) => !pinned).toSorted((a, b) => a.usedAtMs - b.usedAtMs)) {
    if (bytes <= mostBytes) break;
    going.push(one);
    bytes -= one.bytes;
  }
  return going;
}
