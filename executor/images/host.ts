/** The images of this host, for who comes from outside of an executor: as root, beside it or without it. */
import { mkdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { ToroidError } from "../../protocol/errors.ts";
import { ociReferenceOf, ociReferenceText } from "../../protocol/pipeline/oci-reference.ts";
import type { Config } from "../config.ts";
import { cacheOfRoot, openCache } from "../local/cache.ts";
import { SandboxClient } from "../sandbox/client.ts";
import { stateDirs } from "../state.ts";
import { Hold, ImageCache } from "./cache.ts";
import { handsOfRoot, ociImages } from "./make.ts";

/**
 * @param isLocal those of `toroid run`, in place of an executor's
 * @throws {ToroidError} TOR_NOT_ROOT, TOR_NOT_FOUND where no executor has been
 */
export async function hostImages(config: Config, isLocal: boolean): Promise<ImageCache> {
  if (process.geteuid?.() !== 0)
    throw new ToroidError("TOR_NOT_ROOT", "images are root's, as there may be set-user-id files in them: try sudo");
  const mostBytes = config.images.cacheBytes;
  if (isLocal) {
    const cache = cacheOfRoot({ dir: config.cacheDir, sandbox: config.sandbox, mostBytes });
    await mkdir(config.cacheDir, { recursive: true });
    await openCache(config.cacheDir, cache);
    return cache;
  }
  const state = await realpath(config.stateDir).catch(() => null);
  const index = state === null ? "" : stateDirs(state).imageIndex;
  if (state === null || !(await isThere(index))) {
    const why = `no executor that keeps images has been in ${config.stateDir}`;
    throw new ToroidError("TOR_NOT_FOUND", `${why}: name its state directory by TOROID_EXECUTOR_STATE`);
  }
  const store = config.sandboxSocket === null ? join(state, "image-cache") : await storeOf(config.sandboxSocket);
  return new ImageCache({ store, index, hands: handsOfRoot(config.sandbox), mostBytes });
}

/**
 * Fetches an image of a registry, or what its tag means by now; answers it with its digest.
 *
 * @throws {ToroidError} as of `OciImages`, TOR_INVALID_INPUT
 * @throws {Refused}
 */
export async function pullImage(
  cache: ImageCache,
  config: Config,
  text: string,
  signal: AbortSignal,
): Promise<{ readonly name: string; readonly digest: string; readonly layers: number }> {
  const reference = ociReferenceOf(text);
  if ("problem" in reference) throw new ToroidError("TOR_INVALID_INPUT", reference.problem);
  if (reference.kind === "files") {
    const message = `${text} is in files, and is unpacked when a stage wants it: only images of registries are pulled`;
    throw new ToroidError("TOR_INVALID_INPUT", message);
  }
  await using hold = new Hold();
  const oci = ociImages(cache, { ...config.images, refreshMs: 0 });
  const { digest, roots } = await oci.ofRegistry(reference, { hold, signal, log: null });
  return { name: ociReferenceText(reference), digest, layers: roots.length };
}

async function storeOf(socket: string): Promise<string | null> {
  return (await new SandboxClient(socket).hello()).store;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
