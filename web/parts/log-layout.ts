/**
 * Where everything of a log is on the page, in rows of one height from the top. A phase has a row for its heading, and,
 * unless it is folded, the rows of its entries. Pure.
 */
import type { Section } from "../live/log-buffer.ts";

/** How many rows all entries before `index` take. */
export interface Heights {
  before(index: number): number;
}

/** Long lines go on to the right. */
export const ONE_ROW_EACH: Heights = { before: (index) => index };

export type Placed =
  | { readonly kind: "heading"; readonly section: number; readonly row: number }
  | { readonly kind: "entry"; readonly index: number; readonly row: number; readonly rows: number };

interface Block {
  readonly section: number;
  /** The row of the heading, or, without one, of the first entry. */
  readonly row: number;
  readonly hasHeading: boolean;
  readonly from: number;
  /** One past its last entry; `from` when folded. */
  readonly to: number;
  readonly rows: number;
}

export class LogLayout {
  readonly rows: number;
  readonly #blocks: readonly Block[];
  readonly #heights: Heights;
  readonly #ends: readonly number[];

  /** @param length how many entries there are */
  constructor(sections: readonly Section[], length: number, folded: ReadonlySet<number>, heights: Heights) {
    let row = 0;
    this.#heights = heights;
    this.#ends = sections.map((_, i) => sections[i + 1]?.from ?? length);
    this.#blocks = sections.map(({ phase, from }, section) => {
      const hasHeading = phase !== null;
      const to = folded.has(section) ? from : (this.#ends[section] ?? from);
      const rows = (hasHeading ? 1 : 0) + heights.before(to) - heights.before(from);
      const block = { section, row, hasHeading, from, to, rows };
      row += rows;
      return block;
    });
    this.rows = row;
  }

  /** What lies between two rows, the first whole even when it begins earlier. */
  between(top: number, bottom: number): readonly Placed[] {
    const placed: Placed[] = [];
    for (const block of this.#blocks) {
      if (block.row + block.rows <= top || block.row >= bottom) continue;
      const { section, row, hasHeading, from, to } = block;
      if (hasHeading && row >= top) placed.push({ kind: "heading", section, row });
      const first = row + (hasHeading ? 1 : 0);
      const origin = first - this.#heights.before(from);
      for (let index = this.#entryAt(block, top); index < to; index += 1) {
        const at = origin + this.#heights.before(index);
        if (at >= bottom) break;
        placed.push({ kind: "entry", index, row: at, rows: origin + this.#heights.before(index + 1) - at });
      }
    }
    return placed;
  }

  /** Where the entry is; of one that is folded away, its heading. */
  rowOf(index: number): number {
    const section = this.sectionOf(index);
    const block = this.#blocks[section];
    if (block === undefined) return 0;
    if (index >= block.to) return block.row;
    return block.row + (block.hasHeading ? 1 : 0) + this.#heights.before(index) - this.#heights.before(block.from);
  }

  /** Whose entry it is, or will be. */
  sectionOf(index: number): number {
    const section = this.#ends.findIndex((end) => index < end);
    return section === -1 ? Math.max(0, this.#ends.length - 1) : section;
  }

  /** The section that goes on above `row`, when its heading is out of sight. */
  above(row: number): number | null {
    const block = this.#blocks.find((one) => one.row < row && one.row + one.rows > row);
    return block?.hasHeading === true ? block.section : null;
  }

  /** How many entries the section has. */
  sizeOf(section: number): number {
    return (this.#ends[section] ?? 0) - (this.#blocks[section]?.from ?? 0);
  }

  #entryAt({ row, hasHeading, from, to }: Block, top: number): number {
    const wanted = top - row - (hasHeading ? 1 : 0) + this.#heights.before(from);
    let [low, high] = [from, to];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#heights.before(middle + 1) <= wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Long lines go on below: an entry takes as many rows as its text fills. What is closed is measured once. */
export class WrappedHeights implements Heights {
  readonly columns: number;
  readonly #log: { readonly closed: number; textAt(index: number): string };
  /** At `i`, the rows of all entries up to and including `i`. */
  readonly #sums: number[] = [];

  constructor(columns: number, log: { readonly closed: number; textAt(index: number): string }) {
    this.columns = Math.max(1, columns);
    this.#log = log;
  }

  before(index: number): number {
    if (index <= 0) return 0;
    const { closed } = this.#log;
    while (this.#sums.length < Math.min(index, closed)) {
      this.#sums.push((this.#sums.at(-1) ?? 0) + this.#rowsOf(this.#sums.length));
    }
    if (index <= this.#sums.length) return this.#sums[index - 1] ?? 0;
    return (this.#sums.at(-1) ?? 0) + this.#rowsOf(closed);
  }

  #rowsOf(index: number): number {
    return Math.max(1, Math.ceil(columnsOf(this.#log.textAt(index)) / this.columns));
  }
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/gu;
/** One character of two units. */
const PAIR = /[\ud800-\udbff][\udc00-\udfff]/g;
const UNUSUAL = /[^\u0020-\u024f]/;
const TAB = 8;

/** How many columns a text takes in a fixed-width font. */
export function columnsOf(text: string): number {
  if (!UNUSUAL.test(text)) return text.length;
  let columns = 0;
  for (const part of text.split("\t").slice(0, -1)) columns = (Math.floor((columns + widthOf(part)) / TAB) + 1) * TAB;
  return columns + widthOf(text.slice(text.lastIndexOf("\t") + 1));
}

function widthOf(text: string): number {
  return text.length - (text.match(PAIR)?.length ?? 0) + (text.match(WIDE)?.length ?? 0);
}
