/** One thing wrong with a file that a script left behind. */
export interface LineProblem {
  /** From 1. */
  readonly line: number;
  /** One sentence, without a full stop at its end. */
  readonly message: string;
}

export const MAX_LINE_PROBLEMS = 20;

/**
 * The lines of a file whose bytes come from a build. A final newline ends the last line; a `\r` before a newline is
 * dropped. What is larger than `maxBytes`, or not UTF-8, or has a NUL, is a problem and no lines.
 */
export function linesOf(bytes: Uint8Array, maxBytes: number): readonly string[] | { readonly problem: LineProblem } {
  if (bytes.length > maxBytes)
    return { problem: { line: 1, message: `the file is larger than ${maxBytes / 1024} KiB` } };
  const nul = bytes.indexOf(0);
  if (nul >= 0) return { problem: { line: lineAt(bytes, nul), message: "a NUL character" } };
  const text = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(bytes);
  if (!Buffer.from(text).equals(bytes))
    return { problem: { line: lineAt(bytes, firstBadByte(bytes, text)), message: "the line is not UTF-8" } };
  const lines = text.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function firstBadByte(bytes: Uint8Array, decoded: string): number {
  const again = Buffer.from(decoded);
  let i = 0;
  while (i < bytes.length && bytes[i] === again[i]) i++;
  return i;
}

function lineAt(bytes: Uint8Array, offset: number): number {
  let line = 1;
  for (let i = 0; i < offset; i++) if (bytes[i] === 10) line++;
  return line;
}
