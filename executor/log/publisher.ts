/** Stores a build's log in JetStream: each byte once, in order, through restarts of the server, in bounded memory. */

import { setTimeout as sleep } from "node:timers/promises";
import { JetStreamApiError } from "@nats-io/jetstream";
import { type Jet, readLast } from "../../kit/jetstream.ts";
import { backoffMs } from "../../kit/retry.ts";
import { encode } from "../../protocol/codec.ts";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import { LOG_CHUNK_BYTES, type LogChunk } from "../../protocol/log.ts";
import { LOG } from "../../protocol/streams.ts";
import type { LogSink } from "../log-stream.ts";

/** How long bytes may wait for company, after the first of them went out at once. */
const COALESCE_MS = 20;
/** Past this the build has to wait until the store has caught up. */
const MOST_PENDING_BYTES = 4 * LOG_CHUNK_BYTES;
const PUBLISH_TIMEOUT_MS = 2_000;
/** A server that says no, and means it. */
const REFUSALS_MOST = 20;

type Pending =
  | { readonly kind: "bytes"; readonly data: Uint8Array }
  | { readonly kind: "phase"; readonly phase: string }
  | { readonly kind: "end"; readonly droppedBytes: number };

/**
 * One message at a time, each naming the sequence of the one before it: a publish whose answer is lost is looked for
 * before it is repeated, and the store refuses what would be a repetition. At the round trips of one region that
 * still carries tens of MiB a second, since a message holds up to 64 KiB.
 */
export class LogPublisher implements LogSink {
  readonly #jet: Jet;
  readonly #subject: string;
  readonly #abandoned: AbortSignal;
  readonly #pending: Pending[] = [];
  #pendingBytes = 0;
  #offset = 0;
  #lastSeq = 0;
  #publishedAtMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | null = null;
  #hurry = new AbortController();
  #failure: string | null = null;
  #drained: (() => void)[] = [];

  /** @param abandoned when it aborts, what is not stored yet is forgotten */
  constructor(jet: Jet, subject: string, abandoned: AbortSignal) {
    this.#jet = jet;
    this.#subject = subject;
    this.#abandoned = abandoned;
  }

  async bytes(data: Uint8Array): Promise<void> {
    if (this.#isOver) return;
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

  async end(droppedBytes: number): Promise<string | null> {
    this.#pending.push({ kind: "end", droppedBytes });
    this.#hurry.abort();
    this.#start();
    while (this.#running !== null) await this.#running;
    return this.#failure;
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
  }

  /** Never rejects: what cannot be stored is told by `end`. */
  async #run(): Promise<void> {
    try {
      while (this.#pending.length > 0 && !this.#isOver) {
        await this.#gather();
        const chunk = this.#next();
        this.#publishedAtMs = performance.now();
        await this.#store(chunk);
        if (this.#pendingBytes <= MOST_PENDING_BYTES) this.#release();
      }
    } catch (error) {
      this.#failure = `the log could not be stored whole: ${sentenceOf(error)}`;
    }
    if (this.#isOver) {
      this.#pending.length = 0;
      this.#pendingBytes = 0;
    }
    this.#release();
  }

  get #isOver(): boolean {
    return this.#failure !== null || this.#abandoned.aborted;
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
    const atMs = Date.now();
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
    const chunk: LogChunk = { kind: "bytes", offset: this.#offset, atMs, data };
    this.#offset += data.byteLength;
    this.#pendingBytes -= data.byteLength;
    return chunk;
  }

  /** Publishes until the store has it, or the attempt is abandoned. */
  async #store(chunk: LogChunk): Promise<void> {
    const data = encode(chunk);
    for (let attempt = 1; !this.#abandoned.aborted; attempt += 1) {
      try {
        const ack = await this.#jet.js.publish(this.#subject, data, {
          expect: { streamName: LOG.name, lastSubjectSequence: this.#lastSeq },
          timeout: PUBLISH_TIMEOUT_MS,
          retries: 0,
        });
        this.#lastSeq = ack.seq;
        return;
      } catch (error) {
        const found = await this.#lookFor(data).catch(() => "unknown" as const);
        if (found === "stored") return;
        if (found === "foreign") {
          throw new ToroidError("TOR_FENCED", `another executor writes ${this.#subject}`, {}, { cause: error });
        }
        if (found === "absent" && error instanceof JetStreamApiError && attempt > REFUSALS_MOST) throw error;
        await sleep(backoffMs(attempt, 20, 1_000, Math.random()), undefined, { signal: this.#abandoned }).catch(
          () => undefined,
        );
      }
    }
  }

  /** Did the publish whose answer we do not have (or do not believe) land? */
  async #lookFor(data: Uint8Array): Promise<"stored" | "absent" | "foreign"> {
    const last = await readLast(this.#jet, LOG.name, this.#subject);
    if ((last?.seq ?? 0) === this.#lastSeq) return "absent";
    if (last === null || last.seq < this.#lastSeq) return "absent";
    if (!Buffer.from(last.data).equals(data)) return "foreign";
    this.#lastSeq = last.seq;
    return "stored";
  }
}
