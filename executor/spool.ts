/**
 * What could not be said while NATS was away: ends of attempts, and what was printed. It waits in the state directory, a
 * restart of the executor included, and is said as soon as NATS is back, as far as the fence still allows it.
 */
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { append, isRefusal, type Jet, readLast } from "../kit/jetstream.ts";
import type { Logger } from "../kit/log.ts";
import { backoffMs } from "../kit/retry.ts";
import { decode, encode } from "../protocol/codec.ts";
import { dispositionOf, ToroidError } from "../protocol/errors.ts";
import { type StageEvent, stageEvent } from "../protocol/events.ts";
import { formatStage, type StageId } from "../protocol/ids.ts";
import { holds } from "../protocol/stage.ts";
import { LOG, RUN } from "../protocol/streams.ts";
import { stageRunSubject } from "../protocol/subjects.ts";
import { readStage } from "./holding.ts";
import { ChunkStore } from "./log/chunk-store.ts";
import { ChunkFile } from "./spool/chunk-file.ts";

const report = z.looseObject({
  repository: z.string(),
  number: z.number().int().positive(),
  stage: z.string().min(1),
  round: z.number().int().positive(),
  event: stageEvent,
});

/** How long the end of the process waits for what is under way. */
const COURTESY_MS = 1_000;

interface Queue {
  readonly tokens: Set<number>;
  readonly tell: (token: number) => Promise<void>;
  running: Promise<void> | null;
}

/** Attempts are known by their tokens, which no two have. */
export class Spool implements AsyncDisposable {
  readonly #jet: Jet;
  readonly #dir: string;
  readonly #mostBytes: number;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  /** Attempts whose end waits, and that are therefore still ours; told beside the logs, for others wait for them. */
  readonly #ends: Queue = { tokens: new Set(), tell: (token) => this.#tellEnd(token), running: null };
  /** Those of which a log waits. */
  readonly #logs: Queue = { tokens: new Set(), tell: (token) => this.#tellLog(token), running: null };
  #hurry = Promise.withResolvers<void>();

  constructor(jet: Jet, dir: string, mostBytes: number, log: Logger) {
    this.#jet = jet;
    this.#dir = dir;
    this.#mostBytes = mostBytes;
    this.#log = log;
  }

  /** Takes up what a predecessor left. */
  async begin(): Promise<void> {
    for (const name of await readdir(this.#dir)) {
      const [, token, kind] = /^([1-9][0-9]{0,15})\.(end|log)$/.exec(name) ?? [];
      if (kind === "end") this.#ends.tokens.add(Number(token));
      else if (kind === "log") this.#logs.tokens.add(Number(token));
      else await this.#remove(name);
    }
    const [ends, logs] = [this.#ends.tokens.size, this.#logs.tokens.size];
    if (ends + logs > 0) this.#log.info({ ends, logs }, "what waited for NATS is taken up");
    this.#start(this.#ends);
    this.#start(this.#logs);
  }

  /** Tokens whose end waits to be told. */
  get tokens(): readonly number[] {
    return [...this.#ends.tokens];
  }

  /** For the log of one attempt. */
  openLog(token: number, subject: string): Promise<ChunkFile> {
    return ChunkFile.create(this.#path(token, "log"), subject, this.#mostBytes);
  }

  /** What is left of a log is said by and by, or, of one that is whole, removed. */
  async closeLog(token: number, isLeft: boolean): Promise<void> {
    if (!isLeft) return this.#remove(this.#name(token, "log"));
    this.#logs.tokens.add(token);
    this.#start(this.#logs);
  }

  /** Writes down how an attempt ended, before that is reported: so a death in between loses nothing. */
  async keepEnd(id: StageId, token: number, event: StageEvent): Promise<void> {
    const { repository, number, stage, round } = id;
    const path = this.#path(token, "end");
    try {
      await writeFile(`${path}.draft`, encode({ repository, number, stage, round, event }), { mode: 0o600 });
      await rename(`${path}.draft`, path);
    } catch (err) {
      this.#log.warn({ err, token }, "the end of an attempt cannot be kept on disk");
    }
  }

  /** It was reported, or must not be. */
  async dropEnd(token: number): Promise<void> {
    await this.#remove(this.#name(token, "end"));
  }

  /** It could not be reported: that is now done here. */
  tellEnd(token: number): void {
    this.#ends.tokens.add(token);
    this.#start(this.#ends);
  }

  /** The store answers: nothing has to wait any longer. */
  hurry(): void {
    this.#hurry.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const over = Promise.all([this.#ends.running, this.#logs.running]);
    await Promise.race([over, sleep(COURTESY_MS, undefined, { ref: false })]);
  }

  #start(queue: Queue): void {
    if (queue.tokens.size === 0 || this.#stop.signal.aborted) return;
    queue.running ??= this.#run(queue).finally(() => {
      queue.running = null;
      this.#start(queue);
    });
  }

  /** Never rejects. */
  async #run({ tokens, tell }: Queue): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      const [token] = tokens;
      if (token === undefined) return;
      try {
        await tell(token);
        failures = 0;
      } catch (err) {
        if (!isWorthWaiting(err)) {
          this.#log.error({ err, token }, "what waited for NATS is given up");
          await this.#forget(tokens, token);
          continue;
        }
        failures += 1;
        if (failures === 1) this.#log.warn({ err, token }, "what waits for NATS cannot be said yet");
        await this.#pause(backoffMs(failures, 100, 2_000, Math.random()));
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    await Promise.race([this.#hurry.promise, sleep(ms, undefined, { signal }).catch(() => undefined)]);
    this.#hurry = Promise.withResolvers<void>();
  }

  async #forget(tokens: Set<number>, token: number): Promise<void> {
    tokens.delete(token);
    await this.#remove(this.#name(token, tokens === this.#ends.tokens ? "end" : "log"));
  }

  async #tellEnd(token: number): Promise<void> {
    const kept = decode(report, await readFile(this.#path(token, "end")));
    const told = await this.#report(kept, kept.event, token);
    await this.#forget(this.#ends.tokens, token);
    this.#log.info({ token, stage: formatStage(kept), told }, "end of an attempt told late");
  }

  /** While the stage is still that attempt's. An event that landed before ended it, so it is not said twice. */
  async #report(id: StageId, event: StageEvent, token: number): Promise<"told" | "fenced"> {
    for (;;) {
      const { stage, lastSeq } = await readStage(this.#jet, id);
      if (!holds(stage, token)) return "fenced";
      const result = await append(this.#jet, RUN.name, stageRunSubject(id), event, lastSeq);
      if (result.kind === "appended") return "told";
    }
  }

  async #tellLog(token: number): Promise<void> {
    const file = await ChunkFile.open(this.#path(token, "log"));
    if (file !== null) {
      await using _closed = file;
      await this.#publish(file);
    }
    if (!this.#stop.signal.aborted) await this.#forget(this.#logs.tokens, token);
  }

  async #publish(file: ChunkFile): Promise<void> {
    const last = await readLast(this.#jet, LOG.name, file.subject);
    let skip = last === null ? 0 : await placeAfter(file, last.data);
    const store = new ChunkStore(this.#jet, file.subject, last?.seq ?? 0);
    for await (const data of file.all()) {
      if (skip > 0) skip -= 1;
      else if (!(await store.store(data, this.#stop.signal, () => undefined))) return;
    }
  }

  #name(token: number, kind: "end" | "log"): string {
    return `${token}.${kind}`;
  }

  #path(token: number, kind: "end" | "log"): string {
    return join(this.#dir, this.#name(token, kind));
  }

  async #remove(name: string): Promise<void> {
    await rm(join(this.#dir, name), { force: true }).catch((err: unknown) =>
      this.#log.warn({ err, name }, "what waited for NATS cannot be removed"),
    );
  }
}

/** How many records of the file are stored: all up to the one that was stored last. */
async function placeAfter(file: ChunkFile, last: Uint8Array): Promise<number> {
  let at = 0;
  for await (const data of file.all()) {
    at += 1;
    if (data.equals(last)) return at;
  }
  return 0;
}

/** Errors of NATS itself, unless they are an answer, are of a store that is away; all others stay as they are. */
function isWorthWaiting(error: unknown): boolean {
  if (error instanceof ToroidError) return dispositionOf(error) === "retry";
  return !isRefusal(error) && !(error instanceof Error && "code" in error && error.code === "ENOENT");
}
