/** What the keeping of images is made of, for those who compose it. */
import { rename } from "node:fs/promises";
import { basename } from "node:path";
import type { ImagesConfig } from "../config.ts";
import type { SandboxClient } from "../sandbox/client.ts";
import { removeTree } from "../trees.ts";
import type { Hands, ImageCache } from "./cache.ts";
import { Skopeo } from "./oci/skopeo.ts";
import { OciImages } from "./oci.ts";
import { draftOf } from "./turn.ts";
import { unpackByHelper, unpackByServe } from "./unpack.ts";

/** @param pipes a directory for them */
export function handsOfServe(client: SandboxClient, pipes: string): Hands {
  return {
    unpack: unpackByServe(client, pipes),
    drop: (root) => client.drop(basename(root)),
    remove: (path) => client.remove(path),
  };
}

/** As root. */
export function handsOfRoot(helper: string): Hands {
  return {
    unpack: unpackByHelper(helper),
    async drop(root) {
      // First out of its place, so that half of it is never taken for an image.
      const draft = draftOf(root);
      await removeTree(draft);
      await rename(root, draft).catch(unlessMissing);
      await removeTree(draft);
    },
    remove: removeTree,
  };
}

export function ociImages(cache: ImageCache, o: ImagesConfig): OciImages {
  const { skopeo: program, authFile, registriesFile, refreshMs } = o;
  return new OciImages(cache, { skopeo: new Skopeo({ program, authFile, registriesFile }), refreshMs });
}

function unlessMissing(error: unknown): void {
  if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
}
