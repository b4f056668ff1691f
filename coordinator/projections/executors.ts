/** Executors that are there, as far as they say so: for the sentence why something waits, and nothing that decides. */
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import { openBucket } from "../../kit/topology.ts";
import { decode } from "../../protocol/codec.ts";
import { type Presence, presence } from "../../protocol/commands.ts";
import { EXECUTORS, PRESENCE_TTL_MS } from "../../protocol/streams.ts";

export interface Executors {
  /** Those heard of within the life of their presence. */
  alive(nowMs: number): readonly Presence[];
}

/** Follows their presence until `stop`. */
export async function followExecutors(jet: Jet, stop: AbortSignal, log: Logger): Promise<Executors> {
  const known = new Map<string, { readonly said: Presence; readonly atMs: number }>();
  const watched = await (await openBucket(jet, EXECUTORS)).watch();
  stop.addEventListener("abort", () => watched.stop(), { once: true });
  async function run(): Promise<void> {
    for await (const entry of watched) {
      try {
        if (entry.operation === "PUT") known.set(entry.key, { said: decode(presence, entry.value), atMs: Date.now() });
        else known.delete(entry.key);
      } catch (error) {
        log.debug({ err: error, executor: entry.key }, "a presence cannot be read");
      }
    }
  }
  run().catch((error: unknown) => log.warn({ err: error }, "executors are no longer followed"));
  return {
    // A key that runs out is not told of.
    alive: (nowMs) => [...known.values()].filter(({ atMs }) => nowMs - atMs < PRESENCE_TTL_MS).map(({ said }) => said),
  };
}
