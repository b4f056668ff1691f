/** The command lines that documents show, as a person would paste them. */

export interface Example {
  readonly file: string;
  /** Of its first line, from 1. */
  readonly line: number;
  /** One command, with its continuation lines and its comment; or a whole script. */
  readonly text: string;
}

/** All of a document's fenced blocks of shell, command by command. */
export function examplesIn(file: string, document: string): readonly Example[] {
  return [...document.matchAll(/^( *)```sh\n([^]*?)^ *```$/gm)].flatMap(({ index, 1: indent = "", 2: block = "" }) => {
    const first = document.slice(0, index).split("\n").length + 1;
    const lines = block
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(new RegExp(`^${indent}`), ""));
    if (lines[0]?.startsWith("#!") === true) return [{ file, line: first, text: lines.join("\n") }];
    return commandsIn(lines).map(({ at, text }) => ({ file, line: first + at, text }));
  });
}

function commandsIn(lines: readonly string[]): readonly { readonly at: number; readonly text: string }[] {
  const commands: { at: number; text: string }[] = [];
  let begun: string[] = [];
  for (const [at, line] of lines.entries()) {
    begun.push(line);
    const text = begun.join("\n");
    const goesOn = line.endsWith("\\") || isQuoteOpen(text);
    if (goesOn && at < lines.length - 1) continue;
    if (text.trim() !== "") commands.push({ at: at - begun.length + 1, text });
    begun = [];
  }
  return commands;
}

function isQuoteOpen(text: string): boolean {
  let quote: string | null = null;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? "";
    if (quote === null && /\s#/.test(text.slice(at - 1, at + 1))) return false; // a comment: the rest of the line
    if (quote === character) quote = null;
    else if (quote === null && (character === "'" || character === '"')) quote = character;
  }
  return quote !== null;
}
