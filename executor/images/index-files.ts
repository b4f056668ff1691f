/** What is known of the images that are kept: a file each, by the executor's user. The directories themselves are root's. */
import { randomBytes } from "node:crypto";
import { chown, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

/** One directory of the store. That there is an entry of it says that it is whole. */
const entry = z.object({
  kind: z.enum(["tar", "layer", "packer", "debian"]),
  /** What it was made of, for people. */
  shown: z.string(),
  digest: z.string(),
  /** On disk, about. */
  bytes: z.number(),
});
export type Entry = z.infer<typeof entry>;

/** An OCI image, by the digest of what describes it. */
const ociImage = z.object({
  digest: z.string(),
  shown: z.string(),
  /** The upper ones first. `blob`: as it is transferred; null in archives that have no such thing. */
  layers: z.array(z.object({ name: z.string(), diffId: z.string(), blob: z.string().nullable() })),
  /** `Env` of its configuration. */
  variables: z.record(z.string(), z.string()),
});
export type OciImage = z.infer<typeof ociImage>;

/** What a name meant when somebody looked. */
const nameRecord = z.object({ name: z.string(), digest: z.string(), image: z.string(), checkedAtMs: z.number() });
export type NameRecord = z.infer<typeof nameRecord>;

const KINDS = { stored: entry, oci: ociImage, names: nameRecord } as const;
type Kind = keyof typeof KINDS;
type RecordOf<K extends Kind> = z.infer<(typeof KINDS)[K]>;

export interface Known<T> {
  readonly key: string;
  readonly record: T;
  readonly usedAtMs: number;
}

const DRAFT_MS = 60_000;
/** Out of its place, while it is found out whether it may go. */
const ASIDE = ".aside-";

export class IndexFiles {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  async open(): Promise<void> {
    for (const kind of Object.keys(KINDS)) await this.#give(this.#make(join(this.dir, kind)));
  }

  async read<K extends Kind>(kind: K, key: string): Promise<RecordOf<K> | null> {
    const text = await readFile(this.#path(kind, key), "utf8").catch(nullIfMissing);
    if (text === null) return null;
    // Of a version that wrote it otherwise, say: it is not known, and will be made anew.
    return decoded(KINDS[kind], text) as RecordOf<K> | null;
  }

  /** Whole or not at all. */
  async write<K extends Kind>(kind: K, key: string, record: RecordOf<K>): Promise<void> {
    const draft = this.#path(kind, `.draft-${randomBytes(8).toString("hex")}`);
    await writeFile(draft, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    await this.#give(Promise.resolve(draft));
    await rename(draft, this.#path(kind, key));
  }

  /** It was used now; false when it is not there. */
  async touch(kind: Kind, key: string, now = new Date()): Promise<boolean> {
    return utimes(this.#path(kind, key), now, now).then(
      () => true,
      (error: unknown) => {
        nullIfMissing(error);
        return false;
      },
    );
  }

  async remove(kind: Kind, key: string): Promise<void> {
    await rm(this.#path(kind, key), { force: true });
  }

  async setAside(kind: Kind, key: string): Promise<void> {
    await rename(this.#path(kind, key), this.#path(kind, `${ASIDE}${key}`)).catch(nullIfMissing);
  }

  async putBack(kind: Kind, key: string): Promise<void> {
    await rename(this.#path(kind, `${ASIDE}${key}`), this.#path(kind, key)).catch(nullIfMissing);
  }

  async forget(kind: Kind, key: string): Promise<void> {
    await this.remove(kind, `${ASIDE}${key}`);
  }

  async all<K extends Kind>(kind: K): Promise<readonly Known<RecordOf<K>>[]> {
    const keys = (await readdir(join(this.dir, kind)).catch(nullIfMissing)) ?? [];
    const known = await Promise.all(
      keys
        .filter((key) => !key.startsWith("."))
        .map(async (key) => {
          const [record, status] = await Promise.all([
            this.read(kind, key),
            stat(this.#path(kind, key)).catch(nullIfMissing),
          ]);
          return record === null || status === null ? [] : [{ key, record, usedAtMs: status.mtimeMs }];
        }),
    );
    return known.flat();
  }

  /** What killed processes left: nobody writes for so long. */
  async sweep(): Promise<void> {
    for (const kind of Object.keys(KINDS) as Kind[]) {
      const left = ((await readdir(join(this.dir, kind)).catch(nullIfMissing)) ?? []).filter((key) =>
        key.startsWith("."),
      );
      for (const key of left) {
        const status = await stat(this.#path(kind, key)).catch(nullIfMissing);
        if (status !== null && Date.now() - status.ctimeMs > DRAFT_MS) await this.remove(kind, key);
      }
    }
  }

  #path(kind: Kind, key: string): string {
    return join(this.dir, kind, key);
  }

  async #make(dir: string): Promise<string> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return dir;
  }

  /** What root makes here is the executor's as well: it has to change it. */
  async #give(made: Promise<string>): Promise<void> {
    const path = await made;
    if (process.geteuid?.() !== 0) return;
    const { uid, gid } = await stat(this.dir);
    if (uid !== 0) await chown(path, uid, gid);
  }
}

function decoded(schema: z.ZodType, text: string): unknown {
  try {
    const read = schema.safeParse(JSON.parse(text));
    return read.success ? read.data : null;
  } catch {
    return null;
  }
}

function nullIfMissing(error: unknown): null {
  if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return null;
  throw error;
}
