import { assertNever } from "../errors.ts";

/**
 * Patterns for branches, tags and paths. `*` any run of characters but `/`, `?` one of them, `**` any run at all, a
 * leading or inner `**` followed by `/` also nothing (`**` + `/x` matches `x`), `[a-z]` and `[!a-z]` one character of a
 * class, `\` the next character as it is. A leading `!` negates the whole pattern.
 *
 * Matching simulates all ways at once, so no pattern can make it slower than pattern × text.
 */
export const MAX_PATTERN = 256;

type Token =
  | { readonly kind: "char"; readonly char: string }
  | { readonly kind: "class"; readonly not: boolean; readonly ranges: readonly (readonly [string, string])[] }
  | { readonly kind: "one" | "star" | "globstar" }
  /** `**` + `/`: nothing, or what its `inFolders`, always the next token, reads: whole segments with their slashes. */
  | { readonly kind: "folders" | "inFolders" };

/** What is wrong with `pattern`, or null. */
export function patternProblem(pattern: string): string | null {
  const body = pattern.startsWith("!") ? pattern.slice(1) : pattern;
  if (body === "") return "a pattern cannot be empty";
  if (pattern.length > MAX_PATTERN) return `a pattern can have ${MAX_PATTERN} characters at most`;
  if (/^\/\^|\$\/$/.test(body)) return "this is a regular expression; patterns here are globs such as `v*` or `api/**`";
  if (tokensOf(body) === null) return "this pattern has a `[` without its `]`, or ends in a `\\`";
  return null;
}

/** Whether `text` matches `pattern`, whose leading `!` is not looked at. A pattern with a problem matches nothing. */
export function matches(pattern: string, text: string): boolean {
  const tokens = tokensOf(pattern);
  if (tokens === null) return false;
  let at = closure(tokens, [0]);
  for (const char of text) {
    const next = new Set<number>();
    for (const i of at) {
      const token = tokens[i];
      if (token === undefined) continue;
      for (const to of step(token, i, char)) next.add(to);
    }
    if (next.size === 0) return false;
    at = closure(tokens, next);
  }
  return at.has(tokens.length);
}

/**
 * Whether the list lets `text` through: the last pattern that matches decides, `!` ones against it. A list that begins
 * with a `!` begins with everything.
 */
export function selects(patterns: readonly string[], text: string): boolean {
  let selected = patterns[0]?.startsWith("!") ?? false;
  for (const pattern of patterns) {
    const negated = pattern.startsWith("!");
    if (selected === negated && matches(negated ? pattern.slice(1) : pattern, text)) selected = !negated;
  }
  return selected;
}

function tokensOf(pattern: string): readonly Token[] | null {
  const chars = Array.from(pattern);
  const tokens: Token[] = [];
  let i = 0;
  while (i < chars.length) {
    const char = chars[i] ?? "";
    if (char === "*" && chars[i + 1] === "*") {
      const opens = i === 0 || chars[i - 1] === "/";
      while (chars[i] === "*") i++;
      if (opens && chars[i] === "/") {
        tokens.push({ kind: "folders" }, { kind: "inFolders" });
        i++;
      } else tokens.push({ kind: "globstar" });
      continue;
    }
    if (char === "[") {
      const end = chars.indexOf("]", i + 2);
      if (end < 0) return null;
      tokens.push(classOf(chars.slice(i + 1, end)));
      i = end + 1;
      continue;
    }
    if (char === "\\") {
      i++;
      if (i === chars.length) return null;
      tokens.push({ kind: "char", char: chars[i] ?? "" });
    } else if (char === "*") tokens.push({ kind: "star" });
    else if (char === "?") tokens.push({ kind: "one" });
    else tokens.push({ kind: "char", char });
    i++;
  }
  return tokens;
}

function classOf(chars: readonly string[]): Token {
  const not = chars.length > 1 && (chars[0] === "!" || chars[0] === "^");
  const ranges: (readonly [string, string])[] = [];
  for (let i = not ? 1 : 0; i < chars.length; i++) {
    const from = chars[i] ?? "";
    const to = chars[i + 2];
    if (chars[i + 1] === "-" && to !== undefined) {
      ranges.push([from, to]);
      i += 2;
    } else ranges.push([from, from]);
  }
  return { kind: "class", not, ranges };
}

/** The positions that reading `char` at token `i` leads to. */
function step(token: Token, i: number, char: string): readonly number[] {
  switch (token.kind) {
    case "char":
      return token.char === char ? [i + 1] : [];
    case "one":
      return char === "/" ? [] : [i + 1];
    case "class":
      return char !== "/" && token.ranges.some(([from, to]) => from <= char && char <= to) !== token.not ? [i + 1] : [];
    case "star":
      return char === "/" ? [] : [i];
    case "globstar":
      return [i];
    case "folders":
      return [];
    case "inFolders":
      return char === "/" ? [i, i + 1] : [i];
    default:
      return assertNever(token, "glob token");
  }
}

/** The positions reachable from `from` without reading anything. */
function closure(tokens: readonly Token[], from: Iterable<number>): Set<number> {
  const all = new Set<number>();
  const open = [...from];
  for (let i = open.pop(); i !== undefined; i = open.pop()) {
    if (all.has(i)) continue;
    all.add(i);
    const kind = tokens[i]?.kind;
    if (kind === "star" || kind === "globstar") open.push(i + 1);
    if (kind === "folders") open.push(i + 1, i + 2);
  }
  return all;
}
