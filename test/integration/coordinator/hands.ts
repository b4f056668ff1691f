/** Executors of a pool that do nothing but claim and end stages: what reaches them, and in which order. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { JetStreamError, type JsMsg } from "@nats-io/jetstream";
import type { Mailboxes } from "../../../coordinator/mailboxes.ts";
import { append, type Jet } from "../../../kit/jetstream.ts";
import { ensureConsumers, openBucket } from "../../../kit/topology.ts";
import { decode, encode } from "../../../protocol/codec.ts";
import { type Command, command, type Presence } from "../../../protocol/commands.ts";
import type { StageEvent, StageResult } from "../../../protocol/events.ts";
import { formatStage, type StageId } from "../../../protocol/ids.ts";
import type { Plan } from "../../../protocol/pipeline/plan.ts";
import { bareResult } from "../../../protocol/stage.ts";
import { EXECUTORS, executorConsumer, RUN } from "../../../protocol/streams.ts";
import { type CommandQueue, stageRunSubject } from "../../../protocol/subjects.ts";
import { push, source } from "../../unit/coordinator/samples.ts";

const BEAT_MS = 1_000;

export interface HandsOptions {
  readonly pool?: string;
  readonly labels?: readonly string[];
  readonly slots?: number;
  readonly planSlots?: number;
  /** What a repository's file says. */
  readonly planOf: (repository: string) => Plan;
}

export class Hands implements AsyncDisposable {
  /** Names of the stages, as they were claimed, with the sequences of that. */
  readonly claims: { readonly name: string; readonly seq: number }[] = [];
  /** How long a stage takes. */
  stageMs = 0;
  readonly #jet: Jet;
  readonly #o: HandsOptions;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  private constructor(jet: Jet, o: HandsOptions) {
    this.#jet = jet;
    this.#o = o;
  }

  static async start(jet: Jet, o: HandsOptions): Promise<Hands> {
    const it = new Hands(jet, o);
    const { pool = "default", labels = [], slots = 1, planSlots = 1 } = o;
    const bucket = await openBucket(jet, EXECUTORS);
    const id = randomUUID();
    const said = { id, host: "h", version: "1", pool, labels: [...labels], slots, planSlots, busy: 0, draining: false };
    const beat = (): Promise<unknown> =>
      bucket.put(id, encode({ ...said, runs: [], sinceMs: 0, tokens: [] } satisfies Partial<Presence>));
    await beat();
    const timer = setInterval(() => void beat(), BEAT_MS);
    it.#stop.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
    const specs = (["plan", "work"] as const).map((queue) => ({ queue, ...executorConsumer(pool, queue) }));
    await ensureConsumers(
      jet,
      specs.map(({ queue: _queue, ...spec }) => spec),
    );
    it.#running = Promise.all(
      specs.flatMap(({ queue, stream, name }) =>
        Array.from({ length: queue === "plan" ? planSlots : slots }, () => it.#serve(stream, name, queue)),
      ),
    );
    return it;
  }

  get claimed(): readonly string[] {
    return this.claims.map(({ name }) => name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #serve(stream: string, name: string, queue: CommandQueue): Promise<void> {
    const consumer = await this.#jet.js.consumers.get(stream, name);
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const messages = await consumer.fetch({ max_messages: 1, expires: 1_000 });
      const close = (): void => messages.stop();
      signal.addEventListener("abort", close, { once: true });
      const taken: JsMsg[] = [];
      try {
        for await (const message of messages) taken.push(message);
      } catch (error) {
        // A machine that is slow misses a heartbeat of the server; it is asked again.
        if (!(error instanceof JetStreamError)) throw error;
      }
      signal.removeEventListener("abort", close);
      for (const message of taken) {
        await this.#run(decode(command, message.data), queue);
        await message.ackAck();
      }
    }
  }

  async #run(wanted: Command, queue: CommandQueue): Promise<void> {
    const { queuedSeq, attempt, purpose, work } = wanted;
    const claim: StageEvent = { type: "claimed", ...head(), executor: "hands", attempt, purpose, tookOver: null };
    const token = await this.#append(wanted, claim, queuedSeq);
    if (token === null) return;
    this.claims.push({ name: formatStage(wanted), seq: token });
    if (queue === "work") await sleep(this.stageMs);
    const result: StageResult = { ...bareResult("passed", ""), planned: null };
    if (work.kind === "plan") {
      const plan = this.#o.planOf(wanted.repository);
      result.planned = { kind: "plan", source: source(wanted.number), plan: structuredClone(plan) as never };
    }
    await this.#append(wanted, { type: "finished", ...head(), result }, token);
  }

  async #append(id: StageId, event: StageEvent, after: number): Promise<number | null> {
    const done = await append(this.#jet, RUN.name, stageRunSubject(id), event, after);
    return done.kind === "appended" ? done.seq : null;
  }
}

function head(): { readonly id: string; readonly atMs: number } {
  return { id: randomUUID(), atMs: Date.now() };
}

/** So many pushes of a repository. */
export async function pushAll(actors: Mailboxes, repository: string, count: number): Promise<void> {
  for (let n = 1; n <= count; n += 1) {
    await actors.repository.tell(repository, { kind: "accept", key: `${n}`, push: push({ repository }), by: "queue" });
  }
}
