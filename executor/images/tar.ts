/** Archives of root file systems, unpacked once each into a directory that is named by their content. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ToroidError } from "../../protocol/errors.ts";
import { diskFull } from "../checkout/failure.ts";
import type { Unpack } from "./unpack.ts";

/** Where archives are unpacked to, and by whom. */
export interface ImageCache {
  /** Null: nowhere. */
  readonly dir: string | null;
  readonly unpack: Unpack;
}

export class TarImages {
  readonly #cache: ImageCache;
  /** Digest by path, size and times, so that an unchanged archive is not read again for every stage. */
  readonly #digests = new Map<string, string>();
  /** One unpacking per digest at a time. */
  readonly #unpacking = new Map<string, Promise<string>>();

  constructor(cache: ImageCache) {
    this.#cache = cache;
  }

  /** @throws {ToroidError} TOR_IMAGE_MISSING for an archive that cannot be unpacked, TOR_DISK_FULL */
  async unpacked(archive: string, shown: string, signal: AbortSignal): Promise<string> {
    const { dir } = this.#cache;
    if (dir === null) throw cannot(shown, "the sandbox's serve was started without a place for images");
    const digest = await this.#digest(archive, signal);
    const root = join(dir, digest);
    if ((await stat(root).catch(() => null)) !== null) return root;
    let unpacking = this.#unpacking.get(digest);
    if (unpacking === undefined) {
      unpacking = this.#unpack(archive, shown, root).finally(() => this.#unpacking.delete(digest));
      this.#unpacking.set(digest, unpacking);
    }
    return unpacking;
  }

  async #digest(archive: string, signal: AbortSignal): Promise<string> {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(archive);
    const key = [archive, dev, ino, size, mtimeMs, ctimeMs].join(" ");
    const known = this.#digests.get(key);
    if (known !== undefined) return known;
    const hash = createHash("sha256");
    await pipeline(createReadStream(archive), hash, { signal });
    const digest = hash.digest("hex");
    this.#digests.set(key, digest);
    return digest;
  }

  async #unpack(archive: string, shown: string, root: string): Promise<string> {
    const why = await this.#cache.unpack(archive, root);
    if (why === null) return root;
    if (/No space left|ENOSPC|EDQUOT/i.test(why)) throw diskFull(undefined);
    throw cannot(shown, why);
  }
}

function cannot(shown: string, why: string): ToroidError {
  return new ToroidError("TOR_IMAGE_MISSING", `the image ${shown} cannot be unpacked: ${why.slice(0, 500)}`, {
    image: shown,
  });
}
