/**
 * Commands of queued stages, on their way to executors. While a pool has room for it, a command is sent at once. What
 * finds none, or no executor that can run it, is held back in TOROID_WAIT; whoever has the lease sends it in its turn.
 *
 * Nothing here has to be right for a stage to run once: a command that is sent twice is refused at the claim, and what
 * was held back is held back until it was sent, whoever dies.
 */
import { setTimeout as delay } from "node:timers/promises";
import { DeliverPolicy } from "@nats-io/jetstream";
import { crashPoint } from "../../kit/crash-points.ts";
import { follow } from "../../kit/follow.ts";
import type { Jet } from "../../kit/jetstream.ts";
import type { Lease } from "../../kit/lease.ts";
import type { Logger } from "../../kit/log.ts";
import { decode, encode } from "../../protocol/codec.ts";
import type { Command } from "../../protocol/commands.ts";
import { formatStage, type StageId } from "../../protocol/ids.ts";
import type { Priority, RunsOn } from "../../protocol/pipeline/plan.ts";
import { WAIT } from "../../protocol/streams.ts";
import { type CommandQueue, waitSubject } from "../../protocol/subjects.ts";
import { type Waiting, waiting } from "../../protocol/waiting.ts";
import type { Mailboxes } from "../mailboxes.ts";
import type { Executors } from "../projections/executors.ts";
import { Backlog, type Group, type Held } from "./backlog.ts";
import { commandFor, queueOf, sendCommand } from "./command.ts";
import { Queues } from "./queues.ts";
import { Release } from "./release.ts";
import { whyNowhere } from "./route.ts";
import { FIRST_TURNS, nextTurn, PRIORITIES, type Turns } from "./turns.ts";

/** There is something in each queue meanwhile. */
const GATHER_MS = 4;
/** How often it is looked after what waits, unless something happens: less and less while nothing changes. */
const [LOOK_FIRST_MS, LOOK_LAST_MS] = [20, 1_000];
/** Without anything that waits. */
const IDLE_MS = 1_000;
const RESYNC_MS = 1_000;

export interface DispatcherParts {
  readonly jet: Jet;
  readonly actors: Mailboxes;
  readonly executors: Executors;
  readonly lease: Lease;
  readonly log: Logger;
}

interface PoolQueue {
  /** Of the pool. */
  readonly name: string;
  readonly queue: CommandQueue;
}

export class Dispatcher {
  readonly #parts: DispatcherParts;
  readonly #backlog = new Backlog();
  readonly #queues: Queues;
  readonly #release: Release;
  readonly #turns = new Map<string, Turns>();
  #wake = Promise.withResolvers<void>();
  #lookMs = LOOK_FIRST_MS;
  #isHolder = false;
  #syncedAtMs = 0;
  /** Of pools and backlog, by their version: which queues something waits for. */
  #crowded: { readonly version: string; readonly queues: ReadonlyMap<string, PoolQueue> } = {
    version: "",
    queues: new Map(),
  };

  private constructor(parts: DispatcherParts) {
    this.#parts = parts;
    this.#queues = new Queues(parts.jet, parts.executors, parts.log, () => this.#stir());
    this.#release = new Release(parts.jet, parts.log);
  }

  /** Follows what is held back until `stop`. That it is known bit by bit does no harm: it waits a little longer. */
  static start(parts: DispatcherParts, stop: AbortSignal): Dispatcher {
    const it = new Dispatcher(parts);
    follow(parts.jet, WAIT.name, DeliverPolicy.All, stop, parts.log, (subject, data, seq) => {
      it.#backlog.add(subject, decode(waiting, data), seq);
      it.#stir();
    }).catch((error: unknown) => {
      if (!stop.aborted && !parts.jet.nc.isClosed())
        parts.log.error({ err: error }, "what is held back is not followed");
    });
    return it;
  }

  /** Sends a command, or has it wait for its turn. `pool`: empty for any that has the labels. */
  readonly offer = async (pool: string, command: Command): Promise<void> => {
    const queue = queueOf(command.work);
    const labels = command.work.kind === "stage" ? command.work.stage.runsOn.labels : [];
    const wish: RunsOn = { pool: pool === "" ? null : pool, labels };
    const names = this.#queues.candidates(wish);
    const free = names.find((name) => !this.#isCrowded(name, queue) && this.#queues.hasRoom(name, queue));
    if (free !== undefined) return this.#send(free, command);
    if (names.length === 0)
      this.#parts.log.warn(
        { stage: formatStage(command), why: whyNowhere(wish, this.#queues.pools) },
        "a stage waits for an executor that can run it",
      );
    const priority: Priority = command.work.kind === "stage" ? command.work.stage.priority : "normal";
    const { repository, number, stage, round, queuedSeq } = command;
    const held: Waiting = { repository, number, stage, round, queuedSeq, queue, priority, runsOn: wish };
    await this.#parts.jet.js.publish(waitSubject(queue, priority, wish, repository), encode(held));
  };

  /** An executor has a stage, or it has ended: its command is in no queue any more. */
  taken(queuedSeq: number): void {
    if (this.#queues.taken(queuedSeq)) this.#stir();
  }

  /** How many are held back before a stage, about; null when it is not held back. */
  before(id: StageId): number | null {
    const meets = (other: Group, its: Group): boolean => {
      const names = this.#queues.candidates(its.runsOn);
      return other.queue === its.queue && this.#queues.candidates(other.runsOn).some((name) => names.includes(name));
    };
    return this.#backlog.before(id, meets);
  }

  /** Until `stop`. */
  async run(stop: AbortSignal): Promise<void> {
    const stopped = new Promise<void>((resolve) => stop.addEventListener("abort", () => resolve(), { once: true }));
    while (!stop.aborted) {
      const late = new AbortController();
      const waitMs = this.#backlog.isEmpty ? IDLE_MS : this.#lookMs;
      const time = delay(waitMs, undefined, { signal: late.signal }).catch(() => undefined);
      await Promise.race([this.#wake.promise, time, stopped]);
      late.abort();
      if (stop.aborted) break;
      // What comes together is looked at together.
      if (!this.#backlog.isEmpty) await delay(GATHER_MS);
      this.#wake = Promise.withResolvers();
      try {
        await this.#look();
      } catch (error) {
        this.#parts.log.warn({ err: error }, "what waits could not be looked after; tried again");
        await Promise.race([delay(LOOK_LAST_MS), stopped]);
      }
    }
    await this.#release.settled();
  }

  #stir(): void {
    this.#lookMs = LOOK_FIRST_MS;
    this.#wake.resolve();
  }

  async #look(): Promise<void> {
    if (this.#backlog.isEmpty) return this.#queues.look();
    const held = await this.#parts.lease.holds();
    if (!held || !this.#isHolder) await this.#resync();
    this.#isHolder = held;
    if (!held) return this.#queues.look();
    const sent = await this.#sendWhatMay();
    this.#lookMs = sent > 0 ? LOOK_FIRST_MS : Math.min(LOOK_LAST_MS, this.#lookMs * 2);
  }

  /** Others take away what they have sent without a word, so that what is there has to be counted now and then. */
  async #resync(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#syncedAtMs < RESYNC_MS) return;
    this.#syncedAtMs = nowMs;
    const { state } = await this.#parts.jet.jsm.streams.info(WAIT.name, { subjects_filter: WAIT.subjects[0] ?? ">" });
    this.#backlog.keep(state.subjects ?? {}, state.last_seq);
  }

  /** Everything that there is room for, in turn. Answers how many. */
  async #sendWhatMay(): Promise<number> {
    const waitedFor = this.#waitedFor();
    await this.#queues.look();
    const sending: { readonly group: Group; readonly held: Held; readonly done: Promise<boolean> }[] = [];
    for (const { name, queue } of waitedFor.values()) {
      while (this.#queues.hasRoom(name, queue)) {
        const next = this.#next(name, queue);
        if (next === null) break;
        sending.push({ ...next, done: this.#sendHeld(name, next.held) });
      }
    }
    const failed = new Map<string, { readonly group: Group; readonly held: Held[] }>();
    for (const { group, held, done } of sending) {
      // In order: what follows one that failed is sent once more, which does no harm.
      const before = failed.get(group.subject);
      if ((await done) && before === undefined) this.#release.upTo(group.subject, held.seq);
      else failed.set(group.subject, { group, held: [...(before?.held ?? []), held] });
    }
    for (const { group, held } of failed.values()) this.#backlog.putBack(group, held);
    return sending.length;
  }

  /** Takes out who is next for a queue of a pool. */
  #next(name: string, queue: CommandQueue): { readonly group: Group; readonly held: Held } | null {
    const groups = [...this.#backlog.groups].filter((one) => one.queue === queue && this.#goesTo(one, name));
    const of = (priority: Priority): readonly string[] => [
      ...new Set(groups.filter((one) => one.priority === priority).map(({ repository }) => repository)),
    ];
    const key = `${name} ${queue}`;
    const waiters = Object.fromEntries(PRIORITIES.map((priority) => [priority, of(priority)]));
    const turn = nextTurn(waiters, this.#turns.get(key) ?? FIRST_TURNS);
    if (turn === null) {
      this.#turns.delete(key);
      return null;
    }
    this.#turns.set(key, turn.turns);
    const [oldest] = groups
      .filter(({ priority, repository }) => priority === turn.priority && repository === turn.repository)
      .toSorted((a, b) => (a.held[0]?.seq ?? 0) - (b.held[0]?.seq ?? 0));
    const held = oldest === undefined ? undefined : this.#backlog.take(oldest.subject);
    return oldest === undefined || held === undefined ? null : { group: oldest, held };
  }

  /** True when it is settled: sent, or not in need of it any more. */
  async #sendHeld(pool: string, { waiting: wanted }: Held): Promise<boolean> {
    this.#queues.sending(pool, wanted.queue, wanted.queuedSeq);
    try {
      const { state } = await this.#parts.actors.stage.load(wanted, wanted.queuedSeq);
      const isQueued = state.status === "queued" && state.queuedSeq === wanted.queuedSeq;
      const command = isQueued ? commandFor(wanted, state) : null;
      if (command === null) this.#queues.taken(wanted.queuedSeq);
      else await this.#send(pool, command);
      crashPoint("coordinator-before-release");
      return true;
    } catch (error) {
      this.#queues.taken(wanted.queuedSeq);
      this.#parts.log.warn({ err: error, stage: formatStage(wanted) }, "a command could not be sent; tried again");
      return false;
    }
  }

  async #send(pool: string, command: Command): Promise<void> {
    const { queuedSeq } = command;
    const queue = queueOf(command.work);
    this.#queues.sending(pool, queue, queuedSeq);
    try {
      const seq = await sendCommand(this.#parts.jet, pool, command, `command-${queuedSeq}`);
      this.#queues.sent(queuedSeq, seq);
    } catch (error) {
      this.#queues.taken(queuedSeq);
      throw error;
    }
  }

  #goesTo({ runsOn }: Group, name: string): boolean {
    return this.#queues.candidates(runsOn).includes(name);
  }

  /** Does something wait that could go there? Then nothing may overtake it. */
  #isCrowded(name: string, queue: CommandQueue): boolean {
    if (this.#backlog.isEmpty) return false;
    return this.#waitedFor().has(`${name} ${queue}`);
  }

  #waitedFor(): ReadonlyMap<string, PoolQueue> {
    const { version } = this.#queues;
    const now = `${version}/${this.#backlog.version}`;
    if (this.#crowded.version !== now) {
      const queues = new Map<string, PoolQueue>();
      for (const { queue, runsOn } of this.#backlog.groups)
        for (const name of this.#queues.candidates(runsOn)) queues.set(`${name} ${queue}`, { name, queue });
      this.#crowded = { version: now, queues };
    }
    return this.#crowded.queues;
  }
}
