/** The words of a line, or what is wrong with its quotes. */
export type Words = { readonly words: readonly string[] } | { readonly problem: string };

/**
 * Splits a line as a POSIX shell would: `'…'` as it is, `"…"` with `\` before `"`, `\`, `$` and a backquote, `\` before
 * any other character outside quotes. Nothing is expanded: `$` and `*` are themselves.
 */
export function wordsOf(line: string): Words {
  const words: string[] = [];
  let word: string | null = null;
  let quote: "'" | '"' | null = null;
  for (let i = 0; i < line.length; i++) {
    const char = line[i] ?? "";
    if (quote !== null) {
      const next = line[i + 1] ?? "";
      if (char === quote) quote = null;
      else if (quote === '"' && char === "\\" && next !== "" && '"\\$`'.includes(next)) {
        word = `${word ?? ""}${next}`;
        i++;
      } else word = `${word ?? ""}${char}`;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= "";
    } else if (char === " " || char === "\t") {
      if (word !== null) words.push(word);
      word = null;
    } else if (char === "\\") {
      if (i + 1 === line.length) return { problem: "the line ends in a `\\`" };
      word = `${word ?? ""}${line[++i] ?? ""}`;
    } else word = `${word ?? ""}${char}`;
  }
  if (quote !== null) return { problem: `the quote ${quote} is not closed` };
  if (word !== null) words.push(word);
  return { words };
}
