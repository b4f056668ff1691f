/**
 * Our lease, as the sandboxes see it. A process that is stopped can kill nothing; so each run of ours ends by itself
 * when it has not heard for this long that the lease was renewed, which is before the lease can pass to another.
 */
import { BEAT_MS, LET_GO_MS } from "./presence.ts";

/** A renewal that took longer says too little of how long the lease still lasts. */
const LATE_MS = BEAT_MS + 200;
/** A moment longer than we, who would end it with the better reason; with {@link LATE_MS} less than a presence lasts. */
const LEASH_MS = LET_GO_MS + 200;

export class Leash {
  readonly #ears = new Set<() => void>();
  #isHeld = false;

  /** What a run is given; null before there is a lease: what runs then is a trial. */
  get ms(): number | null {
    return this.#isHeld ? Math.round(LEASH_MS) : null;
  }

  /** The lease was renewed, by a request that was made `agoMs` ago. */
  renewed(agoMs: number): void {
    if (agoMs > LATE_MS) return;
    this.#isHeld = true;
    for (const hear of this.#ears) hear();
  }

  /** Calls `hear` with each renewal, until the function that it answers is called. */
  onRenewed(hear: () => void): () => void {
    this.#ears.add(hear);
    return () => void this.#ears.delete(hear);
  }
}
