/**
 * The store's time, which is the same for everybody. What one host wrote down another compares with now: when a pause
 * ends, what has waited for too long. Hosts' own clocks may be minutes apart, and one may be set while it runs.
 */
const EVERY_MS = 10_000;
/** An answer that took longer says too little. */
const SLOWEST_MS = 1_000;

export class StoreClock {
  readonly #ask: () => Promise<number>;
  /** What is to be added to the time since this process began; its own clock says until the store has. */
  #offsetMs = Date.now() - performance.now();
  #timer: NodeJS.Timeout | null = null;

  /** @param ask the time of the store */
  constructor(ask: () => Promise<number>) {
    this.#ask = ask;
  }

  readonly nowMs = (): number => Math.round(performance.now() + this.#offsetMs);

  /** Goes by the store's time from now on. Rejects when it does not say it. */
  async start(): Promise<void> {
    await this.#sync(Number.POSITIVE_INFINITY);
    this.#timer ??= setInterval(() => void this.#sync(SLOWEST_MS).catch(() => undefined), EVERY_MS).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  async #sync(slowestMs: number): Promise<void> {
    const askedAtMs = performance.now();
    const storeMs = await this.#ask();
    const tookMs = performance.now() - askedAtMs;
    if (tookMs <= slowestMs) this.#offsetMs = storeMs - (askedAtMs + tookMs / 2);
  }
}
