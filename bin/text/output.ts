import { stripVTControlCharacters, styleText } from "node:util";
import { printable } from "../../protocol/pipeline/text-rules.ts";

/** FORCE_COLOR and NO_COLOR as everybody understands them, and as Node does: the first wins. */
export function hasColours(
  stream: NodeJS.WriteStream,
  { FORCE_COLOR, NO_COLOR }: Readonly<Record<string, string | undefined>>,
): boolean {
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== "") return !["0", "false"].includes(FORCE_COLOR);
  if (NO_COLOR !== undefined && NO_COLOR !== "") return false;
  return stream.isTTY && stream.hasColors();
}

/** Resolves when the stream has room again. */
export function write(to: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
  if (to.write(data)) return Promise.resolve();
  return new Promise((resolve) => {
    to.once("drain", resolve);
  });
}

/** Text of several lines may be printed; everything else of it that a terminal would act on may not. */
export function asLines(text: string): readonly string[] {
  return text.split(/\r?\n/);
}

/** Columns as wide as they need to be, two spaces apart; the last is left as it is. Ends with a newline. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, lengthOf(cell));
  }
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell + " ".repeat((widths[i] ?? 0) - lengthOf(cell))))
      .join("  ")
      .trimEnd(),
  );
  return lines.map((line) => `${line}\n`).join("");
}

/** The first line, printable, at most `max` characters. */
export function oneLine(text: string, max = 60): string {
  const characters = Array.from(printable(asLines(text)[0] ?? ""));
  return characters.length <= max ? characters.join("") : `${characters.slice(0, max - 1).join("")}…`;
}

const STYLES: Readonly<Record<string, Parameters<typeof styleText>[0]>> = {
  passed: "green",
  failed: "red",
  errored: "red",
  timedOut: "red",
  unknown: "red",
  running: "yellow",
  paused: "magenta",
  held: "magenta",
};

/** A state in its colour, if there are any. */
export function coloured(word: string, colours: boolean): string {
  const style = STYLES[word];
  return !colours || style === undefined ? word : styleText(style, word, { validateStream: false });
}

function lengthOf(cell: string): number {
  return Array.from(stripVTControlCharacters(cell)).length;
}
