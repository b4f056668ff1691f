/** Archives of root file systems, unpacked once each into a directory that is named by their content. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { ToroidError } from "../../protocol/errors.ts";
import { type ImageCache, notKept, type Want } from "./cache.ts";

export class TarImages {
  readonly #cache: ImageCache;
  /** Digest by path, size and times, so that an unchanged archive is not read again for every stage. */
  readonly #digests = new Map<string, string>();

  constructor(cache: ImageCache) {
    this.#cache = cache;
  }

  /** @throws {ToroidError} TOR_IMAGE_MISSING for an archive that cannot be unpacked, TOR_DISK_FULL */
  async unpacked(
    archive: string,
    shown: string,
    want: Want,
  ): Promise<{ readonly root: string; readonly digest: string }> {
    const name = await this.#digest(archive, want.signal);
    const digest = `sha256:${name}`;
    const root = await this.#cache.obtain(name, { kind: "tar", shown, digest }, want, async (into) => {
      const unpacked = await this.#cache.hands.unpack({ archive, root: into, isLayer: false });
      if (typeof unpacked === "string") throw notKept(unpacked, () => cannot(shown, unpacked));
      return unpacked;
    });
    return { root, digest };
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
}

function cannot(shown: string, why: string): ToroidError {
  return new ToroidError("TOR_IMAGE_MISSING", `the image ${shown} cannot be unpacked: ${why.slice(0, 500)}`, {
    image: shown,
  });
}
