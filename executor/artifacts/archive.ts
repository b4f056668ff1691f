/** The archive that an artifact's files travel in: tar, zstd, and the digest that it is named by. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { Readable, Transform, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdCompress, createZstdDecompress } from "node:zlib";
import { ToroidError } from "../../protocol/errors.ts";

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

export interface Packed {
  readonly hex: string;
  readonly bytes: number;
}

/** Packs `paths` of `from` into what `into` takes. */
export async function packTo(
  into: Writable,
  from: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Packed> {
  const meter = new Meter();
  const tar = startTar(["--directory", from, ...PACK], "pack");
  const list = Readable.from(paths.map((path) => `${path}\0`));
  await Promise.all([
    pipeline(list, tar.stdin, { signal }),
    pipeline(tar.stdout, createZstdCompress(), meter, into, { signal }),
    tar.succeeded,
  ]);
  return { hex: meter.hex(), bytes: meter.bytes };
}

/**
 * Unpacks an archive into the directory `into`. Answers how many bytes that takes, about.
 *
 * @throws {ToroidError} what `archive` failed with, if that is one; TOR_ARTIFACT_MISSING when it is not the one named
 */
export async function unpackFrom(archive: Readable, hex: string, into: string): Promise<number> {
  const [meter, plain] = [new Meter(), new Counter()];
  const tar = startTar(["--directory", into, ...UNPACK], "unpack");
  // tar may close its end at the archive's last block, before it has read the padding that follows: its own word
  // and the digest say whether all is well, not the pipe's.
  const [fed, ended] = await Promise.all([
    failureOf(pipeline(archive, meter, createZstdDecompress(), plain, tar.stdin)),
    failureOf(tar.succeeded),
  ]);
  for (const failure of [fed, ended]) {
    if (failure instanceof ToroidError && failure.code !== "TOR_INTERNAL") throw failure;
  }
  const name = hex.slice(0, 12);
  if (ended !== null)
    throw new ToroidError("TOR_ARTIFACT_MISSING", `the artifact ${name} is damaged: ${ended.message}`);
  if (meter.hex() !== hex) throw new ToroidError("TOR_ARTIFACT_MISSING", `the artifact ${name} is damaged`);
  return plain.bytes;
}

async function failureOf(act: Promise<void>): Promise<Error | null> {
  try {
    await act;
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Counts what passes through. */
class Counter extends Transform {
  bytes = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: (error: null, data: Buffer) => void): void {
    this.bytes += chunk.byteLength;
    done(null, chunk);
  }
}

/** Digests it as well. */
class Meter extends Counter {
  readonly #hash = createHash("sha256");

  override _transform(chunk: Buffer, encoding: BufferEncoding, done: (error: null, data: Buffer) => void): void {
    this.#hash.update(chunk);
    super._transform(chunk, encoding, done);
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
