/**
 * The few things we do with JetStream, and the traps of each in one place: reading one subject in order, and
 * appending to it with compare-and-set.
 */

import { setTimeout as delay } from "node:timers/promises";
import {
  type DirectMsgRequest,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  type StoredMsg,
} from "@nats-io/jetstream";
import {
  ClosedConnectionError,
  ConnectionError,
  connect,
  DrainingConnectionError,
  headers,
  type NatsConnection,
  NoRespondersError,
  RequestError,
  TimeoutError,
} from "nats";
import { encode } from "../protocol/codec.ts";
import { sentenceOf, ToroidError } from "../protocol/errors.ts";
import { RUN } from "../protocol/streams.ts";
import { versionOf } from "../protocol/versions.ts";
import { StoreClock } from "./store-clock.ts";
import { StoreWatch } from "./store-watch.ts";
import { Turn } from "./turn.ts";

export interface Jet {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** For what is sent often and answers nothing, like acknowledgements. `js.publish` goes by it already. */
  readonly turn: Turn;
  /** For all that is stored or compared with what is; to be started when there are streams. */
  readonly clock: StoreClock;
  /** What was seen of the store, by which it is known to be the same. */
  readonly watch: StoreWatch;
}

/** Header that carries the id of the event in a message, so that an ambiguous publish can be told from another's. */
const EVENT_ID = "Toroid-Event";

/** Codes of the server that the library has no names for. */
const STREAM_STORE_FAILED = 10077;
const INSUFFICIENT_RESOURCES = 10023;
const STORAGE_EXCEEDED = 10047;

/** No answer, or none that says anything of what was asked. */
const AWAY = [
  TimeoutError,
  NoRespondersError,
  RequestError,
  ConnectionError,
  ClosedConnectionError,
  DrainingConnectionError,
  JetStreamApiError,
] as const;

const READ_BATCH = 512;
const REQUEST_TIMEOUT_MS = 5_000;
const APPEND_TRIES = 5;
const DRAIN_MS = 2_000;

/**
 * Connects, and keeps reconnecting for ever.
 *
 * @throws {ToroidError} TOR_NATS_UNREACHABLE when the first connection fails.
 */
export async function connectJet(options: {
  readonly url: string;
  readonly name: string;
}): Promise<Jet & AsyncDisposable> {
  let nc: NatsConnection;
  try {
    nc = await connect({
      servers: options.url,
      name: options.name,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      pingInterval: 5_000,
      maxPingOut: 3,
      noAsyncTraces: true,
    });
  } catch (cause) {
    throw new ToroidError(
      "TOR_NATS_UNREACHABLE",
      `cannot connect to NATS at ${options.url}: ${sentenceOf(cause)}; check that nats-server runs there, and TOROID_NATS_URL`,
      { url: options.url },
      { cause },
    );
  }
  const jsm = await jetstreamManager(nc, { timeout: REQUEST_TIMEOUT_MS, checkAPI: false });
  const js = jetstream(nc, { timeout: REQUEST_TIMEOUT_MS });
  const turn = new Turn();
  const publish = js.publish.bind(js);
  js.publish = (subject, payload, how) => turn.add(() => publish(subject, payload, how));
  const clock = new StoreClock(async () => Date.parse((await jsm.streams.info(RUN.name)).ts ?? ""));
  return {
    nc,
    js,
    jsm,
    turn,
    clock,
    watch: new StoreWatch(),
    async [Symbol.asyncDispose]() {
      clock.stop();
      if (nc.isClosed()) return;
      // Without a server there is nothing to drain to, and draining would wait for one.
      const late = new AbortController();
      const closed = delay(DRAIN_MS, undefined, { signal: late.signal }).then(
        () => nc.close(),
        () => undefined,
      );
      const drained = nc.drain().catch(() => nc.close());
      await Promise.race([drained, closed]);
      late.abort();
    },
  };
}

export interface Stored {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  /** Id of the event in it; empty when the message is not ours. */
  readonly eventId: string;
}

function storedOf(message: StoredMsg): Stored {
  return { seq: message.seq, subject: message.subject, data: message.data, eventId: message.header.get(EVENT_ID) };
}

/** All messages of one subject after sequence `afterSeq`, oldest first. */
export async function readSubject(
  jet: Jet,
  stream: string,
  subject: string,
  afterSeq: number,
): Promise<readonly Stored[]> {
  const found: Stored[] = [];
  for (let from = afterSeq + 1; ; ) {
    const batch = await readBatch(jet, stream, subject, from);
    const last = batch.at(-1);
    if (last === undefined) return found;
    found.push(...batch.map(storedOf));
    // The server may end a batch early, so its size says nothing.
    if (last.pending === 0) return found;
    from = last.seq + 1;
  }
}

/**
 * One batch, by callback: the library's iterator keeps its subscription for as long as the connection lives. It also
 * gives up on a first message only, so that a batch that breaks off has to be noticed here.
 */
async function readBatch(
  jet: Jet,
  stream: string,
  subject: string,
  seq: number,
  size: number = READ_BATCH,
): Promise<readonly StoredMsg[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly StoredMsg[]>();
  const read: StoredMsg[] = [];
  const callback = (done: { err?: Error } | null, message: StoredMsg): void => {
    if (done === null) {
      read.push(message);
      patience.refresh();
    } else if (done.err === undefined || isNotFound(done.err)) resolve(read);
    else reject(asOurs(stream, done.err));
  };
  const query = { seq, next_by_subj: subject, batch: size, callback };
  const batch = await answered(stream, jet.jsm.direct.getBatch(stream, query));
  const broken = new ToroidError("TOR_NATS_UNREACHABLE", `the store did not finish its answer about ${subject}`);
  // Ends the subscription as well, and then calls back.
  const patience = setTimeout(() => batch.stop(broken), REQUEST_TIMEOUT_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(patience);
  }
}

/** Up to `count` messages that match `subject`, from sequence `from` on, oldest first. */
export async function readFrom(
  jet: Jet,
  stream: string,
  subject: string,
  from: number,
  count: number,
): Promise<readonly Stored[]> {
  return (await readBatch(jet, stream, subject, from, count)).map(storedOf);
}

/** The newest message of one subject, or null. */
export async function readLast(jet: Jet, stream: string, subject: string): Promise<Stored | null> {
  return readOne(jet, stream, { last_by_subj: subject });
}

/** The oldest message of one subject that is stored, or null. */
export async function readFirst(jet: Jet, stream: string, subject: string): Promise<Stored | null> {
  return readOne(jet, stream, { seq: 1, next_by_subj: subject });
}

/**
 * Puts a message with a header of ours on a work queue, and answers its sequence; `key` makes a repeat of the same one
 * do nothing, for a while.
 */
export async function enqueue(
  jet: Jet,
  subject: string,
  data: Uint8Array,
  o: { readonly key: string; readonly header: readonly [string, string] },
): Promise<number> {
  const header = headers();
  header.set(...o.header);
  return (await answered(subject, jet.js.publish(subject, data, { msgID: o.key, headers: header }))).seq;
}

/** One message by its sequence, or null when it is not there any more. */
export async function readSequence(jet: Jet, stream: string, seq: number): Promise<StoredMsg | null> {
  try {
    return await jet.jsm.direct.getMessage(stream, { seq });
  } catch (error) {
    if (isNotFound(error)) return null;
    throw asOurs(stream, error);
  }
}

/** The server's answers to a deletion of what is not there: no such sequence, or one that was deleted before. */
const GONE: readonly number[] = [JetStreamApiCodes.NoMessageFound, 10043, 10057];

/** Takes one message away by its sequence; nothing when it is gone already. */
export async function deleteSequence(jet: Jet, stream: string, seq: number): Promise<void> {
  try {
    await jet.jsm.streams.deleteMessage(stream, seq, false);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || !GONE.includes(error.code)) throw asOurs(stream, error);
  }
}

async function readOne(jet: Jet, stream: string, query: DirectMsgRequest): Promise<Stored | null> {
  try {
    const message = await jet.jsm.direct.getMessage(stream, query);
    return message === null ? null : storedOf(message);
  } catch (error) {
    if (isNotFound(error)) return null;
    throw asOurs(stream, error);
  }
}

async function answered<T>(what: string, request: Promise<T>): Promise<T> {
  return request.catch((error: unknown) => {
    throw asOurs(what, error);
  });
}

/** That the store cannot be reached is nothing wrong with what was asked: the same may work later. */
function asOurs(what: string, error: unknown): unknown {
  if (!AWAY.some((type) => error instanceof type) || isRefusal(error)) return error;
  const why = `the store gives no answer about ${what}: ${sentenceOf(error)}`;
  return new ToroidError("TOR_NATS_UNREACHABLE", why, { what }, { cause: error });
}

/** The library has three ways to say that no message matches: an API error, a status, and null. */
function isNotFound(error: unknown): boolean {
  if (error instanceof JetStreamApiError)
    return error.code === JetStreamApiCodes.NoMessageFound || error.status === 404;
  return error instanceof Error && "code" in error && error.code === 404;
}

export type Appended =
  /** `bytes`: how large it is. */
  { readonly kind: "appended"; readonly seq: number; readonly bytes: number } | { readonly kind: "conflict" };

/**
 * Appends one event where `expectedSeq` is still the last sequence of the subject (0: it has no message). It is stored
 * with the version that its readers have to know, unless it says one itself.
 *
 * A publish whose answer is lost may have landed: the subject is read back and the event's own id looked for before
 * anything else. Even a refusal is only believed after that, because a repeated compare-and-set is refused when its
 * first try succeeded.
 *
 * @throws {ToroidError} TOR_NATS_UNREACHABLE when the store cannot be reached within {@link APPEND_TRIES} tries,
 * TOR_DISK_FULL when it has no room.
 */
export async function append(
  jet: Jet,
  stream: string,
  subject: string,
  event: { readonly id: string },
  expectedSeq: number,
): Promise<Appended> {
  const data = encode({ v: versionOf(event), ...event });
  const header = headers();
  header.set(EVENT_ID, event.id);
  let uncertain: unknown = null;
  for (let attempt = 1; attempt <= APPEND_TRIES; attempt += 1) {
    try {
      if (uncertain !== null) {
        const since = await readSubject(jet, stream, subject, expectedSeq);
        const mine = since.find((one) => one.eventId === event.id);
        if (mine !== undefined) return { kind: "appended", seq: mine.seq, bytes: data.byteLength };
        if (since.length > 0) return { kind: "conflict" };
      }
      const ack = await jet.js.publish(subject, data, {
        headers: header,
        expect: { streamName: stream, lastSubjectSequence: expectedSeq },
        retries: 0,
      });
      jet.watch.saw(stream, ack.seq, null);
      return { kind: "appended", seq: ack.seq, bytes: data.byteLength };
    } catch (error) {
      if (isWrongSequence(error) && uncertain === null) return { kind: "conflict" };
      if (isFull(error)) throw fullError(stream, error);
      if (isRefusal(error) && !isWrongSequence(error)) {
        throw new ToroidError(
          "TOR_INTERNAL",
          `the store refused an event on ${subject}: ${sentenceOf(error)}`,
          { subject },
          { cause: error },
        );
      }
      uncertain = error;
    }
  }
  throw new ToroidError(
    "TOR_NATS_UNREACHABLE",
    `an event could not be stored on ${subject}: ${sentenceOf(uncertain)}`,
    { subject },
    { cause: uncertain },
  );
}

function isWrongSequence(error: unknown): boolean {
  return (
    error instanceof JetStreamApiError &&
    (error.code === JetStreamApiCodes.StreamWrongLastSequence ||
      error.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown)
  );
}

/** Either the stream has reached its own limit, or the server that of its whole store. */
function isFull(error: unknown): boolean {
  const codes: readonly number[] = [STREAM_STORE_FAILED, INSUFFICIENT_RESOURCES, STORAGE_EXCEEDED];
  return error instanceof JetStreamApiError && codes.includes(error.code);
}

function fullError(stream: string, cause: unknown): ToroidError {
  return new ToroidError(
    "TOR_DISK_FULL",
    `stream ${stream} is full (${sentenceOf(cause)}): raise TOROID_STORE_BYTES, and max_file_store of nats-server with it`,
    { stream },
    { cause },
  );
}

/** A definite answer of the server, as opposed to no answer. 503: no leader yet, worth another try. */
export function isRefusal(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.status !== 503;
}
