/** Which entries of a log have something, found a slice at a time, so that the page stays quick. Pure. */

interface Searched {
  /** How many entries there are that will not change. */
  readonly closed: number;
  textAt(index: number): string;
}

/** Between two looks at the clock. */
const SLICE = 500;

export class Finder {
  /** Entries that have it, in order. */
  readonly hits: number[] = [];
  readonly #has: RegExp;
  readonly #isByRuns: boolean;
  #next = 0;
  #isInRun = false;

  /** @param isByRuns of entries that follow each other only the first counts */
  constructor(has: RegExp, isByRuns: boolean) {
    this.#has = has;
    this.#isByRuns = isByRuns;
  }

  /** Goes on from where it was, until `isLate` says so. Answers whether there may be more. */
  look(log: Searched, isLate: () => boolean): boolean {
    while (this.#next < log.closed) {
      const stop = Math.min(log.closed, this.#next + SLICE);
      for (; this.#next < stop; this.#next += 1) {
        const isHit = this.#has.test(log.textAt(this.#next));
        if (isHit && !(this.#isByRuns && this.#isInRun)) this.hits.push(this.#next);
        this.#isInRun = isHit;
      }
      if (isLate()) break;
    }
    return this.#next < log.closed;
  }

  /** Place among the hits of the first one at or after `index`, or of the last before it; around the end. */
  placeFrom(index: number, direction: 1 | -1): number | null {
    const { hits } = this;
    if (hits.length === 0) return null;
    const after = hits.findIndex((hit) => hit >= index);
    if (direction === 1) return after === -1 ? 0 : after;
    const before = hits.findLastIndex((hit) => hit <= index);
    return before === -1 ? hits.length - 1 : before;
  }
}

/** Finds `words` as they are, but for small and capital letters. */
export function wordsToFind(words: string): RegExp {
  return new RegExp(RegExp.escape(words), "iu");
}

/**
 * Lines that most likely say what went wrong. They are places to look at, so that some too many do less harm than some
 * too few; but "0 errors" is good news.
 */
export const ERROR = new RegExp(
  [
    "(?<!\\b(?:0|[Nn]o|without|ignored?) )\\b(?:",
    "[A-Z]\\w*(?:Error|Exception)|[Ee]rrors?|ERRORS?|[Ff]ail(?:ed|ures?)?|FAIL(?:ED|URES?)?|[Ff]atal|FATAL|",
    "[Pp]anic(?:ked)?|PANIC|Traceback|[Ss]egmentation fault|[Kk]illed|[Cc]annot|not found|[Dd]enied|[Uu]ncaught",
    ")\\b(?!\\s*[:=]\\s*0\\b)",
  ].join(""),
);

/** The text cut where `found` is in it: `[before, found, between, found, after]`. */
export function cutAtFinds(
  text: string,
  found: RegExp,
): readonly { readonly text: string; readonly isFind: boolean }[] {
  const every = new RegExp(found.source, `${found.flags.replace("g", "")}g`);
  const pieces: { text: string; isFind: boolean }[] = [];
  let at = 0;
  for (const match of text.matchAll(every)) {
    if (match[0] === "") break;
    pieces.push({ text: text.slice(at, match.index), isFind: false }, { text: match[0], isFind: true });
    at = match.index + match[0].length;
  }
  pieces.push({ text: text.slice(at), isFind: false });
  return pieces.filter((piece) => piece.text !== "");
}
