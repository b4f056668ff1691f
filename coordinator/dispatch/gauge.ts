/**
 * How many commands wait in one queue of a pool: what this coordinator sent and has not seen taken, and what others did,
 * as of the last look at the queue's consumer. Nothing is asked of the store to know it.
 */
export class Gauge {
  /** By the `queued` event; the command's sequence in the stream, or null until the store has told. */
  readonly #mine = new Map<number, number | null>();
  #others = 0;

  get depth(): number {
    return this.#mine.size + this.#others;
  }

  sending(queuedSeq: number): void {
    this.#mine.set(queuedSeq, null);
  }

  sent(queuedSeq: number, seq: number): void {
    if (this.#mine.has(queuedSeq)) this.#mine.set(queuedSeq, seq);
  }

  /** An executor has it, or it was never sent. */
  gone(queuedSeq: number): boolean {
    return this.#mine.delete(queuedSeq);
  }

  /**
   * What the consumer says: how many it has not delivered, and up to which sequence it has. Answers what of ours is gone.
   */
  looked(pending: number, deliveredSeq: number): readonly number[] {
    let counted = 0;
    const gone: number[] = [];
    for (const [queuedSeq, seq] of this.#mine) {
      if (seq === null) continue;
      if (seq <= deliveredSeq) gone.push(queuedSeq);
      else counted += 1;
    }
    for (const queuedSeq of gone) this.#mine.delete(queuedSeq);
    this.#others = Math.max(0, pending - counted);
    return gone;
  }
}
