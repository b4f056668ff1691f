import { setTimeout as delay } from "node:timers/promises";
import type { z } from "zod";
import type { StageId } from "../protocol/ids.ts";
import { type BuildSummary, buildSummary } from "../protocol/summary.ts";
import { buildPath } from "./api.ts";
import { EXIT, Failure } from "./exit.ts";
import { logBytes, logEnd, logPhase, logRemoved } from "./shapes.ts";
import { type ServerEvent, serverEvents } from "./sse.ts";
import type { Context } from "./verb.ts";

/** How often in a row a broken stream is opened again. */
const TRIES = 5;
const PAUSE_MS = 500;
export const POLL_MS = 50;

export interface Followed extends StageId {
  /** 0: the first one, once there is one. */
  readonly attempt: number;
}

/** Where a stage's log is; `follow` keeps it open until the stage ended. */
export function logPath({ stage, round, attempt, ...build }: Followed, follow: boolean): string {
  const query = new URLSearchParams({ round: String(round), follow: follow ? "1" : "0" });
  if (attempt > 0) query.set("attempt", String(attempt));
  return `${buildPath(build)}/stages/${encodeURIComponent(stage)}/log?${query.toString()}`;
}

/**
 * Prints a log as events bring it, with `--json` a line an event. With `follow`, until the stage ended: goes on where
 * it was when the connection breaks, and with the next attempt when one is lost. Exits with 1 when it did not pass.
 */
export async function followLog(context: Context, what: Followed, follow: boolean): Promise<number> {
  for (let of = what; ; ) {
    const outcome = (await printAttempt(context, of, follow)) ?? (follow ? await outcomeOf(context, of) : "passed");
    if (typeof outcome === "string") return outcome === "passed" || outcome === "skipped" ? EXIT.ok : EXIT.failed;
    context.err(`toroid: attempt ${of.attempt || 1} was lost; going on with attempt ${outcome}`);
    of = { ...of, attempt: outcome };
  }
}

/** Answers the outcome of the stage; null while it has none. */
async function printAttempt(context: Context, of: Followed, follow: boolean): Promise<string | null> {
  const signal = context.interrupted();
  let lastId: string | null = null;
  for (let failures = 0; ; ) {
    try {
      const accept = { accept: "text/event-stream" };
      const headers = lastId === null ? accept : { ...accept, "last-event-id": lastId };
      const bytes: AsyncIterable<Uint8Array> = await context.api().stream(logPath(of, follow), headers, signal);
      for await (const event of serverEvents(bytes)) {
        failures = 0;
        const end = await show(context, event);
        lastId = event.id ?? lastId;
        if (end !== null) return end.outcome;
      }
      throw new Failure(EXIT.server, "TOR_SERVER_UNREACHABLE", "the log broke off before its end");
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

/** The log ends a little before the stage does: waits for its outcome, or for the number of its next attempt. */
async function outcomeOf(context: Context, of: Followed): Promise<string | number> {
  const signal = context.interrupted();
  for (;;) {
    const build: BuildSummary = await context.api().get(buildPath(of), buildSummary);
    const stage = build.stages.find((one) => one.name === of.stage && one.round === of.round);
    if (stage === undefined) return "unknown";
    if (stage.outcome !== null) return stage.outcome;
    if (stage.attempt > (of.attempt || 1)) return stage.attempt;
    await pause(POLL_MS, signal);
  }
}

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

/** Prints one event; answers the one that ends the log. */
async function show({ json, out, err }: Context, event: ServerEvent): Promise<z.output<typeof logEnd> | null> {
  switch (event.event) {
    case "bytes": {
      const { offset, text } = read(logBytes, event);
      const bytes = Buffer.from(text, "base64");
      await out(json ? line({ kind: "bytes", offset, text: bytes.toString("utf8") }) : bytes);
      return null;
    }
    case "removed": {
      const removed = read(logRemoved, event);
      if (json) await out(line({ kind: "removed", ...removed }));
      else err(removedText(removed.bytes, removed.sinceMs === null ? null : new Date(removed.sinceMs).toISOString()));
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
      return end;
    }
    default:
      return null; // of a newer server
  }
}

/** @param since ISO 8601; null: before its time, for want of room */
export function removedText(bytes: number, since: string | null): string {
  const why = since === null ? "to make room for newer ones" : `since ${since}`;
  return `toroid: ${bytes} bytes before this are not kept any more, ${why}`;
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
