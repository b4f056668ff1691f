/**
 * Files that one stage hands to later ones: an archive named by its content in a place that all executors share,
 * unpacked once per executor.
 */
import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { ToroidError } from "../protocol/errors.ts";
import type { StagePlan } from "../protocol/pipeline/plan.ts";
import type { FilesArtifact } from "../protocol/work.ts";
import { packTo, unpackFrom } from "./artifacts/archive.ts";
import type { ArtifactCache } from "./artifacts/cache.ts";
import { type ArtifactStore, DRAFT, removeFile } from "./artifacts/store.ts";
import { findFiles } from "./artifacts/tree.ts";
import { isDenied } from "./workspace.ts";

export class Artifacts {
  readonly #store: ArtifactStore;
  readonly #cache: ArtifactCache;
  readonly #draftsDir: string;

  /** @param draftsDir for archives on their way to a store that has no place for them */
  constructor(store: ArtifactStore, cache: ArtifactCache, draftsDir: string) {
    this.#store = store;
    this.#cache = cache;
    this.#draftsDir = store.draftsDir ?? draftsDir;
  }

  /**
   * Packs the files that `stage` declares, from its workdir; answers a sentence for people when it cannot be. Throws what
   * the file system says when we may not read them.
   *
   * @throws {ToroidError} TOR_ARTIFACTS_UNREACHABLE, TOR_CONFIG_INVALID
   */
  async pack(checkout: string, stage: StagePlan, signal: AbortSignal): Promise<FilesArtifact | string> {
    const from = join(checkout, stage.workdir);
    if (!(await isPlainDirectory(from)))
      return "`workdir` is not a directory of the checkout any more, so there is no artifact";
    const found = await findFiles(from, stage.artifactFiles);
    if (typeof found === "string") return found;
    const draft = join(this.#draftsDir, `${DRAFT}${randomUUID()}`);
    try {
      const file = createWriteStream(draft, { mode: 0o644, flush: true });
      const { hex, bytes } = await packTo(file, from, found.paths, signal);
      await this.#store.put(hex, draft, signal);
      return { kind: "files", digest: `sha256:${hex}`, bytes, files: found.paths.length };
    } finally {
      await removeFile(draft);
    }
  }

  /**
   * A directory with the artifact's files, for all stages on this executor that need it.
   *
   * @param until when it is disposed, the directory may go
   * @throws {ToroidError} TOR_ARTIFACT_MISSING, TOR_ARTIFACTS_UNREACHABLE, TOR_CONFIG_INVALID
   */
  async unpacked(artifact: FilesArtifact, signal: AbortSignal, until: AsyncDisposableStack): Promise<string> {
    const hex = /^sha256:([0-9a-f]{64})$/.exec(artifact.digest)?.[1];
    if (hex === undefined)
      throw new ToroidError("TOR_ARTIFACT_MISSING", `${artifact.digest} is not an artifact's digest`);
    until.defer(() => this.#cache.letGo(hex));
    // Not ended with the one who asked first: others may wait for the same.
    const path = await this.#cache.hold(hex, async (dir) => unpackFrom(await this.#store.open(hex), hex, dir));
    signal.throwIfAborted();
    return path;
  }
}

/** The build may have put a link in place of any directory on the way. What it made holds still by now. */
async function isPlainDirectory(path: string): Promise<boolean> {
  const real = await realpath(path).catch((error: unknown) => {
    if (isDenied(error)) throw error;
    return null;
  });
  return real === path && (await stat(path)).isDirectory();
}
