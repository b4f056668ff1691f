/**
 * What is to be sent in one turn of the event loop, gathered and sent at its end: it leaves in one write. Everything
 * that waits for an answer goes on when the answers come in, one by one; each would else be a packet of its own, to
 * write here and to read at the server.
 */
export class Turn {
  #sends: (() => void)[] = [];

  /** Does `send` at the end of this turn, and answers what it does. It has to send before it waits for anything. */
  add<T>(send: () => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#sends.push(() => void Promise.try(send).then(resolve, reject));
      if (this.#sends.length === 1) setImmediate(() => this.#end());
    });
  }

  #end(): void {
    const sends = this.#sends;
    this.#sends = [];
    for (const send of sends) send();
  }
}
