/**
 * Unpacked artifacts on this host, for all stages that need them. The least recently used go when they take more than
 * they may, but none that a stage has.
 */
import { randomUUID } from "node:crypto";
import { renameSync } from "node:fs";
import { mkdir, readdir, rename, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { DRAFT } from "./store.ts";

/** Fills a directory, and answers how many bytes that takes. */
export type Fill = (dir: string) => Promise<number>;

interface Entry {
  readonly path: string;
  readonly bytes: number;
  /** Grows with each use, of whichever. */
  used: number;
}

/** Size is part of the name, so that one rename makes an entry whole. */
const ENTRY = /^([0-9a-f]{64})-(0|[1-9][0-9]{0,15})$/;

/** Is it one of ours, and whole? What is not may be removed while no executor uses the directory. */
export function isEntry(name: string): boolean {
  return ENTRY.test(name);
}

export class ArtifactCache {
  readonly #dir: string;
  readonly #mostBytes: number;
  readonly #remove: (path: string) => Promise<void>;
  readonly #entries = new Map<string, Entry>();
  readonly #filling = new Map<string, Promise<string>>();
  /** How many stages have it. */
  readonly #holders = new Map<string, number>();
  #uses = 0;
  #evicting: Promise<void> = Promise.resolve();

  private constructor(dir: string, mostBytes: number, remove: (path: string) => Promise<void>) {
    this.#dir = dir;
    this.#mostBytes = mostBytes;
    this.#remove = remove;
  }

  /** @param remove removes what tar made, whatever its modes */
  static async open(dir: string, mostBytes: number, remove: (path: string) => Promise<void>): Promise<ArtifactCache> {
    const cache = new ArtifactCache(dir, mostBytes, remove);
    await cache.#find();
    await cache.#evict();
    return cache;
  }

  /** The directory of `hex`, filled once for all who ask; there until `letGo` of the same as often as it was asked for. */
  async hold(hex: string, fill: Fill): Promise<string> {
    this.#holders.set(hex, (this.#holders.get(hex) ?? 0) + 1);
    const there = this.#entries.get(hex);
    if (there !== undefined) {
      await this.#touch(there);
      return there.path;
    }
    let filling = this.#filling.get(hex);
    if (filling === undefined) {
      filling = this.#fill(hex, fill).finally(() => this.#filling.delete(hex));
      this.#filling.set(hex, filling);
    }
    return filling;
  }

  /** Resolves when nothing more has to go for now. */
  letGo(hex: string): Promise<void> {
    const left = (this.#holders.get(hex) ?? 1) - 1;
    if (left > 0) this.#holders.set(hex, left);
    else this.#holders.delete(hex);
    return this.#evict();
  }

  async #fill(hex: string, fill: Fill): Promise<string> {
    const draft = join(this.#dir, `${DRAFT}${randomUUID()}`);
    await mkdir(draft, { mode: 0o755 });
    try {
      const bytes = await fill(draft);
      const path = join(this.#dir, `${hex}-${bytes}`);
      await rename(draft, path);
      const entry = { path, bytes, used: 0 };
      this.#entries.set(hex, entry);
      await this.#touch(entry);
      return path;
    } catch (error) {
      await this.#remove(draft);
      throw error;
    }
  }

  /** The time on disk is for the executor that starts next. */
  async #touch(entry: Entry): Promise<void> {
    this.#uses += 1;
    entry.used = this.#uses;
    const seconds = (performance.timeOrigin + performance.now()) / 1_000;
    await utimes(entry.path, seconds, seconds);
  }

  async #find(): Promise<void> {
    const found: { readonly hex: string; readonly path: string; readonly bytes: number; readonly atMs: number }[] = [];
    for (const name of await readdir(this.#dir)) {
      const [, hex, bytes] = ENTRY.exec(name) ?? [];
      if (hex === undefined) continue;
      const path = join(this.#dir, name);
      found.push({ hex, path, bytes: Number(bytes), atMs: (await stat(path)).mtimeMs });
    }
    for (const { hex, path, bytes } of found.toSorted((a, b) => a.atMs - b.atMs)) {
      this.#uses += 1;
      this.#entries.set(hex, { path, bytes, used: this.#uses });
    }
  }

  #evict(): Promise<void> {
    const evicting = this.#evicting.then(() => this.#evictNow());
    this.#evicting = evicting.catch(() => undefined); // whoever asked for it hears
    return evicting;
  }

  async #evictNow(): Promise<void> {
    for (let oldest = this.#oldestTooMany(); oldest !== null; oldest = this.#oldestTooMany()) {
      const [hex, { path }] = oldest;
      // At once, so that whoever wants it now fills it anew; and under a name that a start removes.
      this.#entries.delete(hex);
      const gone = join(this.#dir, `${DRAFT}${randomUUID()}`);
      renameSync(path, gone);
      await this.#remove(gone);
    }
  }

  #oldestTooMany(): readonly [string, Entry] | null {
    const all = [...this.#entries];
    if (all.reduce((sum, [, { bytes }]) => sum + bytes, 0) <= this.#mostBytes) return null;
    const free = all.filter(([hex]) => !this.#holders.has(hex)).toSorted(([, a], [, b]) => a.used - b.used);
    return free[0] ?? null;
  }
}
