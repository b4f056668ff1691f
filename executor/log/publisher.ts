/**
 * Stores a build's log in JetStream: each byte once, in order, through restarts of the server, in bounded memory. While
 * the store is away what is printed waits in a file; what is still there when the attempt is let go of is left in it.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { isRefusal, type Jet } from "../../kit/jetstream.ts";
import { aborted } from "../../kit/signals.ts";
import { encode } from "../../protocol/codec.ts";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import { LOG_CHUNK_BYTES, type LogChunk } from "../../protocol/log.ts";
import type { LogSink } from "../log-stream.ts";
import type { ChunkFile } from "../spool/chunk-file.ts";
import { ChunkStore } from "./chunk-store.ts";

/** How long bytes may wait for company, after the first of them went out at once. */
const COALESCE_MS = 20;
/** Past this the build has to wait until the store, or the disk, has caught up. */
const MOST_PENDING_BYTES = 4 * LOG_CHUNK_BYTES;

type Pending =
  | { readonly kind: "bytes"; readonly data: Uint8Array }
  | { readonly kind: "phase"; readonly phase: string }
  | { readonly kind: "end"; readonly droppedBytes: number };

/**
 * One message at a time. At the round trips of one region that still carries tens of MiB a second, since a message holds
 * up to 64 KiB.
 */
export class LogPublisher implements LogSink {
  readonly #store: ChunkStore;
  readonly #abandoned: AbortSignal;
  readonly #letGo: Promise<void>;
  readonly #openFile: () => Promise<ChunkFile>;
  readonly #pending: Pending[] = [];
  #pendingBytes = 0;
  #offset = 0;
  #publishedAtMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | null = null;
  #hurry = new AbortController();
  #failure: string | null = null;
  #drained: (() => void)[] = [];
  #file: ChunkFile | null = null;
  readonly #clock: Jet["clock"];
  /** Takes to the store what waits in the file; while there is one, everything new goes behind that. */
  #courier: Promise<void> | null = null;
  #isAway = false;
  /** Dropped since the log said so last. */
  #unsaid = 0;
  #droppedBytes = 0;

  /**
   * @param abandoned when it aborts, nothing more goes to the store
   * @param openFile for what has to wait
   */
  constructor(jet: Jet, subject: string, abandoned: AbortSignal, openFile: () => Promise<ChunkFile>) {
    this.#store = new ChunkStore(jet, subject);
    this.#clock = jet.clock;
    this.#abandoned = abandoned;
    this.#letGo = aborted(abandoned);
    this.#openFile = openFile;
  }

  async bytes(data: Uint8Array): Promise<void> {
    if (this.#failure !== null) return;
    this.#pending.push({ kind: "bytes", data });
    this.#pendingBytes += data.byteLength;
    if (this.#pendingBytes >= LOG_CHUNK_BYTES) this.#hurry.abort();
    this.#start();
    if (this.#pendingBytes > MOST_PENDING_BYTES) {
      await new Promise<void>((resolve) => void this.#drained.push(resolve));
    }
  }

  phase(phase: string): void {
    this.#pending.push({ kind: "phase", phase });
    this.#hurry.abort();
    this.#start();
  }

  /** Resolves when all is stored, or, of an attempt that was let go of, in the file. */
  async end(droppedBytes: number): Promise<string | null> {
    this.#pending.push({ kind: "end", droppedBytes });
    this.#hurry.abort();
    this.#start();
    while (this.#running !== null) await this.#running;
    while (this.#courier !== null && !this.#abandoned.aborted) await Promise.race([this.#courier, this.#letGo]);
    await this.#file?.[Symbol.asyncDispose]();
    if (this.#failure === null && this.#droppedBytes > 0) return droppedNote(this.#droppedBytes);
    return this.#failure;
  }

  /** Does something wait on disk? After `end`. */
  get isLeft(): boolean {
    return this.#failure === null && this.#file?.isEmpty === false;
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
  }

  /** Never rejects: what cannot be stored is told by `end`. */
  async #run(): Promise<void> {
    try {
      while (this.#pending.length > 0 && this.#failure === null) {
        await this.#gather();
        const chunk = this.#next();
        this.#publishedAtMs = performance.now();
        await this.#put(chunk);
        if (this.#pendingBytes <= MOST_PENDING_BYTES) this.#release();
      }
    } catch (error) {
      this.#fail(error);
    }
    if (this.#failure !== null) {
      this.#pending.length = 0;
      this.#pendingBytes = 0;
    }
    this.#release();
  }

  #fail(error: unknown): void {
    this.#failure ??= `the log could not be stored whole: ${sentenceOf(error)}`;
  }

  #release(): void {
    for (const go of this.#drained.splice(0)) go();
  }

  /** Waits for more of the same unless there is reason to go. */
  async #gather(): Promise<void> {
    const waitMs = this.#publishedAtMs + COALESCE_MS - performance.now();
    const urgent = this.#pendingBytes >= LOG_CHUNK_BYTES || this.#pending.some((one) => one.kind !== "bytes");
    if (waitMs <= 0 || urgent) return;
    this.#hurry = new AbortController();
    const signal = AbortSignal.any([this.#hurry.signal, this.#abandoned]);
    await sleep(waitMs, undefined, { signal }).catch(() => undefined);
  }

  /** Takes the next record: as many of the first bytes as one chunk holds, or what is not bytes. */
  #next(): LogChunk {
    const atMs = this.#clock.nowMs();
    const first = this.#pending[0];
    if (first === undefined) throw new ToroidError("TOR_INTERNAL", "a log had nothing to publish");
    if (first.kind !== "bytes") {
      this.#pending.shift();
      if (first.kind === "phase") return { kind: "phase", offset: this.#offset, atMs, phase: first.phase };
      return { kind: "end", offset: this.#offset, atMs, droppedBytes: first.droppedBytes };
    }
    const parts: Uint8Array[] = [];
    let room = LOG_CHUNK_BYTES;
    for (let next = this.#pending[0]; next?.kind === "bytes" && room > 0; next = this.#pending[0]) {
      const part = next.data.subarray(0, room);
      room -= part.byteLength;
      parts.push(part);
      if (part.byteLength === next.data.byteLength) this.#pending.shift();
      else this.#pending[0] = { kind: "bytes", data: next.data.subarray(part.byteLength) };
    }
    const data = Buffer.concat(parts);
    this.#pendingBytes -= data.byteLength;
    return { kind: "bytes", offset: this.#offset, atMs, data };
  }

  /** To the store while it answers and nothing else waits for it, else to the file. */
  async #put(chunk: LogChunk): Promise<void> {
    if (this.#courier === null && !this.#abandoned.aborted) {
      const failed = await Promise.race([this.#store.once(encode(chunk)), this.#letGo]);
      if (failed === null) return this.#count(chunk);
      this.#isAway = !isRefusal(failed?.error);
    }
    await this.#keep(chunk);
  }

  #count(chunk: LogChunk): void {
    if (chunk.kind === "bytes") this.#offset += chunk.data.byteLength;
  }

  async #keep(chunk: LogChunk): Promise<void> {
    const file = await this.#fileOrNull();
    const size = chunk.kind === "bytes" ? chunk.data.byteLength : 0;
    // A store that is only slow is waited for, as if there were no file.
    const isMoving = (): boolean => this.#courier !== null && !this.#isAway && !this.#abandoned.aborted;
    const fits = (): boolean => file !== null && (size === 0 || file.hasRoomFor(size));
    while (!fits() && isMoving()) await Promise.race([this.#courier, sleep(COALESCE_MS, undefined, { ref: false })]);
    const hasRoom = file !== null && fits();
    if (hasRoom && this.#unsaid > 0) await this.#sayDropped(file);
    if (hasRoom && (await this.#append(file, { ...chunk, offset: this.#offset }))) return;
    this.#unsaid += size;
    this.#droppedBytes += size;
  }

  /** Before what comes after a gap, the log says that there is one. */
  async #sayDropped(file: ChunkFile): Promise<void> {
    const data = Buffer.from(`\ntoroid: ${droppedNote(this.#unsaid)}\n`);
    if (await this.#append(file, { kind: "bytes", offset: this.#offset, atMs: this.#clock.nowMs(), data }))
      this.#unsaid = 0;
  }

  async #append(file: ChunkFile, chunk: LogChunk): Promise<boolean> {
    const written = file.append(encode(chunk));
    if (!this.#abandoned.aborted) this.#courier ??= this.#deliver(file);
    if (!(await written)) return false;
    this.#count(chunk);
    return true;
  }

  async #fileOrNull(): Promise<ChunkFile | null> {
    try {
      this.#file ??= await this.#openFile();
    } catch {
      // A disk that takes nothing: what is dropped is counted and told.
    }
    return this.#file;
  }

  /** Until nothing waits in the file, or the attempt is let go of. Never rejects. */
  async #deliver(file: ChunkFile): Promise<void> {
    try {
      while (!file.isEmpty && !this.#abandoned.aborted) {
        const head = await file.head();
        if (head === null && !file.isEmpty) throw new ToroidError("TOR_INTERNAL", "what waited on disk is damaged");
        if (head === null) break;
        const stored = await this.#store.store(head, this.#abandoned, (answers) => {
          this.#isAway = !answers;
        });
        if (stored) file.shift(head);
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#courier = null;
  }
}

function droppedNote(bytes: number): string {
  return `${bytes} bytes of output were dropped while NATS was away: there was no more room for them on the executor`;
}
