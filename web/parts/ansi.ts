/**
 * The colours of a terminal: only what sets a style is acted on, everything else that a terminal would do is dropped.
 * A style goes on over the end of a line, so each line starts with what the one before left.
 */
export interface Style {
  /** 0 to 15, or null: the page's own. */
  readonly front: number | null;
  readonly back: number | null;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
}

export const PLAIN: Style = { front: null, back: null, bold: false, dim: false, italic: false, underline: false };

export interface Span {
  readonly text: string;
  readonly style: Style;
}

const ESC = String.fromCharCode(0x1b);
const BEL = String.fromCharCode(0x07);
/** CSI; OSC and its kin up to their end, or the line's; other two-character sequences; lone control characters. */
const SEQUENCE = new RegExp(
  `${ESC}\\[([0-9;:?<=>]*)[ -/]*([@-~])|${ESC}[\\]PX^_].*?(?:${BEL}|${ESC}\\\\|$)|${ESC}[ -/]*[0-~]?|(?!\\t)\\p{Cc}`,
  "gu",
);

/** Takes one line apart. What a carriage return overwrote is not shown. */
export function parseAnsi(line: string, start: Style): { readonly spans: readonly Span[]; readonly end: Style } {
  const spans: Span[] = [];
  let style = start;
  let at = 0;
  const push = (text: string): void => {
    if (text !== "") spans.push({ text, style });
  };
  for (const match of line.matchAll(SEQUENCE)) {
    push(line.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[0] === "\r" && at < line.length) spans.length = 0;
    if (match[2] === "m") style = applyCodes(style, match[1] ?? "");
  }
  push(line.slice(at));
  return { spans, end: style };
}

/** Class names, for the style sheet. */
export function classesOf(style: Style): string {
  const names: string[] = [];
  if (style.front !== null) names.push(`f${style.front}`);
  if (style.back !== null) names.push(`b${style.back}`);
  for (const name of ["bold", "dim", "italic", "underline"] as const) if (style[name]) names.push(name);
  return names.join(" ");
}

function applyCodes(before: Style, text: string): Style {
  const codes = text.split(/[;:]/).map(Number);
  let style = before;
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i] ?? 0;
    if (code === 38 || code === 48) {
      const [colour, used] = longColour(codes.slice(i + 1));
      style = code === 38 ? { ...style, front: colour } : { ...style, back: colour };
      i += used;
    } else {
      style = applyCode(style, code);
    }
  }
  return style;
}

function applyCode(style: Style, code: number): Style {
  switch (code) {
    case 0:
      return PLAIN;
    case 1:
      return { ...style, bold: true };
    case 2:
      return { ...style, dim: true };
    case 3:
      return { ...style, italic: true };
    case 4:
      return { ...style, underline: true };
    case 22:
      return { ...style, bold: false, dim: false };
    case 23:
      return { ...style, italic: false };
    case 24:
      return { ...style, underline: false };
    case 39:
      return { ...style, front: null };
    case 49:
      return { ...style, back: null };
  }
  if (code >= 30 && code <= 37) return { ...style, front: code - 30 };
  if (code >= 40 && code <= 47) return { ...style, back: code - 40 };
  if (code >= 90 && code <= 97) return { ...style, front: code - 82 };
  if (code >= 100 && code <= 107) return { ...style, back: code - 92 };
  return style;
}

/** `5;n` and `2;r;g;b`, as the nearest of the sixteen; and how many codes that took. */
function longColour(codes: readonly number[]): readonly [number | null, number] {
  const [kind, a = 0, b = 0, c = 0] = codes;
  if (kind === 2) return [nearest(a, b, c), 4];
  if (kind !== 5) return [null, 0];
  if (a < 16) return [a, 2];
  if (a >= 232) return [nearest(...grey((a - 232) * 10 + 8)), 2];
  const level = (n: number): number => (n === 0 ? 0 : n * 40 + 55);
  const cube = a - 16;
  return [nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)), 2];
}

function grey(level: number): readonly [number, number, number] {
  return [level, level, level];
}

function nearest(red: number, green: number, blue: number): number {
  const most = Math.max(red, green, blue);
  if (most - Math.min(red, green, blue) < 40) return most < 64 ? 0 : most < 140 ? 8 : most < 220 ? 7 : 15;
  const half = most / 2;
  const bits = (red > half ? 1 : 0) + (green > half ? 2 : 0) + (blue > half ? 4 : 0);
  return most > 180 ? bits + 8 : bits;
}
