import type { ServerResponse } from "node:http";

/** What one client may leave unread before it is told to start over. */
const QUEUE_BYTES = 512 * 1024;
const HEARTBEAT_MS = 15_000;
const BEAT = Buffer.from(": still here\n\n");
const RESYNC = Buffer.from("event: resync\ndata: {}\n\n");

export interface SseStream {
  /** False when the client is gone or was sent away. */
  send(event: string, data: unknown, id?: string): boolean;
  /** The same of events that are bytes already. */
  write(events: Uint8Array): boolean;
  /** Resolves when the client has taken what was sent, or is gone. */
  drained(): Promise<void>;
  close(): void;
  readonly closed: AbortSignal;
}

/**
 * One client of a stream of server-sent events. A client that does not read costs at most {@link QUEUE_BYTES}: then it
 * gets `resync` as its last event, and must read the state afresh.
 */
export function openSse(response: ServerResponse, stop: AbortSignal): SseStream {
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
  });
  response.write(": hello\n\n");
  const closed = new AbortController();
  const beat = setInterval(() => response.write(BEAT), HEARTBEAT_MS);
  const end = (): void => {
    if (closed.signal.aborted) return;
    closed.abort();
    clearInterval(beat);
    stop.removeEventListener("abort", end);
    response.end();
    // A client that reads nothing never acknowledges the end either.
    setTimeout(() => response.destroy(), 5_000).unref();
  };
  response.on("close", end);
  response.on("error", end);
  stop.addEventListener("abort", end, { once: true });

  function write(events: Uint8Array): boolean {
    if (closed.signal.aborted) return false;
    if (response.writableLength > 0 && response.writableLength + events.byteLength > QUEUE_BYTES) {
      response.write(RESYNC);
      end();
      return false;
    }
    response.write(events);
    return true;
  }

  return {
    closed: closed.signal,
    close: end,
    write,
    send(event, data, id) {
      const idLine = id === undefined ? "" : `id: ${id}\n`;
      return write(Buffer.from(`${idLine}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
    },
    drained() {
      if (!response.writableNeedDrain || closed.signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const done = (): void => {
          response.off("drain", done);
          closed.signal.removeEventListener("abort", done);
          resolve();
        };
        response.on("drain", done);
        closed.signal.addEventListener("abort", done, { once: true });
      });
    },
  };
}
