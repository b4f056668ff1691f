/** Where tests keep images, as `toroid run` does. */
import { join } from "node:path";
import type { ImagesConfig } from "../../executor/config.ts";
import { Hold, type ImageCache, type Want } from "../../executor/images/cache.ts";
import { cacheOfRoot, openCache } from "../../executor/local/cache.ts";

const HELPER = join(import.meta.dirname, "..", "..", "sandbox", "build", "toroid-sandbox");

/** As an executor has it that nobody told anything of images. */
export const IMAGES: ImagesConfig = {
  skopeo: null,
  authFile: null,
  registriesFile: null,
  refreshMs: 600_000,
  debianMirror: null,
  debianMs: 600_000,
  cacheBytes: null,
};

/** @param mostBytes null: no limit */
export async function imageCache(dir: string, mostBytes: number | null = null): Promise<ImageCache> {
  const cache = cacheOfRoot({ dir, sandbox: HELPER, mostBytes });
  await openCache(dir, cache);
  return cache;
}

/** For as long as the test's process lives. */
export function want(hold = new Hold(), signal = new AbortController().signal): Want {
  return { hold, signal, waits: async () => undefined };
}
