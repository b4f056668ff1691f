/**
 * Notices that NATS came back with an older state than this process has seen, because a backup was restored or a loss
 * of power took what was not on disk. Sequences are given out once more then, so that what is remembered by them means
 * something else; whoever remembers has to begin afresh.
 */
import { setTimeout as delay } from "node:timers/promises";
import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import { ToroidError } from "../protocol/errors.ts";
import { RUN } from "../protocol/streams.ts";
import type { Jet } from "./jetstream.ts";
import type { Logger } from "./log.ts";

const LOOK_MS = 5_000;
/** The same instant is told in two ways, rounded differently. */
const ROUNDING_MS = 1;

interface Seen {
  readonly seq: number;
  /** When it was stored; null while only its sequence is known, by the answer to an append. */
  readonly atMs: number | null;
}

/** The newest message of each stream that this process has seen. */
export class StoreWatch {
  readonly #seen = new Map<string, Seen>();

  saw(stream: string, seq: number, time: Date | null): void {
    const known = this.#seen.get(stream);
    if (known !== undefined && (known.seq > seq || (known.seq === seq && time === null))) return;
    this.#seen.set(stream, { seq, atMs: time?.getTime() ?? null });
  }

  /** Sees the newest message of TOROID_RUN, and answers how the store is older than what was seen before; null: it is not. */
  async look(jet: Jet): Promise<string | null> {
    let newest: Last | null = null;
    for (const [stream, seen] of this.#seen) {
      const last = await lastOf(jet, stream);
      if (last === null) return `${stream} is gone`;
      if (stream === RUN.name) newest = last;
      if (last.seq < seen.seq) return `${stream} ends at ${last.seq}, and ended at ${seen.seq} before`;
      if (seen.atMs === null) continue;
      const there = last.seq === seen.seq ? last.at.getTime() : await timeOf(jet, stream, seen.seq);
      // What was removed since tells nothing.
      if (there !== null && Math.abs(there - seen.atMs) > ROUNDING_MS)
        return `${stream} has another message ${seen.seq}`;
    }
    newest ??= await lastOf(jet, RUN.name);
    if (newest !== null && newest.seq > 0) this.saw(RUN.name, newest.seq, newest.at);
    return null;
  }
}

interface Last {
  readonly seq: number;
  readonly at: Date;
}

/** Null: there is no such stream. */
async function lastOf(jet: Jet, stream: string): Promise<Last | null> {
  try {
    const { state } = await jet.jsm.streams.info(stream);
    return { seq: state.last_seq, at: new Date(state.last_ts) };
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound) return null;
    throw error;
  }
}

async function timeOf(jet: Jet, stream: string, seq: number): Promise<number | null> {
  const message = await jet.jsm.direct.getMessage(stream, { seq }).catch((error: unknown) => {
    if (error instanceof JetStreamApiError) return null;
    throw error;
  });
  return message?.time.getTime() ?? null;
}

/** Calls `act` whenever the connection was lost, and again when it is there once more; until it is closed. */
export function onReconnect(jet: Jet, act: () => void): void {
  async function run(): Promise<void> {
    for await (const { type } of jet.nc.status()) if (type === "disconnect" || type === "reconnect") act();
  }
  void run();
}

/**
 * Looks now and then, and after every loss of the connection, until `stop`.
 *
 * @throws {ToroidError} TOR_STORE_OLDER
 */
export async function watchStore(jet: Jet, stop: AbortSignal, log: Logger): Promise<void> {
  let hurry = new AbortController();
  onReconnect(jet, () => hurry.abort());
  while (!stop.aborted) {
    try {
      const how = await jet.watch.look(jet);
      if (how !== null) {
        throw new ToroidError(
          "TOR_STORE_OLDER",
          `NATS has an older state than this process has seen (${how}): what it remembers is void, so it ends, to be started afresh`,
        );
      }
    } catch (error) {
      if (error instanceof ToroidError) throw error;
      log.debug({ err: error }, "the store could not be looked at");
    }
    await delay(LOOK_MS, undefined, { signal: AbortSignal.any([stop, hurry.signal]) }).catch(() => undefined);
    hurry = new AbortController();
  }
}
