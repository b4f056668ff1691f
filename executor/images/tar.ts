/** Archives of root file systems, unpacked once each into a directory that is named by their content. */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import { ToroidError } from "../../protocol/errors.ts";
import { diskFull } from "../checkout/failure.ts";

export class TarImages {
  readonly #cacheDir: string;
  /** Digest by path, size and times, so that an unchanged archive is not read again for every stage. */
  readonly #digests = new Map<string, string>();
  /** One unpacking per digest at a time. */
  readonly #unpacking = new Map<string, Promise<string>>();

  constructor(cacheDir: string) {
    this.#cacheDir = cacheDir;
  }

  /** @throws {ToroidError} TOR_IMAGE_MISSING for an archive that tar does not read, TOR_DISK_FULL */
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
      const { exitCode, stderr } = await execa(
        "tar",
        ["--extract", "--file", archive, "--directory", draft, "--numeric-owner", "--preserve-permissions", "--xattrs"],
        { reject: false, stdin: "ignore", env: { LC_ALL: "C" } },
      );
      if (exitCode !== 0) {
        if (/No space left|quota exceeded/i.test(stderr)) throw diskFull(undefined);
        const words = stderr.trim().split("\n")[0] ?? "";
        throw new ToroidError("TOR_IMAGE_MISSING", `the image ${shown} cannot be unpacked: ${words.slice(0, 300)}`);
      }
      await rename(draft, root);
      return root;
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }
}
