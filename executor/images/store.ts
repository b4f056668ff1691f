/** From what a stage names as its image to a root file system on this host. */
import { readdir, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, sep } from "node:path";
import { ToroidError } from "../../protocol/errors.ts";
import { ociReferenceOf, ociReferenceText } from "../../protocol/pipeline/oci-reference.ts";
import type { BaseImage, Image, StagePlan } from "../../protocol/pipeline/plan.ts";
import type { LogStream } from "../log-stream.ts";
import type { Hold, ImageCache, Want } from "./cache.ts";
import type { DebianImages } from "./debian.ts";
import { identityOf } from "./identity.ts";
import { Refused } from "./oci/refused.ts";
import type { OciImages } from "./oci.ts";
import { failed } from "./packer/build.ts";
import type { Base, Made, PackerImages, StagePlace } from "./packer.ts";
import { TarImages } from "./tar.ts";

export interface ImageStoreOptions {
  /** What `default` means: `host`, a name in the store, or an absolute path. */
  readonly defaultImage: string;
  /** Holds `NAME/` or `NAME.tar`, `.tar.gz`, `.tar.xz`, `.tar.zst`. */
  readonly imagesDir: string;
  readonly cache: ImageCache;
  readonly oci: OciImages;
  readonly debian: DebianImages;
  readonly packer: PackerImages;
}

/** What an image that is there comes with. */
export interface From {
  /** Where relative paths start; what they name may not lead out of it. */
  readonly checkout: string;
  readonly hold: Hold;
  readonly signal: AbortSignal;
  /** null: nobody reads. */
  readonly log: LogStream | null;
  /** Where what has to be made can be; null: nowhere. */
  readonly place: StagePlace | null;
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
  at: Pick<StagePlace, "checkout" | "hold" | "slot" | "places" | "cancelled" | "abandoned">,
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
   * @throws {ToroidError} TOR_IMAGE_MISSING, TOR_IMAGE_DAMAGED, TOR_TOOL_MISSING, TOR_DISK_FULL, TOR_REGISTRY_UNREACHABLE, TOR_REGISTRY_AUTH
   */
  async resolve(image: Image, at: StagePlace): Promise<Made> {
    const from: From = { ...at, place: at, signal: AbortSignal.any([at.cancelled, at.abandoned]) };
    try {
      if (image.kind !== "packer") {
        const { images, name, variables } = await this.base(image, from);
        return { kind: "made", images, name, variables };
      }
      if (image.base.kind === "directory" && !isAbsolute(image.base.path))
        throw missing(image.base.path, "a directory of the checkout is another one for each stage; make it a `tar`");
      return await this.#o.packer.make(image, await this.base(image.base, from), at);
    } catch (error) {
      if (error instanceof Refused) return { kind: "ruled", ruling: failed(error.message) };
      throw error;
    }
  }

  /**
   * An image that is there, or can be fetched: lower layers, as the sandbox helper takes them.
   *
   * @throws {Refused}
   * @throws {ToroidError} as {@link resolve}
   */
  async base(image: BaseImage, from: From): Promise<Base & { readonly name: string }> {
    switch (image.kind) {
      case "host":
        return await single("host", "host");
      case "default":
        return this.#default(from);
      case "named":
        return this.#named(image.name, from);
      case "directory":
      case "tar":
        return this.#at(await this.#placeOf(image.path, from.checkout), image.path, from);
      case "oci":
        return this.#oci(image.reference, from);
      case "debian": {
        if (from.place === null) throw missing(`debian:${image.suite}`, "it is made for stages alone");
        const { root, name } = await this.#o.debian.make(image, from.place);
        return { ...(await single(root, name)), identity: JSON.stringify(["debian", root]) };
      }
    }
  }

  async #oci(text: string, from: From): Promise<Base & { readonly name: string }> {
    const reference = ociReferenceOf(text);
    if ("problem" in reference) throw new Refused(reference.problem);
    const shown = ociReferenceText(reference);
    const stack =
      reference.kind === "registry"
        ? await this.#o.oci.ofRegistry(reference, from)
        : await this.#o.oci.ofFiles(await this.#layout(reference.path, shown, from), reference.tag, shown, from);
    const { roots, digest, variables } = stack;
    const name = shown.endsWith(digest) ? shown : `${shown}@${digest}`;
    return { images: roots, name, identity: JSON.stringify(["oci", ...roots]), variables };
  }

  /** Of an archive, what it was unpacked to. */
  async #layout(path: string, shown: string, from: From): Promise<string> {
    const at = await this.#placeOf(path, from.checkout);
    return (await stat(at)).isDirectory() ? at : (await this.#tars.unpacked(at, shown, wantOf(from))).root;
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

  #default(from: From): Promise<Base & { readonly name: string }> {
    const name = this.#o.defaultImage;
    if (name === "host") return single("host", "host");
    return isAbsolute(name) ? this.#at(name, name, from) : this.#named(name, from);
  }

  async #named(name: string, from: From): Promise<Base & { readonly name: string }> {
    if (/[/\0]/.test(name) || name.startsWith("."))
      throw missing(name, "an image's name has no slash and no leading dot");
    for (const suffix of SUFFIXES) {
      const path = join(this.#o.imagesDir, `${name}${suffix}`);
      if ((await stat(path).catch(() => null)) !== null) return this.#at(path, name, from);
    }
    const there = await readdir(this.#o.imagesDir).catch((): string[] => []);
    const names = [...new Set(there.map((one) => one.replace(/\.(tar(\.(gz|xz|zst))?|tgz)$/, "")))].sort();
    const has = names.length === 0 ? "it has none" : `it has ${names.slice(0, 20).join(", ")}`;
    throw missing(name, `it is not in this executor's image store; ${has}`);
  }

  async #at(path: string, shown: string, from: From): Promise<Base & { readonly name: string }> {
    const found = await stat(path).catch(() => null);
    if (found === null) throw missing(shown, "there is nothing at that path on this executor");
    if (found.isDirectory()) return single(await realpath(path), shown);
    if (!found.isFile()) throw missing(shown, "it is neither a directory nor an archive");
    const { root, digest } = await this.#tars.unpacked(path, shown, wantOf(from));
    return single(root, `${shown}@${digest}`);
  }
}

async function single(root: string, name: string): Promise<Base & { readonly name: string }> {
  return { images: [root], name, identity: await identityOf(root), variables: {} };
}

function wantOf({ hold, signal, log }: From): Want {
  return {
    hold,
    signal,
    waits: async () => {
      if (log === null) return;
      if (log.begun.length === 0) log.begin("image");
      await log.say("another stage unpacks this image; waiting for it");
    },
  };
}

function missing(shown: string, why: string): ToroidError {
  return new ToroidError("TOR_IMAGE_MISSING", `the image ${shown} cannot be used: ${why}`, { image: shown });
}
