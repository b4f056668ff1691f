/** Takes what was sent out of TOROID_WAIT, many at once: until it is done, what was sent may be sent once more. */
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import { WAIT } from "../../protocol/streams.ts";

export class Release {
  readonly #jet: Jet;
  readonly #log: Logger;
  /** By subject: all up to this sequence. */
  #sent = new Map<string, number>();
  #going: Promise<void> | null = null;

  constructor(jet: Jet, log: Logger) {
    this.#jet = jet;
    this.#log = log;
  }

  upTo(subject: string, seq: number): void {
    this.#sent.set(subject, Math.max(seq, this.#sent.get(subject) ?? 0));
    this.#going ??= this.#go().finally(() => {
      this.#going = null;
    });
  }

  /** Resolves when nothing is left to be taken out, or the store cannot be reached. */
  async settled(): Promise<void> {
    await this.#going;
  }

  async #go(): Promise<void> {
    // One after the other, so that what is sent meanwhile goes with the next.
    while (this.#sent.size > 0) {
      const now = this.#sent;
      this.#sent = new Map();
      try {
        await Promise.all(
          [...now].map(([filter, seq]) => this.#jet.jsm.streams.purge(WAIT.name, { filter, seq: seq + 1 })),
        );
      } catch (error) {
        for (const [subject, seq] of now) this.#sent.set(subject, Math.max(seq, this.#sent.get(subject) ?? 0));
        this.#log.warn({ err: error }, "what was sent could not be taken out; tried again with the next");
        return;
      }
    }
  }
}
