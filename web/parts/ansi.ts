/**
 * One line as a terminal would leave it: colours, and what a carriage return, a backspace or a sequence that moves
 * within the line wrote over. All else that a terminal would do is dropped. A style goes on over the end of a line, so
 * each line starts with what the one before left. Pure.
 */
import { applyCodes, PLAIN, type Style } from "./ansi-style.ts";

export interface Span {
  readonly text: string;
  readonly style: Style;
}

/** As far as a sequence may move: beyond it nothing is shown in one piece anyway. */
const COLUMNS = 2_000;

const ESC = String.fromCharCode(0x1b);
const BEL = String.fromCharCode(0x07);
const SEQUENCE = new RegExp(
  [
    `${ESC}\\[([0-9;:?<=>]*)[ -/]*([@-~]?)`, // CSI
    `${ESC}[\\]PX^_][^${BEL}${ESC}]*(?:${BEL}|${ESC}\\\\)?`, // OSC and its kin, up to their end or what cuts them off
    `${ESC}[ -/]*[0-~]?`, // other short ones
    "(?!\\t)\\p{Cc}", // lone control characters
  ].join("|"),
  "gu",
);
const CONTROL = /(?!\t)\p{Cc}/u;
/** What writes anywhere but at the end of the line. */
const MOVES = new RegExp(`[\\r\\b]|${ESC}\\[[0-9;]*[CDG]|${ESC}\\[[12]K`);

/** What a line shows, and the style that the next one starts with. */
export function parseAnsi(line: string, start: Style): { readonly spans: readonly Span[]; readonly end: Style } {
  return MOVES.test(line) ? parseCells(line, start) : parseEnd(line, start);
}

/** What a line shows, without its colours. */
export function textOf(line: string): string {
  if (!CONTROL.test(line)) return line;
  if (!MOVES.test(line)) return line.replace(SEQUENCE, "");
  return parseCells(line, PLAIN)
    .spans.map(({ text }) => text)
    .join("");
}

/** The style that the line after this one starts with. */
export function styleAfter(line: string, start: Style): Style {
  const last = line.lastIndexOf(`${ESC}[`);
  if (last === -1) return start;
  // Most lines end what they began.
  if (line.startsWith("0m", last + 2) || line[last + 2] === "m") return PLAIN;
  let style = start;
  for (const [, codes = "", final] of line.matchAll(SEQUENCE)) if (final === "m") style = applyCodes(style, codes);
  return style;
}

/** A line that only grows at its end. */
function parseEnd(line: string, start: Style): { readonly spans: readonly Span[]; readonly end: Style } {
  const spans: Span[] = [];
  let style = start;
  let at = 0;
  const push = (text: string): void => {
    if (text !== "") spans.push({ text, style });
  };
  for (const match of line.matchAll(SEQUENCE)) {
    push(line.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === "m") style = applyCodes(style, match[1] ?? "");
  }
  push(line.slice(at));
  return { spans, end: style };
}

/** A line that is written over. */
function parseCells(line: string, start: Style): { readonly spans: readonly Span[]; readonly end: Style } {
  const cells: { text: string; style: Style }[] = [];
  let style = start;
  let column = 0;
  let at = 0;
  const write = (text: string): void => {
    for (const character of text) {
      while (cells.length < column) cells.push({ text: " ", style: PLAIN });
      cells[column] = { text: character, style };
      column += 1;
    }
  };
  for (const match of line.matchAll(SEQUENCE)) {
    write(line.slice(at, match.index));
    at = match.index + match[0].length;
    const [whole, codes = "", final] = match;
    if (whole === "\r") column = 0;
    else if (whole === "\b") column = Math.max(0, column - 1);
    else if (final === "m") style = applyCodes(style, codes);
    else if (final === "K") erase(cells, column, codes);
    else if (final !== undefined) column = moved(column, final, codes);
  }
  write(line.slice(at));
  return { spans: joined(cells), end: style };
}

function erase(cells: { text: string; style: Style }[], column: number, codes: string): void {
  if (codes === "" || codes === "0") cells.length = Math.min(cells.length, column);
  else if (codes === "1") {
    const until = Math.min(cells.length, column + 1);
    for (let at = 0; at < until; at += 1) cells[at] = { text: " ", style: PLAIN };
  } else if (codes === "2") cells.length = 0;
}

function moved(column: number, final: string, codes: string): number {
  const given = Number(codes.split(";")[0]);
  const by = Number.isInteger(given) && given > 0 ? given : 1;
  if (final === "C") return Math.min(COLUMNS, column + by);
  if (final === "D") return Math.max(0, column - by);
  return final === "G" ? Math.min(COLUMNS, by - 1) : column;
}

function joined(cells: readonly Span[]): readonly Span[] {
  const spans: { text: string; style: Style }[] = [];
  for (const { text, style } of cells) {
    const last = spans.at(-1);
    if (last?.style === style) last.text += text;
    else spans.push({ text, style });
  }
  return spans;
}
