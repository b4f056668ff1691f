/** Layers of OCI images, each a directory that is named by what it holds, shared by all images that have it. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { ToroidError } from "../../../protocol/errors.ts";
import { type ImageCache, notKept, type Want } from "../cache.ts";
import { damaged } from "./documents.ts";
import type { LayerFile } from "./files.ts";
import { Refused } from "./refused.ts";

export function layerName(diffId: string): string {
  // The sandbox takes names of up to 64 characters.
  return `layer-${diffId.replace(/^sha\d+:/, "").slice(0, 48)}`;
}

/**
 * Keeps the layer, if it is what it is called.
 *
 * @throws {Refused}
 * @throws {ToroidError} TOR_IMAGE_DAMAGED, TOR_IMAGE_MISSING, TOR_DISK_FULL
 */
export async function keepLayer(cache: ImageCache, layer: LayerFile, shown: string, want: Want): Promise<void> {
  const { path, blob, diffId } = layer;
  const about = { kind: "layer", shown, digest: diffId } as const;
  await cache.obtain(layerName(diffId), about, want, async (root) => {
    // Nobody waits for the other end of a pipe that an archive brought.
    if (!(await stat(path)).isFile()) throw new Refused(`${shown} is no image: its layer ${blob ?? diffId} is no file`);
    const [packed, plain] = [hashFor(blob ?? diffId), hashFor(diffId)];
    const seen = {
      packed: (bytes: Uint8Array) => void packed.update(bytes),
      plain: (bytes: Uint8Array) => void plain.update(bytes),
    };
    const unpacked = await cache.hands.unpack({ archive: path, root, isLayer: true, seen });
    if (typeof unpacked === "string") throw await notUnpacked(layer, shown, unpacked);
    for (const [digest, hash] of [
      [blob ?? diffId, blob === null ? plain.copy() : packed] as const,
      [diffId, plain] as const,
    ]) {
      const is = `${digest.split(":")[0] ?? ""}:${hash.digest("hex")}`;
      if (is === digest) continue;
      await cache.hands.drop(root);
      throw damaged(shown, "the layer", digest, is);
    }
    return unpacked;
  });
}

/** Of a file that was changed it is the digest that counts, whatever else is wrong with it by that. */
async function notUnpacked({ path, blob, diffId }: LayerFile, shown: string, why: string): Promise<ToroidError> {
  if (blob !== null) {
    const hash = hashFor(blob);
    await pipeline(createReadStream(path), hash);
    const is = `${blob.split(":")[0] ?? ""}:${hash.digest("hex")}`;
    if (is !== blob) return damaged(shown, "the layer", blob, is);
  }
  return notKept(why, () => {
    const message = `the layer ${blob ?? diffId} of ${shown} cannot be unpacked: ${why.slice(0, 500)}`;
    return new ToroidError("TOR_IMAGE_MISSING", message, { image: shown });
  });
}

function hashFor(digest: string): Hash {
  return createHash(digest.slice(0, digest.indexOf(":")));
}
