import { createParser } from "eventsource-parser";

/** One event of a server-sent event stream. */
export interface ServerEvent {
  readonly event: string;
  readonly data: string;
  /** The last id that was seen, this event's included; null before any. */
  readonly id: string | null;
}

/**
 * Reads `text/event-stream`. An event that the end cuts off is dropped, as the standard has it.
 *
 * @param at told of ids, also of one that comes without an event
 */
export async function* serverEvents(
  bytes: AsyncIterable<Uint8Array>,
  at: (id: string) => void = () => undefined,
): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let id: string | null = null;
  let read: ServerEvent[] = [];
  const parser = createParser({
    onId: (seen) => {
      id = seen;
      at(seen);
    },
    onEvent: ({ event = "message", data }) => read.push({ event, data, id }),
  });
  for await (const chunk of bytes) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    const now = read;
    read = [];
    yield* now;
  }
}
