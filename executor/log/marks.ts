/**
 * Marks in a build's output: lines of ours, told from the script's by a random nonce, that say which phase the bytes
 * after them belong to. In the stream itself, because only there is their order with the output exact. Pure.
 */

/** Begins every mark: a record separator, which no sane output has, so that most chunks are passed on unsearched. */
const SEPARATOR = 0x1e;
const NEWLINE = 0x0a;
/** A mark that goes on for longer is none. */
const LONGEST_MARK = 256;

export type Piece =
  | { readonly kind: "bytes"; readonly data: Uint8Array }
  | { readonly kind: "mark"; readonly text: string };

/** What to print before the text of a mark; the mark ends with a line feed. For the `printf` of a shell. */
export function markPrefix(nonce: string): string {
  return `\\036${nonce} `;
}

/** Takes a stream of chunks, however it is cut, apart into output and marks. Holds back only what may be a mark. */
export class MarkScanner {
  readonly #needle: Buffer;
  #held: Buffer = Buffer.alloc(0);

  constructor(nonce: string) {
    this.#needle = Buffer.concat([Buffer.of(SEPARATOR), Buffer.from(`${nonce} `, "latin1")]);
  }

  push(chunk: Uint8Array): readonly Piece[] {
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let rest = this.#held.length === 0 ? fresh : Buffer.concat([this.#held, fresh]);
    this.#held = Buffer.alloc(0);
    const pieces: Piece[] = [];
    for (;;) {
      const at = rest.indexOf(this.#needle);
      if (at < 0) break;
      const textAt = at + this.#needle.length;
      const end = rest.indexOf(NEWLINE, textAt);
      if (end < 0 && rest.length - textAt < LONGEST_MARK) {
        pushBytes(pieces, rest.subarray(0, at));
        this.#held = rest.subarray(at);
        return pieces;
      }
      if (end < 0 || end - textAt > LONGEST_MARK) {
        // The script has printed our nonce: let it have its bytes.
        pushBytes(pieces, rest.subarray(0, textAt));
        rest = rest.subarray(textAt);
        continue;
      }
      pushBytes(pieces, rest.subarray(0, at));
      pieces.push({ kind: "mark", text: rest.toString("latin1", textAt, end) });
      rest = rest.subarray(end + 1);
    }
    const keep = this.#possibleStart(rest);
    pushBytes(pieces, rest.subarray(0, keep));
    this.#held = rest.subarray(keep);
    return pieces;
  }

  /** What was held back when the stream ended. */
  end(): readonly Piece[] {
    const pieces: Piece[] = [];
    pushBytes(pieces, this.#held);
    this.#held = Buffer.alloc(0);
    return pieces;
  }

  /** Where at the end of `rest` a mark may have begun; its length when nowhere. */
  #possibleStart(rest: Buffer): number {
    let from = Math.max(0, rest.length - this.#needle.length + 1);
    for (;;) {
      const at = rest.indexOf(SEPARATOR, from);
      if (at < 0) return rest.length;
      if (rest.subarray(at).equals(this.#needle.subarray(0, rest.length - at))) return at;
      from = at + 1;
    }
  }
}

function pushBytes(pieces: Piece[], data: Uint8Array): void {
  if (data.byteLength > 0) pieces.push({ kind: "bytes", data });
}
