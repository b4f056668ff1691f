interface Entry<V> {
  readonly value: V;
  readonly bytes: number;
}

/**
 * Keeps what was put in last, as much of it as `mostBytes` allow, by sizes that whoever puts it in tells: how many there
 * are says little of things that may be a hundred bytes or a megabyte. The newest one is kept however large it is.
 */
export class SizedCache<V> {
  readonly #mostBytes: number;
  readonly #entries = new Map<string, Entry<V>>();
  #bytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** 0 when it is not there. */
  sizeOf(key: string): number {
    return this.#entries.get(key)?.bytes ?? 0;
  }

  set(key: string, value: V, bytes: number): void {
    this.delete(key);
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#mostBytes || oldest === key) return;
      this.delete(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
