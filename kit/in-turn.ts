/** What is done for one key is done one after the other; for different keys, side by side. */
export class InTurn {
  /** The end of what was begun last for each key; resolves whatever became of it. */
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Does `act` when all before it has ended. What comes after it waits for `rest` besides, which must not fail. */
  run<T>(key: string, act: () => Promise<T>, rest: () => unknown = nothing): Promise<T> {
    const turn = (this.#tails.get(key) ?? Promise.resolve()).then(act);
    const tail = turn.then(rest, rest);
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    return turn;
  }
}

function nothing(): void {}
