/** A nats-server, coordinators and no-op executors, each a process, and what is read off them. */
import { type ChildProcess, fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { connectJet, type Jet } from "../../../kit/jetstream.ts";
import { decode } from "../../../protocol/codec.ts";
import { pushEvent, stageEvent } from "../../../protocol/events.ts";
import { PUSH, REACTORS, RUN } from "../../../protocol/streams.ts";
import { parsePushSubject, parseRunSubject } from "../../../protocol/subjects.ts";
import { NatsServer } from "../../support/nats.ts";
import { Daemon } from "../../support/rig.ts";
import { until } from "../../support/until.ts";
import { fillHistory } from "./history.ts";

const CLOCK_TICKS_PER_SECOND = 100;
const PATIENCE = { withinMs: 300_000 } as const;
export const STORE_BYTES = 6 * 1024 ** 3;

/** One stage's way, in ms since 1970 by the server's clock. */
export interface StageTimes {
  readonly build: string;
  acceptedMs?: number;
  queuedMs?: number;
  claimedMs?: number;
  finishedMs?: number;
}

/** Processor time in ms, by who used it. */
export interface CpuMs {
  readonly coordinators: number;
  readonly executors: number;
  readonly server: number;
  readonly bench: number;
}

export class Fleet implements AsyncDisposable {
  readonly nats: NatsServer;
  readonly jet: Jet & AsyncDisposable;
  readonly coordinators: readonly Daemon[];
  readonly #executors: readonly ChildProcess[];

  private constructor(nats: NatsServer, jet: Fleet["jet"], coordinators: Daemon[], executors: ChildProcess[]) {
    this.nats = nats;
    this.jet = jet;
    this.coordinators = coordinators;
    this.#executors = executors;
  }

  static async start(o: {
    readonly syncAlways: boolean;
    readonly coordinators: number;
    readonly executors: number;
    readonly slots: number;
    /** Builds that were there before. */
    readonly history?: number;
  }): Promise<Fleet> {
    const nats = await NatsServer.start({ syncAlways: o.syncAlways, maxFileBytes: STORE_BYTES });
    const jet = await connectJet({ url: nats.url, name: "bench" });
    if (o.history !== undefined) await fillHistory(jet, o.history, STORE_BYTES / 2);
    const coordinators = await Promise.all(Array.from({ length: o.coordinators }, () => startCoordinator(nats)));
    const executor = fork(join(import.meta.dirname, "no-op-executor.ts"), [String(o.executors), String(o.slots)], {
      env: { ...process.env, TOROID_NATS_URL: nats.url },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    await new Promise((resolve) => executor.once("message", resolve));
    return new Fleet(nats, jet, coordinators, [executor]);
  }

  /** Asks for a build of `stages` stages, through the API. */
  async push(repository: string, stages: number): Promise<void> {
    const url = (await this.coordinators[0]?.url) ?? "";
    const body = { repository, ref: `refs/heads/${stages}`, remote: "https://bench.invalid/bench.git" };
    const answer = await fetch(`${url}/api/v1/builds`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
    await answer.arrayBuffer();
  }

  /** Processor time that each kind of process has used. */
  async cpu(): Promise<CpuMs> {
    const pidsOf = (children: readonly { readonly pid?: number | undefined }[]): readonly number[] =>
      children.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
    const sum = async (pids: readonly number[]): Promise<number> =>
      (await Promise.all(pids.map(usage))).reduce((total, { cpuMs }) => total + cpuMs, 0);
    const [coordinators, executors, server, bench] = await Promise.all([
      sum(pidsOf(this.coordinators.map(({ child }) => child))),
      sum(pidsOf(this.#executors)),
      sum([this.nats.pid]),
      sum([process.pid]),
    ]);
    return { coordinators, executors, server, bench };
  }

  /** Memory of the largest coordinator. */
  async rssBytes(): Promise<number> {
    const used = await Promise.all(this.coordinators.map(({ child }) => usage(child.pid ?? 0)));
    return Math.max(...used.map(({ rssBytes }) => rssBytes));
  }

  async runMessages(): Promise<number> {
    return (await this.jet.jsm.streams.info(RUN.name)).state.messages;
  }

  /** Waits until the truth has that many messages: cheaper to ask than to follow it. */
  async settled(messages: number): Promise<void> {
    await until(`${messages} messages on ${RUN.name}`, async () => (await this.runMessages()) >= messages, PATIENCE);
  }

  /** Waits until coordinators have done all that follows from the events that there are. */
  async atRest(): Promise<void> {
    const isIdle = async ({ stream, name }: (typeof REACTORS)[number]): Promise<boolean> => {
      const { num_pending: waiting, num_ack_pending: inHand } = await this.jet.jsm.consumers.info(stream, name);
      return waiting + inHand === 0;
    };
    const areIdle = async (): Promise<boolean> => (await Promise.all(REACTORS.map(isIdle))).every((is) => is);
    await until("coordinators to come to rest", areIdle, PATIENCE);
  }

  /** The way of each stage of the plans, read from the logs when all is over. */
  async times(): Promise<readonly StageTimes[]> {
    const stages = new Map<string, StageTimes>();
    const accepted = new Map<string, number>();
    await this.#each(PUSH.name, (subject, data, atMs) => {
      accepted.set(`${parsePushSubject(subject)}#${decode(pushEvent, data).number}`, atMs);
    });
    await this.#each(RUN.name, (subject, data, atMs) => {
      const parsed = parseRunSubject(subject);
      if (parsed.kind !== "stage" || parsed.id.stage === "_plan") return;
      const build = `${parsed.id.repository}#${parsed.id.number}`;
      const stage = stages.get(subject) ?? { build };
      stages.set(subject, stage);
      const at = accepted.get(build);
      if (at !== undefined) stage.acceptedMs = at;
      const { type } = decode(stageEvent, data);
      if (type === "queued") stage.queuedMs = atMs;
      if (type === "claimed") stage.claimedMs = atMs;
      if (type === "finished") stage.finishedMs = atMs;
    });
    return [...stages.values()];
  }

  async #each(stream: string, take: (subject: string, data: Uint8Array, atMs: number) => void): Promise<void> {
    const { messages } = (await this.jet.jsm.streams.info(stream)).state;
    if (messages === 0) return;
    const consumer = await this.jet.js.consumers.get(stream, { name_prefix: "bench" });
    let left = messages;
    for await (const message of await consumer.consume()) {
      take(message.subject, message.data, message.time.getTime());
      left -= 1;
      if (left === 0) break;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#executors) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await gone;
    }
    for (const coordinator of this.coordinators) await coordinator[Symbol.asyncDispose]();
    await this.jet[Symbol.asyncDispose]();
    await this.nats[Symbol.asyncDispose]();
  }
}

export async function startCoordinator(nats: NatsServer, storeBytes = STORE_BYTES / 2): Promise<Daemon> {
  const daemon = new Daemon("coordinator", {
    TOROID_NATS_URL: nats.url,
    TOROID_STORE_BYTES: String(storeBytes),
    TOROID_HTTP_PORT: "0",
    TOROID_ALLOW_LAZY_SYNC: "1",
  });
  await daemon.url;
  return daemon;
}

/** Of one process, from the kernel's own account. */
export async function usage(pid: number): Promise<{ readonly cpuMs: number; readonly rssBytes: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kib = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  return {
    cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1_000) / CLOCK_TICKS_PER_SECOND,
    rssBytes: kib * 1024,
  };
}
