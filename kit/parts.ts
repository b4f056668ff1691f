/** Parts of a daemon that live and end together: when one cannot go on, none does, so that the whole is started again. */
import { aborted, type Signals } from "./signals.ts";

export class Parts implements Disposable {
  /** For the parts: also when one of them failed. */
  readonly signals: Signals;
  readonly #running: Promise<unknown>[] = [];
  readonly #broken = new AbortController();
  readonly #onFailure: (error: unknown) => void;

  constructor(outer: Signals, onFailure: (error: unknown) => void) {
    const broken = this.#broken.signal;
    this.signals = { stop: AbortSignal.any([outer.stop, broken]), hard: AbortSignal.any([outer.hard, broken]) };
    this.#onFailure = onFailure;
  }

  add(part: Promise<unknown>): void {
    const ended = part.catch((error: unknown) => this.fail(error));
    this.#running.push(ended);
  }

  /** Only the first failure counts: others follow from it. */
  fail(error: unknown): void {
    if (this.#broken.signal.aborted) return;
    this.#onFailure(error);
    this.#broken.abort(error);
  }

  /** Resolves when all parts have ended, or are to be abandoned; throws what one failed with. */
  async ended(): Promise<void> {
    await Promise.race([Promise.all(this.#running), aborted(this.signals.hard)]);
    this.#broken.signal.throwIfAborted();
  }

  /** For a daemon that ends before all its parts have begun: what is there already must not wait for anything. */
  [Symbol.dispose](): void {
    this.#broken.abort(new Error("the daemon has ended"));
  }
}
