import { pino } from "pino";
import {
  type Count,
  openQueue,
  type Queue,
  type QueueConfig,
  type ReceiveOptions,
  receiveFromQueue,
} from "../../../coordinator/intake/sqs.ts";

export interface ReceiverSettings {
  readonly handle?: ReceiveOptions["handle"];
  readonly parallel?: number;
}

/** The real receive loop, with a handler that takes notes; it is stopped, hard, at the end of the block. */
export class Receiver implements AsyncDisposable {
  /** Of every arrival that was handed on, in order. */
  readonly keys: string[] = [];
  /** When each was, by `performance.now()`. */
  readonly handledAt: number[] = [];
  readonly counts: Record<Count, number> = { recorded: 0, ignored: 0, refused: 0, putBack: 0 };
  /** Why each was that was refused, by the message's id. */
  readonly kept = new Map<string, string>();
  /** What it logged. */
  readonly lines: Record<string, unknown>[] = [];
  readonly ended: Promise<void>;
  readonly #queue: Queue;
  readonly #stop = new AbortController();
  readonly #hard = new AbortController();

  private constructor(queue: Queue, { handle, parallel = 20 }: ReceiverSettings) {
    this.#queue = queue;
    const log = pino({ level: "debug" }, { write: (line: string) => void this.lines.push(JSON.parse(line)) });
    const options: ReceiveOptions = {
      parallel,
      count: (what) => (this.counts[what] += 1),
      keep: async ({ id }, reason) => void this.kept.set(id, reason),
      handle: async (arrival) => {
        this.handledAt.push(performance.now());
        this.keys.push(arrival.key);
        await handle?.(arrival);
      },
    };
    this.ended = receiveFromQueue(queue, options, { stop: this.#stop.signal, hard: this.#hard.signal }, log);
  }

  static async start(config: QueueConfig, settings: ReceiverSettings = {}): Promise<Receiver> {
    return new Receiver(await openQueue(config), settings);
  }

  said(message: string): number {
    return this.lines.filter((line) => line["msg"] === message).length;
  }

  stop(): void {
    this.#stop.abort();
  }

  hard(): void {
    this.#stop.abort();
    this.#hard.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hard();
    await this.ended;
    this.#queue[Symbol.dispose]();
  }
}
