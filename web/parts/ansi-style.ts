/** What a terminal's colour codes (SGR) say of the text after them. Pure. */

/** 0 to 15 are the page's own; from {@link TRUE_COLOUR} on, red, green and blue in 24 bits. */
export type Colour = number;

export const TRUE_COLOUR = 0x1000000;

export interface Style {
  /** null: the page's own. */
  readonly front: Colour | null;
  readonly back: Colour | null;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
  readonly strike: boolean;
  /** Front and back change places. */
  readonly inverse: boolean;
}

export const PLAIN: Style = {
  front: null,
  back: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  strike: false,
  inverse: false,
};

const FLAGS = ["bold", "dim", "italic", "underline", "strike", "inverse"] as const;

/** Class names, for the style sheet; `fx` and `bx` take their colour from {@link colourText}. */
export function classesOf(style: Style): string {
  const names: string[] = [];
  if (style.front !== null) names.push("front", style.front < TRUE_COLOUR ? `f${style.front}` : "fx");
  if (style.back !== null) names.push("back", style.back < TRUE_COLOUR ? `b${style.back}` : "bx");
  for (const name of FLAGS) if (style[name]) names.push(name);
  return names.join(" ");
}

/** `#0a7814` for one of 16 million; null for the page's own. */
export function colourText(colour: Colour | null): string | null {
  if (colour === null || colour < TRUE_COLOUR) return null;
  return `#${(colour - TRUE_COLOUR).toString(16).padStart(6, "0")}`;
}

/** The style after `ESC [ codes m`. What is not known changes nothing. */
export function applyCodes(before: Style, text: string): Style {
  const codes = text.split(";");
  let style = before;
  for (let i = 0; i < codes.length; i += 1) {
    const [code = 0, ...parts] = (codes[i] ?? "").split(":").map(Number);
    if (code === 38 || code === 48 || code === 58) {
      const isOne = parts.length > 0;
      // Between colons, the number of a colour space may come before red, green and blue.
      const given = isOne ? (parts[0] === 2 ? [2, ...parts.slice(-3)] : parts) : codes.slice(i + 1, i + 5).map(Number);
      const { colour, used } = longColour(given);
      if (code === 38) style = { ...style, front: colour };
      else if (code === 48) style = { ...style, back: colour };
      if (!isOne) i += used;
    } else if (code === 4 && parts.length > 0) {
      style = { ...style, underline: parts[0] !== 0 };
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
    case 21:
      return { ...style, underline: true };
    case 7:
      return { ...style, inverse: true };
    case 9:
      return { ...style, strike: true };
    case 22:
      return { ...style, bold: false, dim: false };
    case 23:
      return { ...style, italic: false };
    case 24:
      return { ...style, underline: false };
    case 27:
      return { ...style, inverse: false };
    case 29:
      return { ...style, strike: false };
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

/** `5;n` and `2;r;g;b`, and how many codes that took. */
function longColour([kind, a = 0, b = 0, c = 0]: readonly number[]): {
  readonly colour: Colour | null;
  readonly used: number;
} {
  if (kind === 2) return { colour: trueColour(a, b, c), used: 4 };
  if (kind === 5) return { colour: ofPalette(a), used: 2 };
  return { colour: null, used: 0 };
}

/** The palette of 256: sixteen of the page's own, a cube of 6 × 6 × 6, and greys. */
function ofPalette(n: number): Colour | null {
  if (!Number.isInteger(n) || n < 0 || n > 255) return null;
  if (n < 16) return n;
  if (n >= 232) return trueColour((n - 232) * 10 + 8, (n - 232) * 10 + 8, (n - 232) * 10 + 8);
  const level = (at: number): number => (at === 0 ? 0 : at * 40 + 55);
  const cube = n - 16;
  return trueColour(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

function trueColour(...levels: readonly number[]): Colour {
  const byte = (level: number): number => (Number.isFinite(level) ? Math.min(255, Math.max(0, Math.trunc(level))) : 0);
  return levels.reduce((sum, level) => sum * 256 + byte(level), 0) + TRUE_COLOUR;
}
