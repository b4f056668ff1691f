/**
 * Files that one stage hands to later ones: an archive named by its content in a directory that all executors share,
 * unpacked once per executor.
 */
import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdCompress, createZstdDecompress } from "node:zlib";
import { sentenceOf, ToroidError } from "../protocol/errors.ts";
import type { StagePlan } from "../protocol/pipeline/plan.ts";
import type { FilesArtifact } from "../protocol/work.ts";
import { findFiles } from "./artifacts/tree.ts";
import { isDenied } from "./workspace.ts";

/** The same files make the same archive: no times, no owners, no order of directories; and no set-user-id. */
const PACK = [
  "--create",
  "--file=-",
  "--format=posix",
  "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
  "--mtime=@0",
  "--owner=0",
  "--group=0",
  "--numeric-owner",
  "--mode=ug-s,o-t",
  "--hard-dereference",
  "--sparse",
  "--no-recursion",
  "--null",
  "--verbatim-files-from",
  "--files-from=-",
] as const;

const UNPACK = ["--extract", "--file=-", "--no-same-owner", "--no-overwrite-dir", "--delay-directory-restore"] as const;

export class Artifacts {
  readonly #dir: string;
  readonly #cacheDir: string;
  readonly #remove: (path: string) => Promise<void>;
  readonly #unpacking = new Map<string, Promise<string>>();

  /** @param remove removes what tar made below `cacheDir`, whatever its modes */
  constructor(dir: string, cacheDir: string, remove: (path: string) => Promise<void>) {
    this.#dir = dir;
    this.#cacheDir = cacheDir;
    this.#remove = remove;
  }

  /**
   * Packs the files that `stage` declares, from its workdir; answers a sentence for people when it cannot be. Throws what
   * the file system says when we may not read them.
   */
  async pack(checkout: string, stage: StagePlan, signal: AbortSignal): Promise<FilesArtifact | string> {
    const from = join(checkout, stage.workdir);
    if (!(await isPlainDirectory(from)))
      return "`workdir` is not a directory of the checkout any more, so there is no artifact";
    const found = await findFiles(from, stage.artifactFiles);
    if (typeof found === "string") return found;
    const draft = join(this.#dir, `.draft-${randomUUID()}`);
    try {
      const meter = new Meter();
      const tar = startTar(["--directory", from, ...PACK], "pack");
      const list = Readable.from(found.paths.map((path) => `${path}\0`));
      await Promise.all([
        pipeline(list, tar.stdin, { signal }),
        pipeline(tar.stdout, createZstdCompress(), meter, createWriteStream(draft, { mode: 0o644 }), { signal }),
        tar.succeeded,
      ]);
      const hex = meter.hex();
      await rename(draft, join(this.#dir, `${hex}.tar.zst`));
      return { kind: "files", digest: `sha256:${hex}`, bytes: meter.bytes, files: found.paths.length };
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }

  /**
   * A directory with the artifact's files, for all stages on this executor that need it.
   *
   * @throws {ToroidError} TOR_ARTIFACT_MISSING
   */
  async unpacked(artifact: FilesArtifact, signal: AbortSignal): Promise<string> {
    const hex = /^sha256:([0-9a-f]{64})$/.exec(artifact.digest)?.[1];
    if (hex === undefined)
      throw new ToroidError("TOR_ARTIFACT_MISSING", `${artifact.digest} is not an artifact's digest`);
    const place = join(this.#cacheDir, hex);
    if ((await stat(place).catch(() => null)) !== null) return place;
    let unpacking = this.#unpacking.get(hex);
    if (unpacking === undefined) {
      unpacking = this.#unpack(hex, place).finally(() => this.#unpacking.delete(hex));
      unpacking.catch(() => undefined);
      this.#unpacking.set(hex, unpacking);
    }
    const done = await unpacking;
    signal.throwIfAborted();
    return done;
  }

  async #unpack(hex: string, place: string): Promise<string> {
    const archive = join(this.#dir, `${hex}.tar.zst`);
    if ((await stat(archive).catch(() => null)) === null) {
      throw new ToroidError(
        "TOR_ARTIFACT_MISSING",
        `the artifact ${hex.slice(0, 12)} is not in this executor's artifacts directory; executors of one pool must share it`,
      );
    }
    const draft = join(this.#cacheDir, `.draft-${randomUUID()}`);
    await mkdir(draft, { mode: 0o755 });
    try {
      const meter = new Meter();
      const tar = startTar(["--directory", draft, ...UNPACK], "unpack");
      // tar may close its end at the archive's last block, before it has read the padding that follows: its own word
      // and the digest say whether all is well, not the pipe's.
      const fed = pipeline(createReadStream(archive), meter, createZstdDecompress(), tar.stdin).catch(
        (e: unknown) => e,
      );
      await tar.succeeded;
      await fed;
      if (meter.hex() !== hex)
        throw new ToroidError("TOR_ARTIFACT_MISSING", `the artifact ${hex.slice(0, 12)} is damaged`);
      await rename(draft, place);
      return place;
    } catch (error) {
      await this.#remove(draft);
      if ((await readdir(place).catch(() => null)) !== null) return place; // another was faster
      if (error instanceof ToroidError && error.code !== "TOR_INTERNAL") throw error;
      throw new ToroidError(
        "TOR_ARTIFACT_MISSING",
        `the artifact ${hex.slice(0, 12)} is damaged: ${sentenceOf(error)}`,
      );
    }
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

/** Counts and digests what passes through. */
class Meter extends Transform {
  readonly #hash = createHash("sha256");
  bytes = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: (error: null, data: Buffer) => void): void {
    this.#hash.update(chunk);
    this.bytes += chunk.byteLength;
    done(null, chunk);
  }

  hex(): string {
    return this.#hash.digest("hex");
  }
}

interface Tar {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly succeeded: Promise<void>;
}

function startTar(args: readonly string[], what: string): Tar {
  const tar = spawn("tar", args, { stdio: ["pipe", "pipe", "pipe"], env: { PATH: process.env["PATH"], LC_ALL: "C" } });
  let words = "";
  tar.stderr.setEncoding("utf8").on("data", (text: string) => {
    words = (words + text).slice(0, 1_000);
  });
  tar.stdout.on("error", () => undefined);
  const succeeded = new Promise<void>((resolve, reject) => {
    tar.once("error", reject);
    tar.once("close", (code) => {
      if (code === 0) return resolve();
      if (what === "pack" && /Permission denied/.test(words)) {
        return reject(Object.assign(new Error(words.trim()), { code: "EACCES" }));
      }
      const full = /No space left|quota exceeded/i.test(words);
      const sentence = full ? "the executor's disk is full" : `tar cannot ${what} the artifact: ${words.trim()}`;
      reject(new ToroidError(full ? "TOR_DISK_FULL" : "TOR_INTERNAL", sentence));
    });
  });
  if (what === "unpack") tar.stdout.resume();
  return { stdin: tar.stdin, stdout: tar.stdout, succeeded };
}
