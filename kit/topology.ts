/** Makes the server's streams, consumers and buckets what `protocol/streams.ts` says, and refuses a server that will not. */
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { ToroidError } from "../protocol/errors.ts";
import { isNewer, metadataOf, type Spoken, spokenOf } from "../protocol/pairing.ts";
import {
  BUCKETS,
  type BucketSpec,
  COMMAND,
  type ConsumerSpec,
  LOG,
  maxBytesOf,
  STREAMS,
  type StreamSpec,
} from "../protocol/streams.ts";
import type { Jet } from "./jetstream.ts";
import { isOlder, MINIMUM_VERSION } from "./nats-server/version.ts";

const NANOS_PER_MS = 1_000_000;

export interface TopologyOptions {
  /** The store that streams share; see `maxBytesOf`. */
  readonly storeBytes: number;
  readonly replicas: number;
  /** How long build output is kept; as long as its stream says when left out. */
  readonly keepLogsMs?: number;
}

/**
 * Creates what is missing, brings limits up to date, reads everything back.
 *
 * @throws {ToroidError} TOR_STREAM_MISMATCH when the server is too old or keeps another configuration than asked for.
 */
export async function ensureTopology(jet: Jet, consumers: readonly ConsumerSpec[], o: TopologyOptions): Promise<void> {
  checkServer(jet);
  for (const spec of STREAMS) await ensureStream(jet, spec, o);
  for (const spec of BUCKETS) await ensureBucket(jet, spec, o);
  for (const spec of consumers) await ensureConsumer(jet, spec);
}

/** @throws {ToroidError} TOR_STREAM_MISMATCH for a server older than {@link MINIMUM_VERSION}. */
export function checkServer(jet: Jet): void {
  const version = jet.nc.info?.version ?? "0.0.0";
  if (isOlder(version, MINIMUM_VERSION)) {
    throw new ToroidError(
      "TOR_STREAM_MISMATCH",
      `nats-server ${version} is too old: Toroid needs ${MINIMUM_VERSION} or newer, because older ones ignore settings that it relies on`,
      { version },
    );
  }
  if (jet.nc.info?.jetstream !== true) {
    throw new ToroidError(
      "TOR_STREAM_MISMATCH",
      `nats-server ${version} runs without JetStream: start it with \`jetstream {}\` in its configuration`,
      {
        version,
      },
    );
  }
}

function streamConfig(spec: StreamSpec, o: TopologyOptions): Partial<StreamConfig> & { name: string } {
  return {
    name: spec.name,
    description: spec.description,
    subjects: [...spec.subjects],
    retention: spec.retention === "workqueue" ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
    discard: spec.discard === "new" ? DiscardPolicy.New : DiscardPolicy.Old,
    storage: StorageType.File,
    max_bytes: maxBytesOf(spec, o.storeBytes),
    max_msgs: spec.maxMessages,
    max_msgs_per_subject: spec.maxMessagesPerSubject,
    max_age: ((spec.name === LOG.name ? o.keepLogsMs : undefined) ?? spec.maxAgeMs) * NANOS_PER_MS,
    max_msg_size: spec.maxMessageBytes,
    max_consumers: spec.maxConsumers,
    allow_direct: spec.allowDirect,
    num_replicas: o.replicas,
  };
}

async function ensureStream(jet: Jet, spec: StreamSpec, o: TopologyOptions): Promise<void> {
  const wanted = streamConfig(spec, o);
  const found = await orNull(JetStreamApiCodes.StreamNotFound, jet.jsm.streams.info(spec.name));
  if (found === null) await withinStore(jet.jsm.streams.add(wanted), spec, o);
  else if (differences(wanted, found.config).length > 0) {
    // Retention and consumer limits cannot be changed in place; what can be is brought up to date.
    const { retention: _retention, max_consumers: _consumers, storage: _storage, ...changeable } = wanted;
    await withinStore(jet.jsm.streams.update(spec.name, changeable), spec, o);
  }
  const kept = (await jet.jsm.streams.info(spec.name)).config;
  refuseDifferences(jet, `stream ${spec.name}`, wanted, kept);
}

/** The server's answer when a stream's `max_bytes` does not fit into what is left of `max_file_store`. */
const INSUFFICIENT_STORAGE = 10047;

async function withinStore(request: Promise<unknown>, spec: StreamSpec, o: TopologyOptions): Promise<void> {
  try {
    await request;
  } catch (cause) {
    if (!(cause instanceof JetStreamApiError) || cause.code !== INSUFFICIENT_STORAGE) throw cause;
    const asked = maxBytesOf(spec, o.storeBytes);
    throw new ToroidError(
      "TOR_STREAM_MISMATCH",
      `nats-server has no room for stream ${spec.name} (${asked} bytes): raise jetstream.max_file_store there above ${o.storeBytes}, or lower TOROID_STORE_BYTES`,
      { stream: spec.name, storeBytes: o.storeBytes },
      { cause },
    );
  }
}

async function ensureConsumer(jet: Jet, spec: ConsumerSpec): Promise<void> {
  const wanted: Partial<ConsumerConfig> = {
    durable_name: spec.name,
    filter_subject: spec.filter,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: spec.ackWaitMs * NANOS_PER_MS,
    max_ack_pending: spec.maxAckPending,
    max_deliver: spec.maxDeliver,
  };
  const found = await orNull(JetStreamApiCodes.ConsumerNotFound, jet.jsm.consumers.info(spec.stream, spec.name));
  if (found === null) await jet.jsm.consumers.add(spec.stream, wanted);
  else if (differences(wanted, found.config).length > 0) await jet.jsm.consumers.update(spec.stream, spec.name, wanted);
  const kept = (await jet.jsm.consumers.info(spec.stream, spec.name)).config;
  refuseDifferences(jet, `consumer ${spec.name} of ${spec.stream}`, wanted, kept);
}

/** Executors make the consumers of their own pool, since pools are theirs to name. */
export async function ensureConsumers(jet: Jet, specs: readonly ConsumerSpec[]): Promise<void> {
  for (const spec of specs) await ensureConsumer(jet, spec);
}

async function ensureBucket(jet: Jet, spec: BucketSpec, o: TopologyOptions): Promise<void> {
  await new Kvm(jet.nc).create(spec.name, {
    description: spec.description,
    history: spec.history,
    ttl: spec.ttlMs,
    max_bytes: maxBytesOf(spec, o.storeBytes),
    replicas: o.replicas,
    allow_direct: true,
  });
}

/** Leaves word of what we, a coordinator, speak; what a newer one has said stays. */
export async function declareSpoken(jet: Jet, spoken: Spoken): Promise<void> {
  const { config } = await jet.jsm.streams.info(COMMAND.name);
  const before = config.metadata ?? {};
  if (!isNewer(spoken, spokenOf(before))) return;
  await jet.jsm.streams.update(COMMAND.name, { metadata: { ...before, ...metadataOf(spoken) } });
}

/** What the coordinators speak; null when none has said so. */
export async function readSpoken(jet: Jet): Promise<Spoken | null> {
  return spokenOf((await jet.jsm.streams.info(COMMAND.name)).config.metadata ?? {});
}

/** Opens a bucket that a coordinator has made. */
export function openBucket(jet: Jet, spec: BucketSpec): Promise<KV> {
  return new Kvm(jet.nc).open(spec.name);
}

function differences(wanted: object, kept: object): readonly string[] {
  const have = new Map(Object.entries(kept));
  return Object.entries(wanted)
    .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(have.get(key)))
    .map(([key, value]) => `${key} is ${JSON.stringify(have.get(key))} and not ${JSON.stringify(value)}`);
}

function refuseDifferences(jet: Jet, what: string, wanted: object, kept: object): void {
  const differs = differences(wanted, kept);
  if (differs.length === 0) return;
  const version = jet.nc.info?.version ?? "unknown";
  throw new ToroidError(
    "TOR_STREAM_MISMATCH",
    `nats-server ${version} keeps ${what} with other settings than asked for: ${differs.join("; ")}. Use the server version that the manual names, or remove the ${what} if it is not Toroid's`,
    { version },
  );
}

async function orNull<T>(code: number, request: Promise<T>): Promise<T | null> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === code) return null;
    throw error;
  }
}
