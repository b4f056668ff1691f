/** Archives of root file systems, unpacked once each into a directory that is named by their content. */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import { ToroidError } from "../../protocol/errors.ts";
import { diskFull } from "../checkout/failure.ts";
import { removeTree } from "../trees.ts";
import { uncompressing, wordsOf } from "./uncompress.ts";

export class TarImages {
  readonly #cacheDir: string;
  readonly #helper: string;
  /** Digest by path, size and times, so that an unchanged archive is not read again for every stage. */
  readonly #digests = new Map<string, string>();
  /** One unpacking per digest at a time. */
  readonly #unpacking = new Map<string, Promise<string>>();

  /** @param helper the sandbox helper's binary */
  constructor(cacheDir: string, helper: string) {
    this.#cacheDir = cacheDir;
    this.#helper = helper;
  }

  /** @throws {ToroidError} TOR_IMAGE_MISSING for an archive that cannot be unpacked, TOR_DISK_FULL */
  async unpacked(archive: string, shown: string, signal: AbortSignal): Promise<string> {
    const digest = await this.#digest(archive, signal);
    const root = join(this.#cacheDir, digest);
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

  /** Beside its place first, so that a half unpacked image is never taken for a whole one. */
  async #unpack(archive: string, shown: string, root: string): Promise<string> {
    const draft = join(this.#cacheDir, `.draft-${randomUUID()}`);
    await mkdir(draft, { recursive: true, mode: 0o755 });
    try {
      await this.#fill(draft, archive, shown);
      await rename(draft, root);
      return root;
    } finally {
      await removeTree(draft);
    }
  }

  /** By the helper, which trusts an archive nothing: it may come from the checkout. */
  async #fill(draft: string, archive: string, shown: string): Promise<void> {
    const helper = execa(this.#helper, ["unpack", "--into", draft], { env: {}, extendEnv: false, reject: false });
    const [fed, { exitCode, stderr, shortMessage }] = await Promise.all([feed(archive, helper.stdin), helper]);
    if (exitCode === 0 && fed === null) return;
    if (/: (ENOSPC|EDQUOT) \(/.test(stderr)) throw diskFull(undefined);
    const words = fed ?? stderr.replace(/^toroid-sandbox: /, "").trim();
    const why = words === "" ? (shortMessage ?? "it says nothing") : words;
    throw new ToroidError("TOR_IMAGE_MISSING", `the image ${shown} cannot be unpacked: ${why.slice(0, 500)}`);
  }
}

/** What is wrong with the archive's compression, or null. A reader that has gone has its own reason. */
async function feed(archive: string, into: Writable): Promise<string | null> {
  try {
    await pipeline([...(await uncompressing(archive)), into]);
    return null;
  } catch (error) {
    into.destroy();
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE" ? null : wordsOf(error);
  }
}
