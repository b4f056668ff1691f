/** From what a stage names as its image to a root file system on this host. */
import { readdir, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, sep } from "node:path";
import { ToroidError } from "../../protocol/errors.ts";
import type { Image } from "../../protocol/pipeline/plan.ts";
import { type ImageCache, TarImages } from "./tar.ts";

export interface ImageStoreOptions {
  /** What `default` means: `host`, a name in the store, or an absolute path. */
  readonly defaultImage: string;
  /** Holds `NAME/` or `NAME.tar`, `.tar.gz`, `.tar.xz`, `.tar.zst`. */
  readonly imagesDir: string;
  /** What archives become, once each. */
  readonly cache: ImageCache;
}

/** A lower layer, as the sandbox helper takes it. */
export interface RootImage {
  /** `host` or a directory. */
  readonly root: string;
  /** For the log. */
  readonly shown: string;
}

const SUFFIXES = ["", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst"] as const;

export class ImageStore {
  readonly #o: ImageStoreOptions;
  readonly #tars: TarImages;

  constructor(o: ImageStoreOptions) {
    this.#o = o;
    this.#tars = new TarImages(o.cache);
  }

  /**
   * @param checkout where relative paths start; what they name may not lead out of it
   * @throws {ToroidError} TOR_IMAGE_MISSING, TOR_DISK_FULL
   */
  async resolve(image: Image, checkout: string, signal: AbortSignal): Promise<RootImage> {
    switch (image.kind) {
      case "host":
        return { root: "host", shown: "host" };
      case "default":
        return this.#default(signal);
      case "named":
        return this.#named(image.name, signal);
      case "directory":
      case "tar":
        return this.#at(await this.#placeOf(image.path, checkout), image.path, signal);
    }
  }

  /**
   * A push chooses its image, so it may only choose from its own checkout and from the operator's store: `/` would
   * show it the host without a mask.
   */
  async #placeOf(path: string, checkout: string): Promise<string> {
    const root = await realpath(isAbsolute(path) ? this.#o.imagesDir : checkout).catch(() => null);
    const real = await realpath(isAbsolute(path) ? path : join(checkout, path)).catch(() => null);
    const inside = root !== null && real !== null && (real === root || real.startsWith(root + sep));
    if (isAbsolute(path)) {
      if (inside) return real;
      throw missing(path, "a path on the executor must lie in its image store (TOROID_IMAGES)");
    }
    if (real === null) throw missing(path, "there is nothing at that path in the checkout");
    if (!inside) throw missing(path, "it leads out of the checkout");
    return real;
  }

  #default(signal: AbortSignal): Promise<RootImage> | RootImage {
    const name = this.#o.defaultImage;
    if (name === "host") return { root: "host", shown: "host" };
    return isAbsolute(name) ? this.#at(name, name, signal) : this.#named(name, signal);
  }

  async #named(name: string, signal: AbortSignal): Promise<RootImage> {
    if (/[/\0]/.test(name) || name.startsWith("."))
      throw missing(name, "an image's name has no slash and no leading dot");
    for (const suffix of SUFFIXES) {
      const path = join(this.#o.imagesDir, `${name}${suffix}`);
      if ((await stat(path).catch(() => null)) !== null) return this.#at(path, name, signal);
    }
    const there = await readdir(this.#o.imagesDir).catch((): string[] => []);
    const names = [...new Set(there.map((one) => one.replace(/\.(tar(\.(gz|xz|zst))?|tgz)$/, "")))].sort();
    const has = names.length === 0 ? "it has none" : `it has ${names.slice(0, 20).join(", ")}`;
    throw missing(name, `it is not in this executor's image store; ${has}`);
  }

  async #at(path: string, shown: string, signal: AbortSignal): Promise<RootImage> {
    const found = await stat(path).catch(() => null);
    if (found === null) throw missing(shown, "there is nothing at that path on this executor");
    if (found.isDirectory()) return { root: await realpath(path), shown };
    if (found.isFile()) return { root: await this.#tars.unpacked(path, shown, signal), shown };
    throw missing(shown, "it is neither a directory nor an archive");
  }
}

function missing(shown: string, why: string): ToroidError {
  return new ToroidError("TOR_IMAGE_MISSING", `the image ${shown} cannot be used: ${why}`, { image: shown });
}
