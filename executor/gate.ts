/** Does this executor take new work? Shut by a person from outside, or by itself for a while; what runs goes on. */

export type Shutter =
  /** A person asked for it. */
  | "asked"
  /** There are commands that it does not understand. */
  | "outdated";

export class Gate {
  readonly #shut = new Map<Shutter, string>();
  #shutting = new AbortController();
  #opened = Promise.withResolvers<void>();

  /** Why it takes nothing new; null: it does. */
  get why(): string | null {
    return this.#shut.get("asked") ?? this.#shut.get("outdated") ?? null;
  }

  /** Aborts when it is shut; another one once it is open again. */
  get shutting(): AbortSignal {
    return this.#shutting.signal;
  }

  shut(by: Shutter, why: string): void {
    this.#shut.set(by, why);
    this.#shutting.abort();
  }

  open(by: Shutter): void {
    if (!this.#shut.delete(by) || this.#shut.size > 0) return;
    this.#shutting = new AbortController();
    this.#opened.resolve();
    this.#opened = Promise.withResolvers<void>();
  }

  /** Resolves when it is open, or `stop` has aborted. */
  async pass(stop: AbortSignal): Promise<void> {
    const stopped = Promise.withResolvers<void>();
    const go = (): void => stopped.resolve();
    stop.addEventListener("abort", go, { once: true });
    while (this.why !== null && !stop.aborted) await Promise.race([this.#opened.promise, stopped.promise]);
    stop.removeEventListener("abort", go);
  }
}
