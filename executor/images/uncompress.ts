/** Archives as streams of what they hold, whatever they are compressed with. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Duplex, Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { ExecaError, execa } from "execa";
import { sentenceOf } from "../../protocol/errors.ts";

/** By the first bytes, as names may say anything. What is none of these is taken as it is. */
const KINDS: readonly { readonly magic: readonly number[]; readonly start: () => Duplex }[] = [
  { magic: [0x1f, 0x8b], start: () => createGunzip() },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], start: () => createZstdDecompress() },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], start: () => program("xz") },
  { magic: [0x42, 0x5a, 0x68], start: () => program("bzip2") },
];
const MOST_MAGIC = 6;

/** Streams for `pipeline`, the first one a source. */
export async function uncompressing(path: string): Promise<readonly [Readable, ...Duplex[]]> {
  const head = await headOf(path);
  const kind = KINDS.find(({ magic }) => magic.every((byte, index) => head[index] === byte));
  const source = createReadStream(path);
  return kind === undefined ? [source] : [source, kind.start()];
}

/** What is wrong with the compression, by an error of those streams. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof ExecaError)) return sentenceOf(error);
  const [first = ""] = String(error.stderr).trim().split("\n");
  return first === "" ? error.shortMessage.replace("\n", ": ") : first;
}

async function headOf(path: string): Promise<Uint8Array> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MOST_MAGIC), 0, MOST_MAGIC, 0);
  return buffer.subarray(0, bytesRead);
}

function program(name: string): Duplex {
  return execa(name, ["--decompress", "--stdout"], { buffer: { stdout: false }, env: { LC_ALL: "C" } }).duplex();
}
