/** What is looked at when somebody asks: how things stand, the same at every coordinator but for its own clients. */
import { Gauge, type Registry } from "prom-client";
import type { Jet } from "../../kit/jetstream.ts";
import { COMMAND, REACTORS, STREAMS, WAIT } from "../../protocol/streams.ts";
import type { Executors } from "../projections/executors.ts";
import type { History } from "../projections/history.ts";
import type { Lanes } from "../projections/lanes.ts";
import type { Letters } from "../projections/letters.ts";

export interface Looked {
  readonly jet: Jet;
  readonly history: Pick<History, "index">;
  readonly lanes: Pick<Lanes, "list">;
  readonly letters: Pick<Letters, "counts">;
  readonly executors: Pick<Executors, "alive">;
  /** Clients of the stream of events. */
  readonly listeners: () => number;
}

/** Names of pools are their operators': past so many they are one. */
const MOST_POOLS = 50;
const OTHERS = "others";

export function addGauges(registry: Registry, parts: Looked): void {
  const { jet, history, lanes, letters, executors, listeners } = parts;

  function gauge<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    look: (set: (labels: Record<L, string>, value: number) => void) => void | Promise<void>,
  ): void {
    const made = new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [],
      async collect() {
        this.reset();
        await look((labels, value) => this.inc(labels, value));
      },
    });
    registry.registerMetric(made);
  }

  gauge("toroid_builds", "Builds that are known, by how they stand.", ["state"], (set) => {
    for (const [state, count] of history.index.counts()) set({ state }, count);
  });
  gauge(
    "toroid_environments",
    "Environments, by whether they are paused, held by a rollback, or open.",
    ["state"],
    (set) => {
      for (const state of ["open", "paused", "held"]) set({ state }, 0);
      for (const { paused, held } of lanes.list())
        set({ state: paused === null ? (held === null ? "open" : "held") : "paused" }, 1);
    },
  );
  gauge("toroid_environment_waiting", "Stages that wait for their environment.", [], (set) => {
    set(
      {},
      lanes.list().reduce((sum, { waiting }) => sum + waiting.length, 0),
    );
  });
  gauge("toroid_dead_letters", "Dead letters, by how they stand.", ["state"], (set) => {
    for (const [state, count] of Object.entries(letters.counts())) set({ state }, count);
  });
  gauge("toroid_event_clients", "Clients of this coordinator's stream of events.", [], (set) => set({}, listeners()));

  const ofPools = (name: string, help: string, count: (one: ReturnType<Executors["alive"]>[number]) => number): void =>
    gauge(name, help, ["pool"], (set) => {
      const pools = new Set<string>();
      for (const one of executors.alive(Date.now())) {
        if (pools.size < MOST_POOLS) pools.add(one.pool);
        set({ pool: pools.has(one.pool) ? one.pool : OTHERS }, count(one));
      }
    });
  ofPools("toroid_executors", "Executors that are there.", () => 1);
  ofPools("toroid_executors_draining", "Executors that take nothing new.", ({ draining }) => (draining ? 1 : 0));
  ofPools("toroid_executor_slots", "Slots of executors.", ({ slots }) => slots);
  ofPools("toroid_executor_slots_busy", "Slots of executors in which a stage runs.", ({ busy }) => busy);

  gauge(
    "toroid_stages_waiting",
    "Commands at executors' queues, and those held back behind them.",
    ["where"],
    async (set) => {
      const [sent, held] = await Promise.all([COMMAND, WAIT].map(({ name }) => jet.jsm.streams.info(name)));
      set({ where: "queue" }, sent?.state.messages ?? 0);
      set({ where: "held_back" }, held?.state.messages ?? 0);
    },
  );
  gauge("toroid_reactor_pending", "Events that no coordinator has reacted to yet.", ["stream"], async (set) => {
    await Promise.all(
      REACTORS.map(async ({ stream, name }) => {
        const { num_pending, num_ack_pending } = await jet.jsm.consumers.info(stream, name);
        set({ stream }, num_pending + num_ack_pending);
      }),
    );
  });
  gauge("toroid_store_bytes", "What a stream takes of the store.", ["stream"], async (set) => {
    for (const { name, state } of await infos()) set({ stream: name }, state.bytes);
  });
  gauge("toroid_store_limit_bytes", "What a stream may take of the store.", ["stream"], async (set) => {
    for (const { name, config } of await infos()) set({ stream: name }, config.max_bytes);
  });
  gauge("toroid_store_messages", "Messages in a stream.", ["stream"], async (set) => {
    for (const { name, state } of await infos()) set({ stream: name }, state.messages);
  });
  gauge("process_resident_memory_bytes", "Memory that this coordinator has in use.", [], (set) => {
    set({}, process.memoryUsage.rss());
  });
  gauge("process_cpu_seconds", "Processor time that this coordinator has used.", [], (set) => {
    const { user, system } = process.cpuUsage();
    set({}, (user + system) / 1_000_000);
  });

  async function infos() {
    return Promise.all(STREAMS.map(async ({ name }) => ({ name, ...(await jet.jsm.streams.info(name)) })));
  }
}
