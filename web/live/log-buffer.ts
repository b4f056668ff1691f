import { PLAIN, parseAnsi, type Style } from "../parts/ansi.ts";

export type Row =
  | { readonly kind: "text"; readonly number: number; readonly text: string; readonly start: Style }
  | { readonly kind: "phase"; readonly phase: string; readonly atMs: number }
  | { readonly kind: "note"; readonly text: string };

/** A longer line is shown as several rows. */
const ROW_CHARACTERS = 2_000;

/**
 * A log as rows of a page. Bytes may come cut anywhere and come twice (after a reconnection); what is missing is said.
 * `rows` is the same list all the time, since it may be long.
 */
export class LogBuffer {
  readonly rows: Row[] = [];
  #end = 0;
  #open = "";
  /** The last row shows `#open`, a line that has not ended. */
  #shown = false;
  #number = 0;
  #style: Style = PLAIN;
  #decoder = new TextDecoder();

  /** How many bytes came, where to go on after a break. */
  get end(): number {
    return this.#end;
  }

  addBytes(offset: number, bytes: Uint8Array): void {
    if (offset > this.#end) this.#note(`${offset - this.#end} bytes are missing here`);
    else if (offset + bytes.length <= this.#end) return;
    const fresh = offset < this.#end ? bytes.subarray(this.#end - offset) : bytes;
    this.#end = Math.max(this.#end, offset + bytes.length);
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
    const last = this.rows.findLast((row) => row.kind === "phase");
    if (offset < this.#end || (last?.phase === phase && last.atMs === atMs)) return;
    this.#closeLine();
    this.rows.push({ kind: "phase", phase, atMs });
  }

  addEnd(droppedBytes: number): void {
    this.#closeLine();
    if (droppedBytes > 0) this.#note(`${droppedBytes} bytes over the limit were dropped`);
  }

  #note(text: string): void {
    this.#closeLine();
    this.#decoder = new TextDecoder();
    this.rows.push({ kind: "note", text });
  }

  #addText(text: string): void {
    const lines = text.split("\n");
    const rest = lines.pop() ?? "";
    for (const line of lines) {
      this.#grow(line);
      this.#finishLine();
    }
    this.#grow(rest);
    if (this.#open !== "") this.#show();
  }

  #grow(text: string): void {
    this.#open += text;
    while (this.#open.length > ROW_CHARACTERS) {
      const rest = this.#open.slice(ROW_CHARACTERS);
      this.#open = this.#open.slice(0, ROW_CHARACTERS);
      this.#finishLine();
      this.#open = rest;
    }
  }

  #closeLine(): void {
    if (this.#open !== "") this.#finishLine();
  }

  #finishLine(): void {
    this.#open = this.#open.replace(/\r$/, "");
    this.#show();
    if (this.#open.includes("\u001b")) this.#style = parseAnsi(this.#open, this.#style).end;
    this.#open = "";
    this.#shown = false;
  }

  #show(): void {
    if (!this.#shown) this.#number += 1;
    const row: Row = { kind: "text", number: this.#number, text: this.#open, start: this.#style };
    if (this.#shown) this.rows[this.rows.length - 1] = row;
    else this.rows.push(row);
    this.#shown = true;
  }
}
