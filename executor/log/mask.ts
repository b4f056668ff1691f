/** Takes secrets out of a build's output, however the output is cut. Pure. */

/** What stands for a secret. */
const STARS = Buffer.from("***");
/** Of a secret with several lines each is one, from this many characters up: it is printed line by line as a rule. */
const LINE_LEAST = 8;

/** What of `values` has to be looked for: each, and each line of it. */
export function needlesOf(values: readonly string[]): readonly Buffer[] {
  const lines = values
    .filter((value) => value.includes("\n"))
    .flatMap((value) => value.split("\n").map((line) => line.trim()))
    .filter((line) => line.length >= LINE_LEAST);
  return [...new Set([...values, ...lines])].filter((text) => text !== "").map((text) => Buffer.from(text));
}

/**
 * A stream of bytes without the needles in it. What may be the beginning of one is held back until more is known, and
 * that is less than the longest of them.
 */
export class Mask {
  readonly #needles: readonly Buffer[];
  #held: Buffer = Buffer.alloc(0);
  /** How many bytes of what is held have stars already. */
  #masked = 0;

  constructor(needles: readonly Buffer[]) {
    this.#needles = needles;
  }

  push(chunk: Uint8Array): Uint8Array {
    if (this.#needles.length === 0) return chunk;
    const all = Buffer.concat([this.#held, chunk]);
    return this.#give(all, this.#possibleStart(all));
  }

  /** What was held back, when nothing more comes. */
  end(): Uint8Array {
    return this.#give(this.#held, this.#held.length);
  }

  /** Gives what is before `until`, and holds the rest. */
  #give(all: Buffer, until: number): Uint8Array {
    if (until === 0) {
      this.#held = all;
      return Buffer.alloc(0);
    }
    const parts: Buffer[] = [];
    let at = 0;
    let masked = 0;
    for (const [from, to] of this.#spans(all)) {
      if (from >= until) break;
      parts.push(all.subarray(at, from));
      if (from > 0 || this.#masked === 0) parts.push(STARS);
      at = Math.min(to, until);
      masked = Math.max(0, to - until);
    }
    parts.push(all.subarray(at, until));
    this.#held = all.subarray(until);
    this.#masked = masked;
    return Buffer.concat(parts);
  }

  /** Where needles are, in order; those that overlap are one. */
  #spans(all: Buffer): readonly (readonly [number, number])[] {
    const found: [number, number][] = this.#masked > 0 ? [[0, this.#masked]] : [];
    for (const needle of this.#needles) {
      for (let at = all.indexOf(needle); at >= 0; at = all.indexOf(needle, at + 1))
        found.push([at, at + needle.length]);
    }
    const spans: [number, number][] = [];
    for (const [from, to] of found.sort(([a], [b]) => a - b)) {
      const last = spans.at(-1);
      if (last !== undefined && from < last[1]) last[1] = Math.max(last[1], to);
      else spans.push([from, to]);
    }
    return spans;
  }

  /** Where at the end of `all` a needle may have begun; its length when nowhere. */
  #possibleStart(all: Buffer): number {
    return Math.min(...this.#needles.map((needle) => possibleStart(all, needle)));
  }
}

function possibleStart(all: Buffer, needle: Buffer): number {
  const [first = 0] = needle;
  for (
    let at = all.indexOf(first, Math.max(0, all.length - needle.length + 1));
    at >= 0;
    at = all.indexOf(first, at + 1)
  ) {
    if (all.subarray(at).equals(needle.subarray(0, all.length - at))) return at;
  }
  return all.length;
}
