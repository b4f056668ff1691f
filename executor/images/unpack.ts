/** From an archive to a root file system. What it holds is hostile: the helper reads it, and trusts it nothing. */
import { randomUUID } from "node:crypto";
import { closeSync, constants, openSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { Socket } from "node:net";
import { basename, join } from "node:path";
import { Transform, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import { z } from "zod";
import type { SandboxClient } from "../sandbox/client.ts";
import { removeTree } from "../trees.ts";
import { makePipe } from "../workspace/pipe.ts";
import { draftOf } from "./turn.ts";
import { uncompressing, wordsOf } from "./uncompress.ts";

export interface UnpackOrder {
  /** A file, compressed or not. */
  readonly archive: string;
  /** What is made of it, whole or not at all. */
  readonly root: string;
  /** Of an OCI image: names that begin with `.wh.` remove what is below. */
  readonly isLayer: boolean;
  /** Given every byte of the file, and every byte of what it is when it is uncompressed. */
  readonly seen?: {
    readonly packed: (bytes: Uint8Array) => void;
    readonly plain: (bytes: Uint8Array) => void;
  };
}

export interface Unpacked {
  /** On the disk; null: nobody counted. */
  readonly bytes: number | null;
}

/** Answers a sentence when it cannot be unpacked. */
export type Unpack = (o: UnpackOrder) => Promise<Unpacked | string>;

/** By `serve`, which reads from a pipe in `dir` and makes files of any owner. We only uncompress. */
export function unpackByServe(client: SandboxClient, dir: string): Unpack {
  return async (o) => {
    const pipe = join(dir, `unpack-${randomUUID()}`);
    await makePipe(pipe);
    // Open for both, so that neither side waits for the other, nor is at its end too soon.
    const held = openSync(pipe, constants.O_RDWR);
    const feeding: Promise<string | null>[] = [];
    const start = (): void => {
      const writer = new Socket({ fd: openSync(pipe, constants.O_WRONLY), readable: false, writable: true });
      closeSync(held);
      feeding.push(feed(o, writer));
    };
    try {
      const unpacked = await client.unpack({ pipe, name: basename(o.root), isLayer: o.isLayer }, start);
      if (feeding.length === 0) closeSync(held);
      const [fed = null] = await Promise.all(feeding);
      return fed ?? unpacked;
    } finally {
      await rm(pipe, { force: true });
    }
  };
}

/** By the helper itself, as root. */
export function unpackByHelper(binary: string): Unpack {
  return async (o) => {
    // Beside its place first, so that a half unpacked image is never taken for a whole one.
    const draft = draftOf(o.root);
    await removeTree(draft);
    await mkdir(draft, { recursive: true, mode: 0o755 });
    try {
      const words = ["unpack", "--into", draft, ...(o.isLayer ? ["--layer"] : [])];
      const helper = execa(binary, words, { env: {}, extendEnv: false, reject: false });
      const [fed, { exitCode, stdout, stderr, shortMessage }] = await Promise.all([feed(o, helper.stdin), helper]);
      if (exitCode === 0 && fed === null) {
        await rename(draft, o.root);
        return unpackedOf(stdout);
      }
      const said = fed ?? stderr.replace(/^toroid-sandbox: /, "").trim();
      return said === "" ? (shortMessage ?? "it says nothing") : said;
    } finally {
      await removeTree(draft);
    }
  };
}

const report = z.object({ bytes: z.number() });

/** What the helper says when it is done. */
export function unpackedOf(stdout: string): Unpacked {
  try {
    return report.parse(JSON.parse(stdout));
  } catch {
    return { bytes: null };
  }
}

/** What is wrong with the archive's compression, or null. A reader that has gone has its own reason. */
async function feed({ archive, seen }: UnpackOrder, into: Writable): Promise<string | null> {
  try {
    const [source, ...rest] = await uncompressing(archive);
    if (seen === undefined) await pipeline([source, ...rest, into]);
    else await pipeline([source, tap(seen.packed), ...rest, tap(seen.plain), patient(into)]);
    return null;
  } catch (error) {
    into.destroy();
    return isGone(error) ? null : wordsOf(error);
  }
}

function tap(see: (bytes: Uint8Array) => void): Transform {
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      see(chunk);
      done(null, chunk);
    },
  });
}

/** Takes all there is: the reader has enough at the end of the archive, which may come before the end of the file. */
function patient(into: Writable): Writable {
  let isOver = false;
  into.on("error", () => {
    isOver = true;
  });
  return new Writable({
    write(chunk: Uint8Array, _encoding, done) {
      if (isOver) return done();
      into.write(chunk, (error) => {
        if (error) isOver = true;
        done(error && !isGone(error) ? error : null);
      });
    },
    final(done) {
      if (isOver) return done();
      into.end(() => done());
    },
    destroy(error, done) {
      into.destroy();
      done(error);
    },
  });
}

function isGone(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return (
    code === "EPIPE" ||
    code === "ECONNRESET" ||
    code === "ERR_STREAM_PREMATURE_CLOSE" ||
    code === "ERR_STREAM_DESTROYED"
  );
}
