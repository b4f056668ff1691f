/** Build output as it is stored: in order, from any offset, while it is written and afterwards. */
import { DeliverPolicy } from "@nats-io/jetstream";
import { type Jet, readFirst } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import type { StageId } from "../../protocol/ids.ts";
import { type LogChunk, logChunk } from "../../protocol/log.ts";
import { LOG } from "../../protocol/streams.ts";
import { logSubject } from "../../protocol/subjects.ts";
import type { StageSummary } from "../../protocol/summary.ts";

/** How long a request for chunks waits for one; the library allows no less. */
const FETCH_MS = 1_000;
const BATCH = 64;
const NANOS_PER_MS = 1e6;

/** The beginning of a log, when it is not kept any more. */
export interface Removed {
  /** From the offset that was asked for. */
  readonly bytes: number;
  /** When its time was over, in milliseconds since 1970; null: it went before, to make room for newer ones. */
  readonly sinceMs: number | null;
}

/** What a reader from byte `offset` on will not see, since it was stored and is not now; null: nothing. */
export async function removedOf(
  jet: Jet,
  id: StageId,
  attempt: number,
  offset: number,
  stage: Pick<StageSummary, "attempt" | "logBytes" | "finishedAtMs">,
): Promise<Removed | null> {
  const { attempt: last, logBytes, finishedAtMs } = stage;
  const first = await readFirst(jet, LOG.name, logSubject(id, attempt));
  // Of an earlier attempt it is not known how much it was.
  const known = attempt === last && finishedAtMs !== null ? logBytes : 0;
  const bytes = (first === null ? known : decode(logChunk, first.data).offset) - offset;
  if (bytes <= 0) return null;
  const { max_age } = (await jet.jsm.streams.info(LOG.name)).config;
  const overAtMs = finishedAtMs === null ? Number.POSITIVE_INFINITY : finishedAtMs + max_age / NANOS_PER_MS;
  return { bytes, sinceMs: max_age > 0 && overAtMs <= jet.clock.nowMs() ? overAtMs : null };
}

/**
 * Chunks of one attempt from byte `offset` on. Ends after `end`; also when nothing more is stored and `isOver` says
 * that nothing will be (a lost attempt has no `end`); also when `signal` aborts.
 */
export async function* readLog(
  jet: Jet,
  id: StageId,
  attempt: number,
  offset: number,
  isOver: () => Promise<boolean>,
  signal: AbortSignal,
): AsyncGenerator<LogChunk> {
  const subject = logSubject(id, attempt);
  const consumer = await jet.js.consumers.get(LOG.name, {
    filter_subjects: [subject],
    deliver_policy: DeliverPolicy.All,
  });
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    // Asked before reading: what is stored until then is read below, whatever the answer.
    const over = await isOver();
    if (over && isFirst && (await consumer.info()).num_pending === 0) return;
    const messages = await consumer.fetch({ max_messages: BATCH, expires: FETCH_MS });
    const close = (): void => void messages.close();
    signal.addEventListener("abort", close, { once: true });
    let count = 0;
    let isLast = false;
    try {
      for await (const message of messages) {
        count += 1;
        isLast = over && message.info.pending === 0;
        const chunk = from(decode(logChunk, message.data), offset);
        if (chunk !== null) yield chunk;
        if (chunk?.kind === "end") return;
        if (isLast) break;
      }
    } finally {
      signal.removeEventListener("abort", close);
      await messages.close();
    }
    if (isLast || (over && count === 0)) return;
  }
}

/** The part of a chunk that lies at or after `offset`; null when none does. */
function from(chunk: LogChunk, offset: number): LogChunk | null {
  if (chunk.kind !== "bytes") return chunk.offset >= offset || chunk.kind === "end" ? chunk : null;
  const skip = offset - chunk.offset;
  if (skip <= 0) return chunk;
  if (skip >= chunk.data.byteLength) return null;
  return { ...chunk, offset, data: chunk.data.subarray(skip) };
}
