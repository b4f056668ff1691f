/** Where archives are kept for all executors: a directory that they share, or a bucket. */
import { createReadStream } from "node:fs";
import { readdir, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { ToroidError } from "../../protocol/errors.ts";
import { assertUsable } from "../state.ts";

export interface ArtifactStore {
  /** Where an archive is written before it is given to {@link put}; null: anywhere. */
  readonly draftsDir: string | null;
  /**
   * Tries all that we will have to do.
   *
   * @throws {ToroidError} TOR_CONFIG_INVALID with the setting to mend, TOR_ARTIFACTS_UNREACHABLE
   */
  check(): Promise<void>;
  /** Takes what is in the file `draft`: whole, or nothing of it can be seen. The file may be gone then. */
  put(hex: string, draft: string, signal: AbortSignal): Promise<void>;
  /** The bytes of an archive; what it fails with is a {@link ToroidError}. @throws {ToroidError} TOR_ARTIFACT_MISSING */
  open(hex: string): Promise<Readable>;
  /** Removes what writers that died before `beforeMs` left half done. Answers how many. */
  sweep(beforeMs: number): Promise<number>;
}

export const DRAFT = ".draft-";

export function fileOf(hex: string): string {
  return `${hex}.tar.zst`;
}

export class DirectoryStore implements ArtifactStore {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The same file system, so that a name can be given at once. */
  get draftsDir(): string {
    return this.#dir;
  }

  async check(): Promise<void> {
    await assertUsable("TOROID_ARTIFACTS", this.#dir, "write");
  }

  async put(hex: string, draft: string): Promise<void> {
    await rename(draft, join(this.#dir, fileOf(hex)));
  }

  async open(hex: string): Promise<Readable> {
    const path = join(this.#dir, fileOf(hex));
    if (await isThere(path)) return createReadStream(path);
    throw new ToroidError(
      "TOR_ARTIFACT_MISSING",
      `the artifact ${hex.slice(0, 12)} is not in this executor's artifacts directory; executors of one pool must share it`,
    );
  }

  async sweep(beforeMs: number): Promise<number> {
    const names = (await readdir(this.#dir)).filter((name) => name.startsWith(DRAFT));
    let removed = 0;
    for (const path of names.map((name) => join(this.#dir, name))) {
      const found = await stat(path).catch(nullIfGone);
      if (found === null || found.mtimeMs >= beforeMs) continue;
      await removeFile(path);
      removed += 1;
    }
    return removed;
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(nullIfGone)) !== null;
}

/** Another executor may remove the same. */
function nullIfGone(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
  throw error;
}

export async function removeFile(path: string): Promise<void> {
  await unlink(path).catch(nullIfGone);
}
