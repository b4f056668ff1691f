import type { ServerResponse } from "node:http";

/** What one client may leave unread before it is told to start over. */
const QUEUE_BYTES = 512 * 1024;
const HEARTBEAT_MS = 15_000;

export interface SseStream {
  /** False when the client is gone or was sent away. */
  send(event: string, data: unknown, id?: string): boolean;
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
  });
  response.write(": hello\n\n");
  const closed = new AbortController();
  const beat = setInterval(() => response.write(": still here\n\n"), HEARTBEAT_MS);
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

  return {
    closed: closed.signal,
    close: end,
    send(event, data, id) {
      if (closed.signal.aborted) return false;
      if (response.writableLength > QUEUE_BYTES) {
        response.write("event: resync\ndata: {}\n\n");
        end();
        return false;
      }
      const idLine = id === undefined ? "" : `id: ${id}\n`;
      response.write(`${idLine}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      return true;
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
