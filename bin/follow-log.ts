import { setTimeout as delay } from "node:timers/promises";
import type { z } from "zod";
import { EXIT, Failure } from "./exit.ts";
import { logBytes, logEnd, logPhase } from "./shapes.ts";
import { type ServerEvent, serverEvents } from "./sse.ts";
import type { Context } from "./verb.ts";

/** How often in a row a broken stream is opened again. */
const TRIES = 5;
const PAUSE_MS = 500;

/**
 * Prints a log as events bring it, until its stage ended; goes on where it was when the connection breaks. With
 * `--json`, a line an event. Exits with 1 when the stage did not pass.
 */
export async function followLog(context: Context, path: string, follow: boolean): Promise<number> {
  const signal = context.interrupted();
  let lastId: string | null = null;
  for (let failures = 0; ; ) {
    let ended = false;
    try {
      const headers: Record<string, string> = {
        accept: "text/event-stream",
        ...(lastId === null ? {} : { "last-event-id": lastId }),
      };
      const bytes: AsyncIterable<Uint8Array> = await context.api().stream(path, headers, signal);
      for await (const event of serverEvents(bytes)) {
        failures = 0;
        const shown = await show(context, event);
        lastId = event.id ?? lastId;
        if (typeof shown === "number") return shown;
        if (shown === "unfinished") ended = true;
      }
      if (!follow) return EXIT.ok;
      if (ended) {
        context.err("toroid: this attempt did not finish; going on with the next");
        lastId = null;
        await pause(PAUSE_MS, signal);
        continue;
      }
      throw new Failure(EXIT.server, "TOR_SERVER_UNREACHABLE", "the log broke off before its stage ended");
    } catch (error) {
      signal.throwIfAborted();
      const isServersFault = !(error instanceof Failure) || error.exit === EXIT.server;
      failures += 1;
      if (!isServersFault || failures >= TRIES) throw error;
      if (failures === 1) context.err("toroid: connection lost, trying again");
      await pause(PAUSE_MS * failures, signal);
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

/** Answers the exit code once the stage ended, or that only an attempt of it did. */
async function show({ json, out, err }: Context, event: ServerEvent): Promise<number | "unfinished" | null> {
  switch (event.event) {
    case "bytes": {
      const { offset, text } = read(logBytes, event);
      const bytes = Buffer.from(text, "base64");
      await out(json ? line({ kind: "bytes", offset, text: bytes.toString("utf8") }) : bytes);
      return null;
    }
    case "phase": {
      const phase = read(logPhase, event);
      if (json) await out(line({ kind: "phase", ...phase }));
      return null;
    }
    case "end": {
      const end = read(logEnd, event);
      if (json) await out(line({ kind: "end", ...end }));
      else if (end.droppedBytes > 0) err(`toroid: ${end.droppedBytes} bytes over the limit are not in this log`);
      if (end.outcome === null) return "unfinished";
      return end.outcome === "passed" || end.outcome === "skipped" ? EXIT.ok : EXIT.failed;
    }
    default:
      return null; // of a newer server
  }
}

function read<T>(schema: z.ZodType<T>, { event, data }: ServerEvent): T {
  try {
    return schema.parse(JSON.parse(data));
  } catch (cause) {
    throw new Failure(EXIT.usage, "TOR_DECODE", `the log has a ${event} that this version of toroid cannot read`, {
      cause,
    });
  }
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
