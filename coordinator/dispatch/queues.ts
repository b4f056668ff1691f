/** The queues of all pools: how much each may hold, by the executors that are there, and how much it does. */
import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import type { RunsOn } from "../../protocol/pipeline/plan.ts";
import { COMMAND, executorConsumer } from "../../protocol/streams.ts";
import type { CommandQueue } from "../../protocol/subjects.ts";
import type { Executors } from "../projections/executors.ts";
import { Gauge } from "./gauge.ts";
import { depthOf, type Pool, poolsFor, poolsOf } from "./route.ts";

/** Executors that say nothing are forgotten after a while, which nothing tells. */
const POOLS_MS = 1_000;
/** How often one queue is looked at, at most, and how often when nothing presses. */
const [LOOK_LEAST_MS, LOOK_MS] = [25, 1_000];

interface Watched {
  readonly pool: string;
  readonly queue: CommandQueue;
  readonly gauge: Gauge;
  lookedAtMs: number;
  looking: Promise<void> | null;
}

export class Queues {
  readonly #jet: Jet;
  readonly #executors: Executors;
  readonly #log: Logger;
  readonly #onRoom: () => void;
  readonly #watched = new Map<string, Watched>();
  /** By the `queued` event, for as long as its command waits. */
  readonly #of = new Map<number, Watched>();
  #pools: readonly Pool[] = [];
  #poolsAtMs = Number.NEGATIVE_INFINITY;
  #version = 0;
  /** By wish, for as long as the pools stay the same. */
  readonly #candidates = new Map<string, readonly string[]>();

  /** @param onRoom called when there may be more room than before */
  constructor(jet: Jet, executors: Executors, log: Logger, onRoom: () => void) {
    this.#jet = jet;
    this.#executors = executors;
    this.#log = log;
    this.#onRoom = onRoom;
    executors.listen(() => {
      this.#poolsAtMs = Number.NEGATIVE_INFINITY;
      onRoom();
    });
  }

  /** The pools that a wish can be sent to; see `poolsFor`. */
  candidates(wish: RunsOn): readonly string[] {
    const { pools } = this;
    const key = `${wish.pool ?? ""} ${wish.labels.join(" ")}`;
    let known = this.#candidates.get(key);
    if (known === undefined) {
      known = poolsFor(wish, pools);
      this.#candidates.set(key, known);
    }
    return known;
  }

  get pools(): readonly Pool[] {
    this.#refresh();
    return this.#pools;
  }

  /** Grows when `pools` may have changed. */
  get version(): number {
    this.#refresh();
    return this.#version;
  }

  hasRoom(pool: string, queue: CommandQueue): boolean {
    const watched = this.#at(pool, queue);
    const most = depthOf(this.pools, pool, queue);
    const { depth } = watched.gauge;
    // Others take what we send, and send as well; a look in time tells before it matters.
    if (depth * 2 >= most) void this.#lookAt(watched, LOOK_LEAST_MS);
    return depth < most;
  }

  sending(pool: string, queue: CommandQueue, queuedSeq: number): void {
    const watched = this.#at(pool, queue);
    watched.gauge.sending(queuedSeq);
    this.#of.set(queuedSeq, watched);
  }

  sent(queuedSeq: number, seq: number): void {
    this.#of.get(queuedSeq)?.gauge.sent(queuedSeq, seq);
  }

  /** Says whether that made room. */
  taken(queuedSeq: number): boolean {
    const watched = this.#of.get(queuedSeq);
    this.#of.delete(queuedSeq);
    return watched?.gauge.gone(queuedSeq) === true;
  }

  /** Looks at every queue that something is known to wait in, unless that was done lately. */
  async look(): Promise<void> {
    const all = [...this.#watched.values()].filter(({ gauge }) => gauge.depth > 0);
    await Promise.all(
      all.map((one) => {
        const presses = one.gauge.depth >= depthOf(this.pools, one.pool, one.queue);
        return this.#lookAt(one, presses ? LOOK_LEAST_MS : LOOK_MS);
      }),
    );
  }

  #refresh(): void {
    const nowMs = performance.now();
    if (nowMs - this.#poolsAtMs <= POOLS_MS) return;
    this.#poolsAtMs = nowMs;
    this.#pools = poolsOf(this.#executors.alive(Date.now()));
    this.#candidates.clear();
    this.#version += 1;
  }

  #at(pool: string, queue: CommandQueue): Watched {
    const key = `${pool} ${queue}`;
    const known = this.#watched.get(key);
    if (known !== undefined) return known;
    const made = { pool, queue, gauge: new Gauge(), lookedAtMs: Number.NEGATIVE_INFINITY, looking: null };
    this.#watched.set(key, made);
    return made;
  }

  #lookAt(watched: Watched, everyMs: number): Promise<void> {
    const nowMs = performance.now();
    if (watched.looking === null && nowMs - watched.lookedAtMs >= everyMs) {
      watched.lookedAtMs = nowMs;
      watched.looking = this.#ask(watched).finally(() => {
        watched.looking = null;
      });
    }
    return watched.looking ?? Promise.resolve();
  }

  async #ask({ pool, queue, gauge }: Watched): Promise<void> {
    const before = gauge.depth;
    try {
      const { name } = executorConsumer(pool, queue);
      const { num_pending: pending, delivered } = await this.#jet.jsm.consumers.info(COMMAND.name, name);
      for (const queuedSeq of gauge.looked(pending, delivered.stream_seq)) this.#of.delete(queuedSeq);
    } catch (error) {
      // Nobody of this pool was ever there, so that nothing of it was taken.
      if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.ConsumerNotFound) return;
      this.#log.debug({ err: error, pool, queue }, "a queue could not be looked at");
    }
    if (gauge.depth < before) this.#onRoom();
  }
}
