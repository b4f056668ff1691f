/** Work that nobody waits for now, but that has to be over before the process ends. */
export class Background implements AsyncDisposable {
  readonly #running = new Set<Promise<void>>();
  readonly #onFailure: (error: unknown) => void;

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  run(act: () => Promise<void>): void {
    const task: Promise<void> = act()
      .catch(this.#onFailure)
      .finally(() => this.#running.delete(task));
    this.#running.add(task);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
