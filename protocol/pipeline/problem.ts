/** One thing that keeps a `.toroid.yml` from running, at its place in the file. Plain data: it travels to the UI. */
export interface Problem {
  /** `unsupported`: the key is valid, but this version cannot carry it out yet. */
  readonly kind: "invalid" | "unsupported";
  /** The name that was given to the parser, for people. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** How many columns of that line it is about; at least 1. */
  readonly length: number;
  /** What is wrong and what was expected: one sentence, without a full stop at its end. */
  readonly message: string;
  /** What to do about it; null when the message says it. */
  readonly hint: string | null;
  /** Where in the structure: `environments.prod.timeout`, `script[1]`; empty for the file as a whole. */
  readonly path: string;
}

/** Keys and list indices from the top of the file. */
export type Path = readonly (string | number)[];

/** `["environments", "prod", "next", 0]` → `environments.prod.next[0]`. */
export function pathText(path: Path): string {
  return path.map((part, i) => (typeof part === "number" ? `[${part}]` : i === 0 ? part : `.${part}`)).join("");
}

/** A text that only this path has, unlike `pathText` of keys with dots in them. */
export function pathId(path: Path): string {
  return JSON.stringify(path);
}
