import { styleAfter, textOf } from "../parts/ansi.ts";
import { PLAIN, type Style } from "../parts/ansi-style.ts";

/** A line of the log, a part of a long one, or a word of ours in between. */
export type Entry =
  | {
      readonly kind: "text";
      readonly number: number;
      /** Not the first part of its line. */
      readonly isRest: boolean;
      readonly text: string;
      readonly start: Style;
      /** When its first byte was stored; null: not known. */
      readonly atMs: number | null;
    }
  | { readonly kind: "note"; readonly text: string };

/** What one phase printed: entries from `from` up to the next section's. */
export interface Section {
  /** null: what came before the first phase. */
  readonly phase: string | null;
  readonly atMs: number | null;
  readonly from: number;
}

/** A longer line is kept in several parts. */
const PART_CHARACTERS = 2_000;
/** Of a line that is written over and over, as a progress bar is, no more than this is kept until it ends. */
const OVERWRITTEN_CHARACTERS = 16_000;
/** More than these are in the plain text only: a browser draws no taller page, and has other things to remember. */
const MOST_ENTRIES = 1_000_000;

/**
 * A log as a page keeps it. Bytes may come cut anywhere and come twice (after a reconnection); what is missing is said.
 * There may be a million entries, so each field of them is a list of its own, and entries are made when looked at.
 */
export class LogBuffer {
  readonly sections: Section[] = [];
  readonly #texts: string[] = [];
  /** Of the line that it begins; negative for a further part of that line, 0 for a note. */
  readonly #numbers: number[] = [];
  readonly #starts: Style[] = [];
  readonly #times: number[] = [];
  #end = 0;
  #endAtMs: number | null = null;
  #open = "";
  /** The last entry shows `#open`, a line that has not ended. */
  #shown = false;
  /** What is open is a further part of its line. */
  #isRest = false;
  #number = 0;
  #style: Style = PLAIN;
  #atMs = Number.NaN;
  #decoder = new TextDecoder();
  readonly #mostEntries: number;

  constructor(mostEntries: number = MOST_ENTRIES) {
    this.#mostEntries = mostEntries;
  }

  /** How many bytes came, where to go on after a break. */
  get end(): number {
    return this.#end;
  }

  /** When the last byte was stored, once there will be no more. */
  get endAtMs(): number | null {
    return this.#endAtMs;
  }

  get length(): number {
    return this.#texts.length;
  }

  /** How many entries there are that will not change. */
  get closed(): number {
    return this.#shown ? this.length - 1 : this.length;
  }

  get lines(): number {
    return this.#number;
  }

  /** When the first phase began, or the first byte was stored. */
  get beganAtMs(): number | null {
    const first = this.sections[0]?.atMs ?? this.#times[0];
    return first === undefined || Number.isNaN(first) ? null : first;
  }

  at(index: number): Entry {
    const [text = "", number = 0] = [this.#texts[index], this.#numbers[index]];
    if (number === 0) return { kind: "note", text };
    const atMs = this.#times[index] ?? Number.NaN;
    return {
      kind: "text",
      number: Math.abs(number),
      isRest: number < 0,
      text,
      start: this.#starts[index] ?? PLAIN,
      atMs: Number.isNaN(atMs) ? null : atMs,
    };
  }

  /** As it is shown, without colours. */
  textAt(index: number): string {
    return textOf(this.#texts[index] ?? "");
  }

  /** The entry where line `number` begins; null when it is not there (yet). */
  indexOf(number: number): number | null {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#lineBy(middle) < number) low = middle + 1;
      else high = middle;
    }
    return low < this.length && this.#numbers[low] === number ? low : null;
  }

  /** @param atMs when they were stored; left out by coordinators of before */
  addBytes(offset: number, bytes: Uint8Array, atMs: number = Number.NaN): void {
    if (offset > this.#end) this.#note(`${offset - this.#end} bytes are missing here`);
    else if (offset + bytes.length <= this.#end) return;
    const fresh = offset < this.#end ? bytes.subarray(this.#end - offset) : bytes;
    this.#end = Math.max(this.#end, offset + bytes.length);
    this.#atMs = atMs;
    this.#addText(this.#decoder.decode(fresh, { stream: true }));
  }

  /** `sinceMs` null: before its time, for want of room. */
  addRemoved(offset: number, bytes: number, sinceMs: number | null): void {
    if (offset + bytes <= this.#end) return;
    const why = sinceMs === null ? "to make room for newer ones" : `since ${new Date(sinceMs).toLocaleString()}`;
    this.#note(`${bytes} bytes are not kept any more, ${why}`);
    this.#end = offset + bytes;
  }

  addPhase(offset: number, phase: string, atMs: number): void {
    const isKnown = this.sections.some((one) => one.phase === phase && one.atMs === atMs);
    if (offset < this.#end || isKnown) return;
    this.#closeLine();
    this.sections.push({ phase, atMs, from: this.length });
  }

  addEnd(droppedBytes: number, atMs: number | null = null): void {
    this.#closeLine();
    this.#endAtMs = atMs;
    if (droppedBytes > 0) this.#note(`${droppedBytes} bytes over the limit were dropped`);
  }

  /** The number of the line that the entry is of or comes after. */
  #lineBy(index: number): number {
    for (let i = index; i >= 0; i -= 1) {
      const number = this.#numbers[i] ?? 0;
      if (number !== 0) return number < 0 ? -number + 0.5 : number;
    }
    return 0;
  }

  #note(text: string): void {
    this.#closeLine();
    this.#decoder = new TextDecoder();
    this.#push(text, 0);
  }

  #addText(text: string): void {
    const lines = text.split("\n");
    const rest = lines.pop() ?? "";
    for (const line of lines) {
      this.#grow(line);
      this.#endLine();
    }
    this.#grow(rest);
    if (this.#open !== "") this.#show();
  }

  #grow(text: string): void {
    this.#open += text;
    while (this.#open.length > PART_CHARACTERS) {
      const back = this.#open.lastIndexOf("\r", this.#open.length - 2);
      if (back !== -1) {
        if (this.#open.length <= OVERWRITTEN_CHARACTERS) return;
        this.#style = styleAfter(this.#open.slice(0, back), this.#style);
        this.#open = this.#open.slice(back + 1);
        continue;
      }
      const at = cutAt(this.#open);
      const rest = this.#open.slice(at);
      this.#open = this.#open.slice(0, at);
      this.#finish();
      this.#isRest = true;
      this.#open = rest;
    }
  }

  #closeLine(): void {
    if (this.#open !== "" || this.#isRest) this.#endLine();
  }

  #endLine(): void {
    // The rest of a long line may be empty; then all of it is shown already.
    if (this.#open.endsWith("\r")) this.#open = this.#open.slice(0, -1);
    if (this.#open !== "" || !this.#isRest) this.#finish();
    this.#isRest = false;
  }

  #finish(): void {
    this.#show();
    this.#style = styleAfter(this.#open, this.#style);
    this.#open = "";
    this.#shown = false;
  }

  #show(): void {
    if (this.#shown) {
      this.#texts[this.length - 1] = this.#open;
      this.#starts[this.length - 1] = this.#style;
      return;
    }
    if (!this.#isRest) this.#number += 1;
    this.#shown = this.#push(this.#open, this.#isRest ? -this.#number : this.#number);
  }

  #push(text: string, number: number): boolean {
    if (this.length > this.#mostEntries) return false;
    const isFull = this.length === this.#mostEntries;
    if (this.sections.length === 0) this.sections.push({ phase: null, atMs: null, from: 0 });
    this.#texts.push(isFull ? "a page shows no more lines than these: the rest is in the plain text" : text);
    this.#numbers.push(isFull ? 0 : number);
    this.#starts.push(this.#style);
    this.#times.push(this.#atMs);
    return !isFull;
  }
}

/** Not in the middle of a character or of a short sequence. */
function cutAt(text: string): number {
  const escape = text.lastIndexOf("\u001b", PART_CHARACTERS - 1);
  if (escape > PART_CHARACTERS - 40 && textOf(text.slice(escape, PART_CHARACTERS)) === "") return escape;
  const code = text.charCodeAt(PART_CHARACTERS - 1);
  return code >= 0xd800 && code <= 0xdbff ? PART_CHARACTERS - 1 : PART_CHARACTERS;
}
