/** From what a stage names as its image to a root file system on this host. */
import { readdir, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, sep } from "node:path";
import { ToroidError } from "../../protocol/errors.ts";
import type { BaseImage, Image, StagePlan } from "../../protocol/pipeline/plan.ts";
import type { LogStream } from "../log-stream.ts";
import { identityOf } from "./identity.ts";
import type { Made, PackerImages, StagePlace } from "./packer.ts";
import { type ImageCache, TarImages } from "./tar.ts";

export interface ImageStoreOptions {
  /** What `default` means: `host`, a name in the store, or an absolute path. */
  readonly defaultImage: string;
  /** Holds `NAME/` or `NAME.tar`, `.tar.gz`, `.tar.xz`, `.tar.zst`. */
  readonly imagesDir: string;
  /** What archives become, once each. */
  readonly cache: ImageCache;
  readonly packer: PackerImages;
}

const SUFFIXES = ["", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst"] as const;

/**
 * The image of a stage, made where it has to be. A log that somebody has begun ends with what is thrown.
 *
 * @throws as {@link ImageStore.resolve}
 */
export async function imageFor(
  stage: StagePlan,
  images: ImageStore,
  log: LogStream,
  at: Pick<StagePlace, "checkout" | "slot" | "places" | "cancelled" | "abandoned">,
): Promise<Made> {
  const { network, limits, env: variables, timeoutMs: wallMs } = stage;
  try {
    return await images.resolve(stage.image, { ...at, network, limits, variables, wallMs, log });
  } catch (error) {
    if (log.begun.length > 0) await log.end();
    throw error;
  }
}

export class ImageStore {
  readonly #o: ImageStoreOptions;
  readonly #tars: TarImages;

  constructor(o: ImageStoreOptions) {
    this.#o = o;
    this.#tars = new TarImages(o.cache);
  }

  /**
   * @param at where relative paths start, and where an image that is made is made
   * @throws {ToroidError} TOR_IMAGE_MISSING, TOR_TOOL_MISSING, TOR_DISK_FULL
   */
  async resolve(image: Image, at: StagePlace): Promise<Made> {
    const signal = AbortSignal.any([at.cancelled, at.abandoned]);
    if (image.kind !== "packer") return { kind: "made", images: [await this.root(image, at.checkout, signal)] };
    if (image.base.kind === "directory" && !isAbsolute(image.base.path))
      throw missing(image.base.path, "a directory of the checkout is another one for each stage; make it a `tar`");
    const root = await this.root(image.base, at.checkout, signal);
    return this.#o.packer.make(image, { images: [root], identity: await identityOf(root) }, at);
  }

  /**
   * `host`, or a directory: a lower layer, as the sandbox helper takes it.
   *
   * @param checkout where relative paths start; what they name may not lead out of it
   * @throws {ToroidError} TOR_IMAGE_MISSING, TOR_DISK_FULL
   */
  async root(image: BaseImage, checkout: string, signal: AbortSignal): Promise<string> {
    switch (image.kind) {
      case "host":
        return "host";
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

  #default(signal: AbortSignal): Promise<string> | string {
    const name = this.#o.defaultImage;
    if (name === "host") return "host";
    return isAbsolute(name) ? this.#at(name, name, signal) : this.#named(name, signal);
  }

  async #named(name: string, signal: AbortSignal): Promise<string> {
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

  async #at(path: string, shown: string, signal: AbortSignal): Promise<string> {
    const found = await stat(path).catch(() => null);
    if (found === null) throw missing(shown, "there is nothing at that path on this executor");
    if (found.isDirectory()) return await realpath(path);
    if (found.isFile()) return await this.#tars.unpacked(path, shown, signal);
    throw missing(shown, "it is neither a directory nor an archive");
  }
}

function missing(shown: string, why: string): ToroidError {
  return new ToroidError("TOR_IMAGE_MISSING", `the image ${shown} cannot be used: ${why}`, { image: shown });
}
