import { stripVTControlCharacters } from "node:util";

const CLEAR_LINE = "\r\u001b[2K";

/** How far something is: one line that is written over on a terminal, else a line for each change. */
export class Progress implements Disposable {
  readonly #to: NodeJS.WriteStream;
  #shown = "";

  constructor(to: NodeJS.WriteStream) {
    this.#to = to;
  }

  show(line: string): void {
    if (line === this.#shown) return;
    this.#shown = line;
    this.#to.write(this.#to.isTTY ? `${CLEAR_LINE}${cut(line, this.#to.columns)}` : `${line}\n`);
  }

  /** Nothing of it stays on a terminal. */
  [Symbol.dispose](): void {
    if (this.#to.isTTY && this.#shown !== "") this.#to.write(CLEAR_LINE);
    this.#shown = "";
  }
}

/** To less than the terminal is wide, where the line could not be wiped away. */
function cut(line: string, columns: number): string {
  const characters = Array.from(stripVTControlCharacters(line));
  const room = Math.max(1, (columns || 80) - 1);
  return characters.length <= room ? line : `${characters.slice(0, room - 1).join("")}…`;
}
