/** Executors that are there, as far as they say so. */
import { setTimeout as delay } from "node:timers/promises";
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import { openBucket } from "../../kit/topology.ts";
import { decode } from "../../protocol/codec.ts";
import { type Presence, presence } from "../../protocol/commands.ts";
import { EXECUTORS, PRESENCE_TTL_MS } from "../../protocol/streams.ts";

const AGAIN_MS = 1_000;

export interface Executors {
  /** Those heard of within the life of their presence. */
  alive(nowMs: number): readonly Presence[];
  /** Calls back whenever one of them says something, or has gone. */
  listen(listener: () => void): void;
}

/** Follows their presence until `stop`. */
export async function followExecutors(jet: Jet, stop: AbortSignal, log: Logger): Promise<Executors> {
  const known = new Map<string, { readonly said: Presence; readonly atMs: number }>();
  const listeners: (() => void)[] = [];
  const bucket = await openBucket(jet, EXECUTORS);
  async function watch(): Promise<void> {
    const watched = await bucket.watch();
    const close = (): void => watched.stop();
    stop.addEventListener("abort", close, { once: true });
    try {
      if (stop.aborted) close();
      for await (const entry of watched) {
        try {
          if (entry.operation === "PUT")
            known.set(entry.key, { said: decode(presence, entry.value), atMs: Date.now() });
          else known.delete(entry.key);
        } catch (error) {
          log.debug({ err: error, executor: entry.key }, "a presence cannot be read");
        }
        for (const listener of listeners) listener();
      }
    } finally {
      stop.removeEventListener("abort", close);
    }
  }
  async function run(): Promise<void> {
    // A coordinator that cannot start closes its connection without having been told to stop.
    const isOver = (): boolean => stop.aborted || jet.nc.isClosed();
    while (!isOver()) {
      try {
        await watch();
      } catch (error) {
        if (!isOver()) log.warn({ err: error }, "executors were not followed; followed again");
      }
      if (!isOver()) await delay(AGAIN_MS, undefined, { signal: stop }).catch(() => undefined);
    }
  }
  void run();
  return {
    // A key that runs out is not told of.
    alive: (nowMs) => [...known.values()].filter(({ atMs }) => nowMs - atMs < PRESENCE_TTL_MS).map(({ said }) => said),
    listen: (listener) => void listeners.push(listener),
  };
}
