import { DeliverPolicy } from "@nats-io/jetstream";
import type { Jet } from "./jetstream.ts";
import type { Logger } from "./log.ts";

/**
 * Gives every message of a stream to `take`, in order, until `stop`; across reconnects too. Resolves when those that
 * were there at the start have been taken. A message that `take` throws on is logged and passed over.
 */
export async function follow(
  jet: Jet,
  stream: string,
  from: DeliverPolicy,
  stop: AbortSignal,
  log: Logger,
  take: (subject: string, data: Uint8Array, seq: number) => void,
): Promise<void> {
  const consumer = await jet.js.consumers.get(stream, { deliver_policy: from });
  const waiting = from === DeliverPolicy.New ? 0 : (await consumer.info()).num_pending;
  const messages = await consumer.consume();
  stop.addEventListener("abort", () => void messages.close(), { once: true });
  const ready = Promise.withResolvers<void>();
  if (waiting === 0) ready.resolve();
  let read = 0;
  async function run(): Promise<void> {
    for await (const one of messages) {
      jet.watch.saw(stream, one.seq, one.time);
      try {
        take(one.subject, one.data, one.seq);
      } catch (error) {
        log.error({ err: error, subject: one.subject, seq: one.seq }, "a message cannot be read");
      }
      read += 1;
      // Of those that were there some may have been replaced or removed before they could be read.
      if (read >= waiting || one.info.pending === 0) ready.resolve();
    }
  }
  run().catch((error: unknown) => {
    log.error({ err: error, stream }, "a stream is no longer followed");
    ready.reject(error);
  });
  await ready.promise;
}
