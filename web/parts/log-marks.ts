/** Lines of a log that an address names: `#L12` and `#L12-L40`. Pure. */

export interface Marks {
  readonly from: number;
  readonly to: number;
}

/** null for what names none. */
export function readMarks(hash: string): Marks | null {
  const [, first = "", second = first] = /^#L([1-9][0-9]{0,8})(?:-L?([1-9][0-9]{0,8}))?$/.exec(hash) ?? [];
  if (first === "") return null;
  const [a, b] = [Number(first), Number(second)];
  return { from: Math.min(a, b), to: Math.max(a, b) };
}

export function marksText({ from, to }: Marks): string {
  return from === to ? `#L${from}` : `#L${from}-L${to}`;
}

/** After a click on line `number`; with the shift key, all from the marked ones to it. */
export function withMark(marks: Marks | null, number: number, isMore: boolean): Marks {
  if (!isMore || marks === null) return { from: number, to: number };
  return number < marks.from ? { from: number, to: marks.to } : { from: marks.from, to: number };
}
