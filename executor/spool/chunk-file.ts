/**
 * Records of a log that wait on disk for the store, in order and not without bound. Each is its length and its bytes; the
 * first is the subject that they belong to. What a death cut short at the end is not there.
 */
import { type FileHandle, open } from "node:fs/promises";

const HEAD_BYTES = 4;
/** Longer is damage: no record is. */
const RECORD_MOST_BYTES = 1_000_000;

export class ChunkFile implements AsyncDisposable {
  readonly path: string;
  readonly subject: string;
  readonly #file: FileHandle;
  readonly #firstAt: number;
  readonly #mostBytes: number;
  #readAt: number;
  #end: number;
  #writes: Promise<unknown> = Promise.resolve();

  private constructor(path: string, subject: string, file: FileHandle, mostBytes: number, end: number) {
    this.path = path;
    this.subject = subject;
    this.#file = file;
    this.#firstAt = HEAD_BYTES + Buffer.byteLength(subject);
    this.#readAt = this.#firstAt;
    this.#mostBytes = mostBytes;
    this.#end = end;
  }

  static async create(path: string, subject: string, mostBytes: number): Promise<ChunkFile> {
    const file = await open(path, "w+", 0o600);
    const head = framed(Buffer.from(subject));
    await file.write(head, 0, head.length, 0);
    return new ChunkFile(path, subject, file, mostBytes, head.length);
  }

  /** One that is there, to be read; null when not even its subject is. */
  static async open(path: string): Promise<ChunkFile | null> {
    const file = await open(path, "r");
    const subject = await readAt(file, 0);
    const { size } = await file.stat();
    if (subject !== null) return new ChunkFile(path, subject.toString(), file, 0, size);
    await file.close();
    return null;
  }

  /** Nothing waits in it. */
  get isEmpty(): boolean {
    return this.#readAt >= this.#end;
  }

  hasRoomFor(bytes: number): boolean {
    const used = this.isEmpty ? this.#firstAt : this.#end;
    return used + HEAD_BYTES + bytes <= this.#mostBytes;
  }

  /** Puts it behind the others, whether there is room or not; false when the disk does not take it. One at a time. */
  async append(data: Uint8Array): Promise<boolean> {
    const frame = framed(data);
    const isFirst = this.isEmpty;
    if (isFirst) [this.#readAt, this.#end] = [this.#firstAt, this.#firstAt];
    const at = this.#end;
    this.#end += frame.length;
    return this.#then(async () => {
      try {
        if (isFirst) await this.#file.truncate(this.#firstAt);
        await this.#file.write(frame, 0, frame.length, at);
        return true;
      } catch {
        this.#end = at;
        return false;
      }
    });
  }

  /** The first that waits, or null. */
  async head(): Promise<Buffer | null> {
    if (this.isEmpty) return null;
    await this.#writes;
    return readAt(this.#file, this.#readAt);
  }

  /** Takes it away. */
  shift(head: Uint8Array): void {
    this.#readAt += HEAD_BYTES + head.length;
  }

  /** All that wait, one after the other; they stay. */
  async *all(): AsyncIterable<Buffer> {
    await this.#writes;
    for (let at = this.#readAt; ; ) {
      const one = await readAt(this.#file, at);
      if (one === null) return;
      at += HEAD_BYTES + one.length;
      yield one;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writes;
    await this.#file.close();
  }

  #then<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#writes.then(act);
    this.#writes = done.catch(() => undefined);
    return done;
  }
}

function framed(data: Uint8Array): Buffer {
  const frame = Buffer.alloc(HEAD_BYTES + data.length);
  frame.writeUInt32LE(data.length);
  frame.set(data, HEAD_BYTES);
  return frame;
}

/** The record at a place, or null when there is no whole one. */
async function readAt(file: FileHandle, at: number): Promise<Buffer | null> {
  const head = Buffer.alloc(HEAD_BYTES);
  if ((await file.read(head, 0, HEAD_BYTES, at)).bytesRead < HEAD_BYTES) return null;
  const length = head.readUInt32LE();
  if (length > RECORD_MOST_BYTES) return null;
  const data = Buffer.alloc(length);
  return (await file.read(data, 0, length, at + HEAD_BYTES)).bytesRead < length ? null : data;
}
