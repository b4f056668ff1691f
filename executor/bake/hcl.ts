/**
 * Where the blocks of an HCL text are, and what each says at its own level: enough to put something into a template, or
 * in the place of something, and leave the rest as it is written. What is no HCL is Packer's to complain of. Pure.
 */

export interface Attribute {
  readonly name: string;
  /** From its name to behind its value. */
  readonly start: number;
  readonly end: number;
}

export interface Block {
  readonly type: string;
  readonly labels: readonly string[];
  readonly start: number;
  /** Behind the opening brace, and at the closing one. */
  readonly bodyStart: number;
  readonly bodyEnd: number;
  readonly attributes: readonly Attribute[];
  readonly blocks: readonly Block[];
}

/** The outermost blocks; those before the first mistake, when there is one. */
export function blocksOf(text: string): readonly Block[] {
  return new Scanner(text).body(0).blocks;
}

/** `text` with `block` saying `lines` at its own level, in place of attributes and blocks that have one of `names`. */
export function withLines(text: string, block: Block, names: ReadonlySet<string>, lines: readonly string[]): string {
  const replaced = [
    ...block.attributes.filter(({ name }) => names.has(name)).map(({ start, end }) => ({ start, end })),
    ...block.blocks.filter(({ type }) => names.has(type)).map(({ start, bodyEnd }) => ({ start, end: bodyEnd + 1 })),
  ].sort((a, b) => b.start - a.start);
  let body = text.slice(block.bodyStart, block.bodyEnd);
  for (const { start, end } of replaced)
    body = body.slice(0, start - block.bodyStart) + body.slice(end - block.bodyStart);
  const added = lines.map((line) => `\n  ${line}`).join("");
  return `${text.slice(0, block.bodyStart)}${added}${body}${text.slice(block.bodyEnd)}`;
}

/** `text` with `addition` as the last thing in `block`. */
export function withAtEnd(text: string, block: Block, addition: string): string {
  return `${text.slice(0, block.bodyEnd)}\n${addition}\n${text.slice(block.bodyEnd)}`;
}

const IDENTIFIER = /[\p{L}_][\p{L}\p{N}_-]*/uy;
const BLANK = /(?:\s|#[^\n]*|\/\/[^\n]*|\/\*[^]*?\*\/)*/y;
const SPACE = /[ \t\r]*/y;
const HEREDOC = /<<-?([\p{L}_][\p{L}\p{N}_-]*)\r?\n/uy;
const OPENING = "{[(";
const CLOSING = "}])";

class Scanner {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** Of a body that begins at `at`: what is in it, and where it ends. */
  body(at: number): {
    readonly attributes: readonly Attribute[];
    readonly blocks: readonly Block[];
    readonly end: number;
  } {
    const attributes: Attribute[] = [];
    const blocks: Block[] = [];
    for (let i = this.#past(BLANK, at); ; i = this.#past(BLANK, i)) {
      const name = this.#match(IDENTIFIER, i);
      if (name === null) return { attributes, blocks, end: i };
      const start = i;
      i = this.#past(SPACE, i + name.length);
      if (this.#text[i] === "=") {
        i = this.#expressionEnd(i + 1);
        attributes.push({ name, start, end: i });
        continue;
      }
      const block = this.#block(name, start, i);
      if (block === null) return { attributes, blocks, end: start };
      blocks.push(block);
      i = block.bodyEnd + 1;
    }
  }

  #block(type: string, start: number, at: number): Block | null {
    const labels: string[] = [];
    let i = at;
    while (this.#text[i] !== "{") {
      const label =
        this.#text[i] === '"' ? this.#text.slice(i + 1, this.#stringEnd(i) - 1) : this.#match(IDENTIFIER, i);
      if (label === null) return null;
      labels.push(label);
      i = this.#past(SPACE, this.#text[i] === '"' ? i + label.length + 2 : i + label.length);
    }
    const { attributes, blocks, end } = this.body(i + 1);
    if (this.#text[end] !== "}") return null;
    return { type, labels, start, bodyStart: i + 1, bodyEnd: end, attributes, blocks };
  }

  /** At the end of the line, of the body or of the text, whichever comes first outside of brackets. */
  #expressionEnd(at: number): number {
    let depth = 0;
    for (let i = at; i < this.#text.length; ) {
      const char = this.#text[i] ?? "";
      const heredoc = char === "<" ? this.#match(HEREDOC, i) : null;
      if (heredoc !== null) i = this.#heredocEnd(i + heredoc.length, heredoc);
      else if (char === '"') i = this.#stringEnd(i);
      else if (char === "#" || this.#text.startsWith("//", i) || this.#text.startsWith("/*", i)) {
        if (depth === 0) return i;
        i = this.#past(BLANK, i);
      } else {
        if (depth === 0 && (char === "\n" || CLOSING.includes(char))) return i;
        if (OPENING.includes(char)) depth += 1;
        if (CLOSING.includes(char)) depth -= 1;
        i += 1;
      }
    }
    return this.#text.length;
  }

  #heredocEnd(at: number, opening: string): number {
    const word = /<<-?(\S+)/.exec(opening)?.[1] ?? "";
    const ending = new RegExp(`^[ \\t]*${word}[ \\t\\r]*$`, "m");
    const found = ending.exec(this.#text.slice(at));
    return found === null ? this.#text.length : at + found.index + found[0].length;
  }

  /** Behind the quote that ends the string which begins at `at`. */
  #stringEnd(at: number): number {
    for (let i = at + 1; i < this.#text.length; ) {
      const two = this.#text.slice(i, i + 2);
      if (this.#text.startsWith("$${", i) || this.#text.startsWith("%%{", i)) i += 3;
      else if (two === "${" || two === "%{") i = this.#templateEnd(i + 2);
      else if (two.startsWith("\\")) i += 2;
      else if (two.startsWith('"')) return i + 1;
      else i += 1;
    }
    return this.#text.length;
  }

  #templateEnd(at: number): number {
    let depth = 1;
    let i = at;
    while (i < this.#text.length && depth > 0) {
      const char = this.#text[i];
      if (char === '"') {
        i = this.#stringEnd(i);
        continue;
      }
      if (char === "{") depth += 1;
      if (char === "}") depth -= 1;
      i += 1;
    }
    return i;
  }

  #past(pattern: RegExp, at: number): number {
    return at + (this.#match(pattern, at)?.length ?? 0);
  }

  #match(pattern: RegExp, at: number): string | null {
    pattern.lastIndex = at;
    return pattern.exec(this.#text)?.[0] ?? null;
  }
}
