/**
 * Takes what was sent out of TOROID_WAIT, many at once and a little later: repositories take turns, so that there would
 * be a request for each otherwise. Until it is done, another coordinator may look at what was sent once more.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import { WAIT } from "../../protocol/streams.ts";

const GATHER_MS = 250;

export class Release {
  readonly #jet: Jet;
  readonly #log: Logger;
  /** By subject: all up to this sequence. */
  #sent = new Map<string, number>();
  #going: Promise<void> | null = null;
  readonly #hurry = new AbortController();

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
    this.#hurry.abort();
    await this.#going;
  }

  async #go(): Promise<void> {
    // One after the other, so that what is sent meanwhile goes with the next.
    while (this.#sent.size > 0) {
      await delay(GATHER_MS, undefined, { signal: this.#hurry.signal }).catch(() => undefined);
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
