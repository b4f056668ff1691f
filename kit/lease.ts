/**
 * A short lease on a key, for work that is wasted when several do it and not wrong. Losing it does no harm: whatever
 * its holder writes is guarded by compare-and-set as well.
 */
import type { KV } from "@nats-io/kv";
import type { Logger } from "./log.ts";

export class Lease implements AsyncDisposable {
  readonly #kv: KV;
  readonly #key: string;
  readonly #self: Buffer;
  readonly #ttlMs: number;
  readonly #log: Logger;
  /** 0: not ours. */
  #revision = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #renewedAtMs = Number.NEGATIVE_INFINITY;

  /** @param ttlMs the bucket's: how long a key lives that is not written */
  constructor(kv: KV, key: string, self: string, ttlMs: number, log: Logger) {
    this.#kv = kv;
    this.#key = key;
    this.#self = Buffer.from(self);
    this.#ttlMs = ttlMs;
    this.#log = log;
  }

  /** Is it ours now? Asks the store a few times in the life of a key, however often it is called. */
  async holds(): Promise<boolean> {
    const nowMs = performance.now();
    if (nowMs - this.#askedAtMs >= this.#ttlMs / 4) {
      this.#askedAtMs = nowMs;
      await this.#renew(nowMs);
    }
    // By our own clock, and before others can have it.
    return this.#revision !== 0 && performance.now() - this.#renewedAtMs < (this.#ttlMs * 2) / 3;
  }

  async #renew(nowMs: number): Promise<void> {
    const held = this.#revision;
    try {
      this.#revision =
        held === 0 ? await this.#kv.create(this.#key, this.#self) : await this.#kv.update(this.#key, this.#self, held);
      this.#renewedAtMs = nowMs;
      if (held === 0) this.#log.debug({ key: this.#key }, "lease taken");
    } catch (error) {
      this.#revision = await this.#revisionOfOurs();
      if (held !== 0 && this.#revision === 0) this.#log.debug({ err: error, key: this.#key }, "lease lost");
    }
  }

  /**
   * A write whose answer was lost may have landed: then the next renewal finds it, and nobody waits until it runs out.
   * How old it is is not known, so it counts for nothing until then.
   */
  async #revisionOfOurs(): Promise<number> {
    const entry = await this.#kv.get(this.#key).catch(() => null);
    if (entry === null || entry.operation !== "PUT" || !this.#self.equals(entry.value)) return 0;
    return entry.revision;
  }

  /** A courtesy to whoever waits for it; otherwise it runs out. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#revision === 0) return;
    await this.#kv.delete(this.#key, { previousSeq: this.#revision }).catch((error: unknown) => {
      this.#log.debug({ err: error, key: this.#key }, "lease not given back");
    });
    this.#revision = 0;
  }
}
