/** What people ask of this executor from outside: to take nothing new, until they take it back. */
import type { KV } from "@nats-io/kv";
import type { Logger } from "../kit/log.ts";
import { decode } from "../protocol/codec.ts";
import { type DrainOrder, drainOrder } from "../protocol/commands.ts";
import type { Gate } from "./gate.ts";

export class Orders {
  readonly #open: () => Promise<KV>;
  readonly #self: string;
  readonly #gate: Gate;
  readonly #log: Logger;
  #bucket: KV | null = null;
  #isMissing = false;

  /** @param open toroid_drain, which coordinators of an older version do not make */
  constructor(open: () => Promise<KV>, self: string, gate: Gate, log: Logger) {
    this.#open = open;
    this.#self = self;
    this.#gate = gate;
    this.#log = log;
  }

  /** Reads what is asked now, and does it. That it cannot be read changes nothing. */
  async look(): Promise<void> {
    let order: DrainOrder | null;
    try {
      order = await this.#read();
      this.#isMissing = false;
    } catch (err) {
      if (!this.#isMissing) this.#log.info({ err }, "orders for this executor cannot be read");
      this.#isMissing = true;
      return;
    }
    const before = this.#gate.why;
    if (order === null) this.#gate.open("asked");
    else this.#gate.shut("asked", sentenceOfOrder(order));
    if (this.#gate.why !== before) this.#log.info({ why: this.#gate.why }, "what is asked of this executor changed");
  }

  async #read(): Promise<DrainOrder | null> {
    this.#bucket ??= await this.#open();
    const entry = await this.#bucket.get(this.#self);
    return entry === null || entry.operation !== "PUT" ? null : decode(drainOrder, entry.value);
  }
}

function sentenceOfOrder({ by, why }: DrainOrder): string {
  return why === "" ? `drained by ${by}` : `drained by ${by}: ${why}`;
}
