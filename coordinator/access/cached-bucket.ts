/**
 * What each request looks up in a bucket: kept in memory, and forgotten as soon as anybody changes it. A change that is
 * not heard of, because the connection was away, counts after {@link FRESH_MS} all the same.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type KV, KvWatchInclude } from "@nats-io/kv";
import type { z } from "zod";
import type { Logger } from "../../kit/log.ts";
import { decode } from "../../protocol/codec.ts";

const FRESH_MS = 30_000;
const AGAIN_MS = 1_000;
const MOST = 5_000;

interface Kept<T> {
  readonly value: T;
  readonly untilMs: number;
}

export class CachedBucket<T> {
  readonly kv: KV;
  readonly #prefix: string;
  readonly #schema: z.ZodType<T>;
  readonly #kept = new Map<string, Kept<T>>();
  readonly #listeners: ((id: string) => void)[] = [];
  /** Grows with every change that is heard of, so that what was read before one is not kept after it. */
  #changes = 0;

  constructor(kv: KV, prefix: string, schema: z.ZodType<T>) {
    this.kv = kv;
    this.#prefix = prefix;
    this.#schema = schema;
  }

  keyOf(id: string): string {
    return `${this.#prefix}.${id}`;
  }

  /** What is known without asking; undefined: nothing. */
  peek(id: string): T | undefined {
    const kept = this.#kept.get(id);
    return kept !== undefined && kept.untilMs > Date.now() ? kept.value : undefined;
  }

  /** Null: there is none. */
  async get(id: string): Promise<T | null> {
    const known = this.peek(id);
    if (known !== undefined) return known;
    const before = this.#changes;
    const entry = await this.kv.get(this.keyOf(id));
    if (entry === null || entry.operation !== "PUT") return null;
    const value = decode(this.#schema, entry.value);
    if (before === this.#changes) this.#keep(id, value);
    return value;
  }

  /** Hears of each id that changed, or went. */
  onChange(listener: (id: string) => void): void {
    this.#listeners.push(listener);
  }

  /** Until `stop`. Resolves when changes are heard of. */
  async follow(stop: AbortSignal, log: Logger): Promise<void> {
    const first = await this.#watch();
    void this.#hear(first, stop, log);
  }

  #watch(): ReturnType<KV["watch"]> {
    return this.kv.watch({ key: `${this.#prefix}.*`, include: KvWatchInclude.UpdatesOnly });
  }

  async #hear(first: Awaited<ReturnType<KV["watch"]>>, stop: AbortSignal, log: Logger): Promise<void> {
    for (let watched = first; !stop.aborted; ) {
      const close = (): void => watched.stop();
      stop.addEventListener("abort", close, { once: true });
      try {
        for await (const { key } of watched) this.#forget(key.slice(this.#prefix.length + 1));
      } catch (error) {
        log.warn({ err: error, bucket: this.#prefix }, "changes of who may do what were not followed; followed again");
      }
      stop.removeEventListener("abort", close);
      const next = await this.#again(stop, log);
      if (next === null) return;
      watched = next;
      this.#changes += 1;
      this.#kept.clear();
    }
  }

  async #again(stop: AbortSignal, log: Logger): Promise<Awaited<ReturnType<KV["watch"]>> | null> {
    while (!stop.aborted) {
      // A coordinator that cannot start ends without having been told to stop: this does not keep it.
      await delay(AGAIN_MS, undefined, { signal: stop, ref: false }).catch(() => undefined);
      if (stop.aborted) return null;
      try {
        const watched = await this.#watch();
        if (!stop.aborted) return watched;
        watched.stop();
      } catch (error) {
        log.debug({ err: error, bucket: this.#prefix }, "changes of who may do what cannot be followed yet");
      }
    }
    return null;
  }

  #forget(id: string): void {
    this.#changes += 1;
    this.#kept.delete(id);
    for (const listener of this.#listeners) listener(id);
  }

  #keep(id: string, value: T): void {
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < MOST) break;
      this.#kept.delete(oldest);
    }
    this.#kept.set(id, { value, untilMs: Date.now() + FRESH_MS });
  }
}
