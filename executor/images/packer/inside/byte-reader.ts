/** Reads a stream by lines and by numbers of bytes. */
import type { Readable, Writable } from "node:stream";

const NEWLINE = 0x0a;
/** A line that goes on for longer is none. */
const LONGEST_LINE = 8_192;

export class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(from: Readable) {
    // Not destroyed at its end, for it may be half of a channel whose other half is still in use.
    this.#chunks = from.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  }

  /** Without its end; null when there is none any more. */
  async line(): Promise<string | null> {
    for (;;) {
      const end = this.#rest.indexOf(NEWLINE);
      if (end >= 0) return this.#cut(end + 1).toString("utf8", 0, end);
      if (this.#rest.length > LONGEST_LINE || !(await this.#more())) return null;
    }
  }

  /** So many bytes, fewer at the end. */
  async take(bytes: number): Promise<Buffer> {
    while (this.#rest.length < bytes && (await this.#more()));
    return this.#cut(bytes);
  }

  /** So many bytes into `sink`, as fast as it takes them; one that is gone takes them too. */
  async into(sink: Writable, bytes: number): Promise<void> {
    for (let left = bytes; left > 0; ) {
      if (this.#rest.length === 0 && !(await this.#more())) return;
      const some = this.#cut(left);
      left -= some.length;
      if (sink.writable && !sink.write(some)) await drained(sink);
    }
  }

  #cut(bytes: number): Buffer {
    const some = this.#rest.subarray(0, bytes);
    this.#rest = this.#rest.subarray(some.length);
    return some;
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done === true) return false;
    this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value]);
    return true;
  }
}

function drained(sink: Writable): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ["drain", "close", "error"]) sink.once(event, () => resolve());
  });
}
