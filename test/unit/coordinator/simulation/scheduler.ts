/** Decides who goes next, from a seed: the same seed is the same run. */

export interface Random {
  /** A whole number from 0 to below `below`. */
  below(below: number): number;
  chance(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
}

/** mulberry32 */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    chance: (probability) => next() < probability,
    pick: <T>(from: readonly T[]): T => {
      if (from.length === 0) throw new Error("nothing to pick from");
      return from[below(from.length)] as T;
    },
  };
}

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
