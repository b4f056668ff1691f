/** The coordinator's stream of changes, for as long as somebody listens; goes on after a broken connection. */
import { setTimeout as delay } from "node:timers/promises";
import { EXIT, Failure } from "./exit.ts";
import { type ServerEvent, serverEvents } from "./sse.ts";
import type { Context } from "./verb.ts";

/** How often in a row a stream that cannot be opened is tried. */
const TRIES = 10;
const PAUSE_MS = 500;

export interface Change {
  /** `resync`: something may have been missed, and what is shown has to be read afresh. */
  readonly event: string;
  readonly data: unknown;
  /** Where to go on; null when the coordinator does not say. */
  readonly id: string | null;
}

export const RESYNC = "resync";

/**
 * Ends only by throwing. Begins with `resync`, unless it goes on behind an event that the coordinator still has.
 *
 * @param after id of the last event that was seen
 */
export async function* changes(context: Context, after: string | null): AsyncGenerator<Change> {
  const signal = context.interrupted();
  let last = after;
  for (let failures = 0; ; ) {
    try {
      const accept = { accept: "text/event-stream" };
      const headers = last === null ? accept : { ...accept, "last-event-id": last };
      const bytes: AsyncIterable<Uint8Array> = await context.api().stream("api/v1/events", headers, signal);
      if (failures > 0) context.err("toroid: connected again");
      failures = 0;
      if (last === null) yield { event: RESYNC, data: {}, id: null };
      const heard = (id: string): void => {
        last = id;
      };
      for await (const event of serverEvents(bytes, heard)) {
        yield { event: event.event, data: dataOf(event), id: event.id };
      }
      throw new Failure(EXIT.server, "TOR_SERVER_UNREACHABLE", "the coordinator closed the stream of events");
    } catch (error) {
      signal.throwIfAborted();
      const isServersFault = !(error instanceof Failure) || error.exit === EXIT.server;
      failures += 1;
      if (!isServersFault || failures >= TRIES) throw error;
      if (failures === 1) context.err("toroid: connection lost, trying again");
      await delay(PAUSE_MS * failures, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

function dataOf({ event, data }: ServerEvent): unknown {
  try {
    return JSON.parse(data);
  } catch (cause) {
    const message = `the stream has a ${event} event that is not JSON`;
    throw new Failure(EXIT.usage, "TOR_DECODE", message, { cause });
  }
}
