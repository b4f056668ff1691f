/** From the bytes that a build prints to records of its log: marks and secrets out, the limit kept, all counted. */
import { randomBytes } from "node:crypto";
import type { Readable } from "node:stream";
import { MarkScanner } from "./log/marks.ts";
import { Mask, needlesOf } from "./log/mask.ts";

/** Where the records go. Offsets are the sink's business; nothing is written after `end`. */
export interface LogSink {
  /** Resolves when there is room for more. */
  bytes(data: Uint8Array): Promise<void>;
  phase(phase: string): void;
  /** Resolves when all is stored, with null; with a sentence when it cannot be. */
  end(droppedBytes: number): Promise<string | null>;
}

/** A phase that the driver said has failed. */
export interface FailedPhase {
  readonly phase: string;
  readonly code: number;
}

export class LogStream {
  /** Tells marks of ours from what a build prints. */
  readonly nonce: string;
  readonly #sink: LogSink;
  readonly #scanner: MarkScanner;
  readonly #mask: Mask;
  readonly #limitBytes: number;
  readonly #nowMs: () => number;
  #keptBytes = 0;
  #droppedBytes = 0;
  #firstByteAtMs: number | null = null;
  #failed: FailedPhase | null = null;
  readonly #begun: { readonly phase: string; readonly atMs: number }[] = [];

  /** @param o.secrets no log has these */
  constructor(
    sink: LogSink,
    o: { nonce: string; limitBytes: number; nowMs: () => number; secrets?: readonly string[] },
  ) {
    this.#sink = sink;
    this.#mask = new Mask(needlesOf(o.secrets ?? []));
    this.nonce = o.nonce;
    this.#scanner = new MarkScanner(o.nonce);
    this.#limitBytes = o.limitBytes;
    this.#nowMs = o.nowMs;
  }

  /** With a nonce that nobody knows. */
  static open(sink: LogSink, limitBytes: number, secrets: readonly string[] = []): LogStream {
    const nonce = randomBytes(16).toString("hex");
    return new LogStream(sink, { nonce, limitBytes, secrets, nowMs: () => performance.now() });
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  /** Of the build's own output. */
  get firstByteAtMs(): number | null {
    return this.#firstByteAtMs;
  }

  /** The phase that failed last. */
  get failed(): FailedPhase | null {
    return this.#failed;
  }

  /** Phases and when each began, in order. */
  get begun(): readonly { readonly phase: string; readonly atMs: number }[] {
    return this.#begun;
  }

  /** Reads `from` to its end, no faster than the sink takes it. */
  async pump(from: Readable): Promise<void> {
    for await (const chunk of from) await this.#take(this.#scanner.push(chunk as Uint8Array));
    await this.#take(this.#scanner.end());
    await this.#keep(this.#mask.end());
  }

  /** A phase that no driver marks. */
  begin(phase: string): void {
    this.#begun.push({ phase, atMs: this.#nowMs() });
    this.#sink.phase(phase);
  }

  /** A line of our own among the build's. */
  async say(sentence: string): Promise<void> {
    await this.line(`toroid: ${sentence}`);
  }

  /** A line of something that is no build's output. */
  async line(text: string): Promise<void> {
    await this.#keep(this.#mask.push(Buffer.from(`${text}\n`)));
    await this.#keep(this.#mask.end());
  }

  /** Why the log is not whole; null when it is. */
  async end(): Promise<string | null> {
    return this.#sink.end(this.#droppedBytes);
  }

  async #take(pieces: ReturnType<MarkScanner["push"]>): Promise<void> {
    for (const piece of pieces) {
      if (piece.kind === "bytes") {
        this.#firstByteAtMs ??= this.#nowMs();
        await this.#keep(this.#mask.push(piece.data));
      } else {
        // What was printed before it belongs before it.
        await this.#keep(this.#mask.end());
        this.#mark(piece.text);
      }
    }
  }

  #mark(text: string): void {
    const [verb, phase = "", code] = text.split(" ");
    if (verb === "phase") {
      this.begin(phase);
    } else if (verb === "failed") {
      this.#failed = { phase, code: Number.parseInt(code ?? "", 10) || 0 };
    }
  }

  async #keep(data: Uint8Array): Promise<void> {
    const room = Math.max(0, this.#limitBytes - this.#keptBytes);
    const kept = data.byteLength <= room ? data : data.subarray(0, room);
    this.#keptBytes += kept.byteLength;
    this.#droppedBytes += data.byteLength - kept.byteLength;
    if (kept.byteLength > 0) await this.#sink.bytes(kept);
  }
}
