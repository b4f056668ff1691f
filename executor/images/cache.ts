/**
 * The images that this host keeps: directories of root's, each named by its content, and what is known of them. One is
 * made once, whoever wants it; is in use while a hold on it lives; and goes when there is too much that is not.
 *
 * Whether there is one is said by its entry alone: it is written last when one is made, and goes first when one is
 * removed. Who wants one takes hold of it and then looks for its entry; who removes one puts its entry aside and then
 * looks for holds. So one of the two always sees the other, and a death at any point leaves none that is used half-made.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { takeLock, tryLock } from "../../kit/lock.ts";
import { type Pin, pin, pinned } from "../../kit/pins.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { diskFull, isNoSpace } from "../checkout/failure.ts";
import { type Entry, IndexFiles, type Known } from "./index-files.ts";
import { type Candidate, tooMany } from "./lru.ts";
import { imageLock, turnOf } from "./turn.ts";
import type { Unpack, Unpacked } from "./unpack.ts";

export interface ImageCacheOptions {
  /** Of the directories; null: nowhere. */
  readonly store: string | null;
  /** Of what is known of them. */
  readonly index: string;
  readonly hands: Hands;
  /** What they may take together; null: no limit. */
  readonly mostBytes: number | null;
}

/** Who may write to the store. */
export interface Hands {
  readonly unpack: Unpack;
  /** Removes an image, first out of its place. */
  drop(root: string): Promise<void>;
  /** Removes what is no image. */
  remove(path: string): Promise<void>;
}

/** What somebody uses, until it is let go or the process dies. */
export class Hold implements AsyncDisposable {
  readonly #pins = new Map<string, Promise<Pin>>();

  async on(root: string): Promise<void> {
    let held = this.#pins.get(root);
    if (held === undefined) {
      held = pin(root);
      this.#pins.set(root, held);
    }
    await held;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pins = [...this.#pins.values()];
    this.#pins.clear();
    await Promise.all(pins.map(async (one) => (await one).release()));
  }
}

/** What the wish for an image comes with. */
export interface Want {
  readonly hold: Hold;
  readonly signal: AbortSignal;
  /** Told once when another makes it. */
  readonly waits: () => Promise<void>;
}

const PULL = ".pull-";

export type KeptEntry = Known<Entry> & Candidate;

export class ImageCache {
  readonly index: IndexFiles;
  readonly hands: Hands;
  readonly #store: string | null;
  readonly #mostBytes: number | null;
  #opened: Promise<void> | null = null;

  constructor(o: ImageCacheOptions) {
    this.#store = o.store;
    this.#mostBytes = o.mostBytes;
    this.index = new IndexFiles(o.index);
    this.hands = o.hands;
  }

  /** @throws {ToroidError} TOR_IMAGE_MISSING */
  rootOf(name: string): string {
    if (this.#store !== null) return join(this.#store, name);
    const why = "no image can be kept on this executor: the sandbox's serve was started without a place for images";
    throw new ToroidError("TOR_IMAGE_MISSING", why);
  }

  /** Where `name` is, held, if it is there. */
  async use(name: string, hold: Hold): Promise<string | null> {
    const root = this.rootOf(name);
    await hold.on(root);
    return (await this.index.touch("stored", name)) && (await isThere(root)) ? root : null;
  }

  /** As {@link obtainOr}, of what is made or throws. */
  async obtain(
    name: string,
    about: Omit<Entry, "bytes">,
    want: Want,
    make: (root: string) => Promise<Unpacked>,
  ): Promise<string> {
    const obtained = await this.obtainOr<never>(name, about, want, make);
    return "instead" in obtained ? obtained.instead : obtained.root;
  }

  /**
   * Where `name` is, held, made by `make` when it is not there. `make` answers how large it is, or something else when
   * there will be none; what that is, is for the caller.
   *
   * @throws {ToroidError} TOR_DISK_FULL: by then there is more room
   * @throws the reason of a cancellation
   */
  async obtainOr<R>(
    name: string,
    about: Omit<Entry, "bytes">,
    want: Want,
    make: (root: string) => Promise<Unpacked | { readonly instead: R }>,
  ): Promise<{ readonly root: string } | { readonly instead: R }> {
    const found = await this.use(name, want.hold);
    if (found !== null) return { root: found };
    await this.#open();
    const root = this.rootOf(name);
    await using _ = await turnOf(imageLock(root), want.signal, want.waits);
    if ((await this.use(name, want.hold)) !== null) return { root };
    // Of somebody who died before it was known to be whole.
    if (await isThere(root)) await this.hands.drop(root);
    try {
      const made = await make(root);
      if ("instead" in made) return made;
      await this.index.write("stored", name, { ...about, bytes: made.bytes ?? (await sizeOf(root)) });
    } catch (error) {
      throw await this.giveWay(error);
    }
    if (this.#mostBytes !== null) await this.shrink(this.#mostBytes);
    return { root };
  }

  /** Makes room by all that nobody uses when `error` says that there is none; answers `error`. */
  async giveWay(error: unknown): Promise<unknown> {
    const isFull = isNoSpace(error) || (error instanceof ToroidError && error.code === "TOR_DISK_FULL");
    if (!isFull) return error;
    await this.shrink(0);
    return diskFull(error);
  }

  /** Every directory, and whether it is in use. */
  async kept(): Promise<readonly KeptEntry[]> {
    const [all, isPinned] = await Promise.all([this.index.all("stored"), pinned()]);
    return all.map((one) => ({
      ...one,
      name: one.key,
      bytes: one.record.bytes,
      pinned: isPinned(this.rootOf(one.key)),
    }));
  }

  /** Removes what was not used for the longest, until there are `mostBytes`. Answers what went. */
  async shrink(mostBytes: number): Promise<readonly KeptEntry[]> {
    const gone: KeptEntry[] = [];
    for (const one of tooMany(await this.kept(), mostBytes)) if (await this.remove(one.key)) gone.push(one);
    return gone;
  }

  /** What {@link shrink} would remove, were `without` gone. */
  async wouldGo(mostBytes: number, without: ReadonlySet<string>): Promise<readonly KeptEntry[]> {
    return tooMany(
      (await this.kept()).filter(({ key }) => !without.has(key)),
      mostBytes,
    );
  }

  /** False when somebody uses, makes or removes it. */
  async remove(name: string): Promise<boolean> {
    const root = this.rootOf(name);
    const lock = await tryLock(imageLock(root));
    if (lock === undefined) return false;
    await using _ = lock;
    await this.index.setAside("stored", name);
    if ((await pinned())(root)) {
      await this.index.putBack("stored", name);
      return false;
    }
    await this.hands.drop(root);
    await this.index.forget("stored", name);
    return true;
  }

  /** What killed processes left, and what an earlier version kept without an entry. */
  async sweep(): Promise<void> {
    if (this.#store === null) return;
    await this.#open();
    await this.index.sweep();
    await this.#sweepPulls();
    const [there, known] = await Promise.all([readdir(this.#store), this.index.all("stored")]);
    const names = new Set(known.map(({ key }) => key));
    for (const name of there) if (!names.has(name) && !name.startsWith(".")) await this.#settle(name);
    for (const name of names) if (!there.includes(name)) await this.index.remove("stored", name);
    if (this.#mostBytes !== null) await this.shrink(this.#mostBytes);
  }

  /**
   * Where something is fetched to that becomes images: gone when it is let go, or at the next start of whoever has this
   * store.
   */
  async pullDir(): Promise<{ readonly path: string } & AsyncDisposable> {
    await this.#open();
    const path = join(this.index.dir, `${PULL}${randomBytes(8).toString("hex")}`);
    const lock = await takeLock(`pull ${path}`);
    await mkdir(path, { mode: 0o700 });
    return {
      path,
      [Symbol.asyncDispose]: async () => {
        await this.hands.remove(path);
        await lock.release();
      },
    };
  }

  async #sweepPulls(): Promise<void> {
    for (const name of await readdir(this.index.dir)) {
      const path = join(this.index.dir, name);
      const lock = name.startsWith(PULL) ? await tryLock(`pull ${path}`) : undefined;
      if (lock === undefined) continue;
      await using _ = lock;
      await this.hands.remove(path);
    }
  }

  /** Of archives and layers of Packer there is never half a directory; of others nobody knows. */
  async #settle(name: string): Promise<void> {
    const root = this.rootOf(name);
    const lock = await tryLock(imageLock(root));
    if (lock === undefined) return;
    await using _ = lock;
    if ((await pinned())(root)) return;
    const [, packer, digest] = /^(packer-)?([0-9a-f]{48,64})$/.exec(name) ?? [];
    if (digest === undefined) return this.hands.drop(root);
    const about = { kind: packer === undefined ? "tar" : "packer", shown: "", digest: `sha256:${digest}` } as const;
    await this.index.write("stored", name, { ...about, bytes: await sizeOf(root) });
  }

  #open(): Promise<void> {
    this.#opened ??= this.index.open();
    return this.#opened;
  }
}

/** The error for what could not be unpacked or kept, of `why` it could not. */
export function notKept(why: string, otherwise: () => ToroidError): ToroidError {
  return /No space left|ENOSPC|EDQUOT|Disk quota/i.test(why) ? diskFull(undefined) : otherwise();
}

async function sizeOf(root: string): Promise<number> {
  // Some of it may be closed to us: then it counts for less.
  const { stdout } = await execa("du", ["-s", "--block-size=1", "--", root], { reject: false, stdin: "ignore" });
  return Number.parseInt(stdout, 10) || 0;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
