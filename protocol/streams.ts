/**
 * Every stream, consumer and bucket, as data: names, subjects, limits. `kit/jetstream.ts` creates them at start or
 * checks that they are as written here; nothing else in the system makes one.
 *
 * Sizes are ceilings, not reservations, and shares of one store, so that their sum stays below the server's
 * `max_file_store`. Each stream has a hard `max_bytes` and an explicit `max_consumers`, because the server's defaults let one of them starve the others.
 */

import { escapeToken, unescapeToken } from "./ids.ts";
import type { CommandQueue } from "./subjects.ts";
import { commandFilter } from "./subjects.ts";

const MIB = 1024 * 1024;
const SECOND_MS = 1_000;
const DAY_MS = 24 * 60 * 60 * SECOND_MS;

export interface StreamSpec {
  readonly name: string;
  readonly description: string;
  readonly subjects: readonly string[];
  readonly retention: "limits" | "workqueue";
  /** `old` drops the oldest message when a limit is reached, `new` refuses the publish. */
  readonly discard: "old" | "new";
  /** Part of the store that this stream may fill; see {@link maxBytesOf}. */
  readonly share: number;
  readonly maxMessages: number;
  readonly maxMessagesPerSubject: number;
  readonly maxAgeMs: number;
  readonly maxMessageBytes: number;
  readonly maxConsumers: number;
  readonly allowDirect: boolean;
}

export interface ConsumerSpec {
  readonly stream: string;
  readonly name: string;
  readonly filter: string;
  /** How long a message may be in hand without a sign of life. */
  readonly ackWaitMs: number;
  readonly maxAckPending: number;
  /** -1: for ever. */
  readonly maxDeliver: number;
}

export interface BucketSpec {
  readonly name: string;
  readonly description: string;
  readonly history: number;
  /** How long a key lives without being written; 0: for ever. */
  readonly ttlMs: number;
  readonly share: number;
}

const UNBOUNDED = -1;

export const RUN: StreamSpec = {
  name: "TOROID_RUN",
  description: "the truth: one event log per build and per stage",
  subjects: ["toroid.run.>"],
  retention: "limits",
  discard: "new",
  share: 0.3,
  maxMessages: UNBOUNDED,
  maxMessagesPerSubject: UNBOUNDED,
  maxAgeMs: 0,
  maxMessageBytes: UNBOUNDED,
  maxConsumers: 64,
  allowDirect: true,
};

export const LANE: StreamSpec = {
  name: "TOROID_LANE",
  description: "queue, pause and what is live, per environment; every message carries the lane before it",
  subjects: ["toroid.lane.>"],
  retention: "limits",
  discard: "new",
  share: 0.05,
  maxMessages: UNBOUNDED,
  maxMessagesPerSubject: 1_000,
  maxAgeMs: 0,
  maxMessageBytes: UNBOUNDED,
  maxConsumers: 64,
  allowDirect: true,
};

export const PUSH: StreamSpec = {
  name: "TOROID_PUSH",
  description: "what each repository accepted, in order: identity and build number in one append",
  subjects: ["toroid.push.*"],
  retention: "limits",
  discard: "new",
  share: 0.08,
  maxMessages: UNBOUNDED,
  // Twice as many as a repository remembers (`coordinator/actors/repository.ts`).
  maxMessagesPerSubject: 4_000,
  maxAgeMs: 0,
  maxMessageBytes: UNBOUNDED,
  maxConsumers: 64,
  allowDirect: true,
};

export const COMMAND: StreamSpec = {
  name: "TOROID_CMD",
  description: "hints to executors that a stage waits",
  subjects: ["toroid.cmd.>"],
  retention: "workqueue",
  discard: "new",
  share: 0.03,
  maxMessages: 100_000,
  maxMessagesPerSubject: UNBOUNDED,
  maxAgeMs: 0,
  maxMessageBytes: UNBOUNDED,
  maxConsumers: 256,
  allowDirect: true,
};

export const BUILD: StreamSpec = {
  name: "TOROID_BUILD",
  description: "one summary per build, newest only",
  subjects: ["toroid.build.*.*"],
  retention: "limits",
  discard: "old",
  share: 0.2,
  maxMessages: UNBOUNDED,
  maxMessagesPerSubject: 1,
  maxAgeMs: 0,
  maxMessageBytes: UNBOUNDED,
  maxConsumers: 1_000,
  allowDirect: true,
};

export const LOG: StreamSpec = {
  name: "TOROID_LOG",
  description: "build output",
  subjects: ["toroid.log.>"],
  retention: "limits",
  discard: "old",
  share: 0.22,
  maxMessages: UNBOUNDED,
  maxMessagesPerSubject: UNBOUNDED,
  maxAgeMs: 30 * DAY_MS,
  maxMessageBytes: 128 * 1024,
  maxConsumers: 10_000,
  allowDirect: true,
};

export const EVENTS: StreamSpec = {
  name: "TOROID_EVENTS",
  description: "JSON for people and other systems; never read back",
  subjects: ["toroid.events.>"],
  retention: "limits",
  discard: "old",
  share: 0.04,
  maxMessages: UNBOUNDED,
  maxMessagesPerSubject: UNBOUNDED,
  maxAgeMs: 30 * DAY_MS,
  maxMessageBytes: 128 * 1024,
  maxConsumers: 10_000,
  allowDirect: true,
};

export const DEAD: StreamSpec = {
  name: "TOROID_DLQ",
  description: "advisories about commands that no executor could take",
  subjects: [
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.TOROID_CMD.>",
    "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.TOROID_CMD.>",
  ],
  retention: "limits",
  discard: "old",
  share: 0.005,
  maxMessages: UNBOUNDED,
  maxMessagesPerSubject: UNBOUNDED,
  maxAgeMs: 30 * DAY_MS,
  maxMessageBytes: UNBOUNDED,
  maxConsumers: 64,
  allowDirect: true,
};

export const TIMER: StreamSpec = {
  name: "TOROID_TIMER",
  description: "when a stage has to be looked at again, for those that have such a time",
  subjects: ["toroid.timer.>"],
  retention: "limits",
  discard: "old",
  share: 0.003,
  maxMessages: UNBOUNDED,
  maxMessagesPerSubject: 1,
  maxAgeMs: 30 * DAY_MS,
  maxMessageBytes: UNBOUNDED,
  maxConsumers: 256,
  allowDirect: true,
};

export const WAIT: StreamSpec = {
  name: "TOROID_WAIT",
  description: "queued stages whose command is held back until their turn, or until somebody can run them",
  subjects: ["toroid.wait.>"],
  retention: "limits",
  discard: "new",
  share: 0.005,
  maxMessages: 200_000,
  maxMessagesPerSubject: UNBOUNDED,
  maxAgeMs: 0,
  maxMessageBytes: UNBOUNDED,
  maxConsumers: 256,
  allowDirect: true,
};

/** Those that were refused have a subject of their own, so that no flood of them takes the place of the others. */
export const AUDIT: StreamSpec = {
  name: "TOROID_AUDIT",
  description: "who asked for which change, from where and why, and what came of it",
  subjects: ["toroid.audit.*"],
  retention: "limits",
  discard: "old",
  share: 0.02,
  maxMessages: UNBOUNDED,
  maxMessagesPerSubject: 100_000,
  maxAgeMs: 365 * DAY_MS,
  maxMessageBytes: 16 * 1024,
  maxConsumers: 1_000,
  allowDirect: true,
};

export const LETTER: StreamSpec = {
  name: "TOROID_LETTER",
  description: "dead letters: what nobody could take, and what people did about it; every message carries its letter",
  subjects: ["toroid.letter.*"],
  retention: "limits",
  discard: "old",
  share: 0.005,
  maxMessages: 5_000,
  maxMessagesPerSubject: 1,
  maxAgeMs: 30 * DAY_MS,
  maxMessageBytes: UNBOUNDED,
  maxConsumers: 256,
  allowDirect: true,
};

/** Kept as long as builds usually are, so that what was said of them can be looked up. */
export const NOTIFY: StreamSpec = {
  name: "TOROID_NOTIFY",
  description: "notifications, until they are delivered or given up, and what became of them",
  subjects: ["toroid.notify.>", "toroid.told.>"],
  retention: "limits",
  discard: "old",
  share: 0.015,
  maxMessages: UNBOUNDED,
  maxMessagesPerSubject: 1,
  maxAgeMs: 90 * DAY_MS,
  maxMessageBytes: 64 * 1024,
  maxConsumers: 256,
  allowDirect: true,
};

export const STREAMS: readonly StreamSpec[] = [
  PUSH,
  RUN,
  LANE,
  COMMAND,
  BUILD,
  LOG,
  EVENTS,
  TIMER,
  WAIT,
  DEAD,
  AUDIT,
  LETTER,
  NOTIFY,
];

/** Events that one coordinator has in hand at most; hardly any of them for longer than people's view of them lags. */
export const REACTOR_IN_HAND = 4_000;
/** Coordinators share these: whichever is free reacts to the next event. */
const REACTOR = { ackWaitMs: 10 * SECOND_MS, maxAckPending: 8 * REACTOR_IN_HAND, maxDeliver: -1 } as const;

export const PUSH_REACTOR: ConsumerSpec = { stream: PUSH.name, name: "reactor", filter: "toroid.push.*", ...REACTOR };
export const RUN_REACTOR: ConsumerSpec = { stream: RUN.name, name: "reactor", filter: "toroid.run.>", ...REACTOR };
export const LANE_REACTOR: ConsumerSpec = { stream: LANE.name, name: "reactor", filter: "toroid.lane.>", ...REACTOR };
export const DEAD_REACTOR: ConsumerSpec = {
  stream: DEAD.name,
  name: "reactor",
  filter: "$JS.EVENT.ADVISORY.CONSUMER.>",
  ...REACTOR,
};
export const LETTER_REACTOR: ConsumerSpec = {
  stream: LETTER.name,
  name: "reactor",
  filter: "toroid.letter.*",
  ...REACTOR,
};
export const REACTORS: readonly ConsumerSpec[] = [
  PUSH_REACTOR,
  RUN_REACTOR,
  LANE_REACTOR,
  DEAD_REACTOR,
  LETTER_REACTOR,
];

/** How long an executor may be silent before another may take its stages. */
export const PRESENCE_TTL_MS = 8 * SECOND_MS;

/** Executors of a pool share one consumer per queue. A command is held, with signs of life, until its stage ended. */
export function executorConsumer(pool: string, queue: CommandQueue): ConsumerSpec {
  return {
    stream: COMMAND.name,
    name: `executors_${escapeToken(pool)}_${queue}`,
    filter: commandFilter(pool, queue),
    ackWaitMs: PRESENCE_TTL_MS,
    maxAckPending: 10_000,
    // A command that is looked at while its stage is held counts a delivery each time, once a second.
    maxDeliver: 100_000,
  };
}

/** The pool that a consumer of {@link executorConsumer} is of; null for one that is none. */
export function poolOfConsumer(name: string): string | null {
  const token = /^executors_(.+)_(?:plan|work)$/.exec(name)?.[1];
  return token === undefined ? null : unescapeToken(token);
}

/** Executors, by id; a key that is not renewed disappears. */
export const EXECUTORS: BucketSpec = {
  name: "toroid_exec",
  description: "presence of executors",
  history: 1,
  ttlMs: PRESENCE_TTL_MS,
  share: 0.01,
};

/** Executors that were asked from outside to take nothing new. Their ids die with them, so the orders do after a while. */
export const DRAINS: BucketSpec = {
  name: "toroid_drain",
  description: "executors that are to take nothing new, and who said so",
  history: 1,
  ttlMs: 30 * DAY_MS,
  share: 0.001,
};

/** Who does what one of several coordinators is enough for. */
export const LEASES: BucketSpec = {
  name: "toroid_lease",
  description: "short leases of coordinators",
  history: 1,
  ttlMs: 5 * SECOND_MS,
  share: 0.001,
};

/** How far the builds of each repository are archived; what is lost of it is found again. */
export const ARCHIVE: BucketSpec = {
  name: "toroid_archive",
  description: "how far each repository's builds are archived",
  history: 1,
  ttlMs: 0,
  share: 0.001,
};

/** Tokens for the API, of which only hashes are kept, and when each was used last. */
export const TOKENS: BucketSpec = {
  name: "toroid_token",
  description: "tokens for the API: hashes, roles, expiry",
  history: 1,
  ttlMs: 0,
  share: 0.002,
};

/** People who are signed in. Each says itself when it ends; none is kept for longer than the longest there may be. */
export const SESSIONS: BucketSpec = {
  name: "toroid_session",
  description: "people who are signed in at the page",
  history: 1,
  ttlMs: 31 * DAY_MS,
  share: 0.003,
};

export const BUCKETS: readonly BucketSpec[] = [EXECUTORS, DRAINS, LEASES, ARCHIVE, TOKENS, SESSIONS];

/** The store that the shares are taken from unless the operator names another size. */
export const DEFAULT_STORE_BYTES = 8 * 1024 * MIB;

/** The ceiling of one stream or bucket in a store of `storeBytes`: shares add up to less than 1, so all fit. */
export function maxBytesOf(spec: { readonly share: number }, storeBytes: number): number {
  return Math.floor(spec.share * storeBytes);
}
