/** Decides who goes next, from a seed: the same seed is the same run. */

import type { Random } from "../../../support/random.ts";

/** A process that may die: between two of its steps, without a word. */
export class Life {
  readonly name: string;
  #dead = false;

  constructor(name: string) {
    this.name = name;
  }

  get isDead(): boolean {
    return this.#dead;
  }

  die(): void {
    this.#dead = true;
  }
}

interface Waiting {
  readonly life: Life;
  readonly go: () => void;
}

export class Scheduler {
  readonly random: Random;
  #waiting: Waiting[] = [];
  #steps = 0;

  constructor(random: Random) {
    this.random = random;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Every step of everybody begins with this; whoever is dead never comes back from it. */
  turn(life: Life): Promise<void> {
    return new Promise((go) => this.#waiting.push({ life, go }));
  }

  /** Lets one of those who wait make a step. False when nobody waits. */
  async step(): Promise<boolean> {
    this.#waiting = this.#waiting.filter(({ life }) => !life.isDead);
    if (this.#waiting.length === 0) return false;
    const at = this.random.below(this.#waiting.length);
    const [one] = this.#waiting.splice(at, 1);
    one?.go();
    this.#steps += 1;
    // Until whoever it was waits again or is done.
    await new Promise((done) => setImmediate(done));
    return true;
  }
}
