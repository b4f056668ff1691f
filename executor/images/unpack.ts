/** From an archive to a root file system. What it holds is hostile: the helper reads it, and trusts it nothing. */
import { randomUUID } from "node:crypto";
import { closeSync, constants, openSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { Socket } from "node:net";
import { dirname, join } from "node:path";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import type { SandboxClient } from "../sandbox/client.ts";
import { removeTree } from "../trees.ts";
import { makePipe } from "../workspace/pipe.ts";
import { uncompressing, wordsOf } from "./uncompress.ts";

/** Makes `root` of `archive`, whole or not at all; answers a sentence when it cannot be unpacked. */
export type Unpack = (archive: string, root: string) => Promise<string | null>;

/** By `serve`, which reads from a pipe in `dir` and makes files of any owner. We only uncompress. */
export function unpackByServe(client: SandboxClient, dir: string): Unpack {
  return async (archive, root) => {
    const pipe = join(dir, `unpack-${randomUUID()}`);
    await makePipe(pipe);
    // Open for both, so that neither side waits for the other, nor is at its end too soon.
    const held = openSync(pipe, constants.O_RDWR);
    const feeding: Promise<string | null>[] = [];
    const start = (): void => {
      const writer = new Socket({ fd: openSync(pipe, constants.O_WRONLY), readable: false, writable: true });
      closeSync(held);
      feeding.push(feed(archive, writer));
    };
    try {
      const refused = await client.unpack(pipe, nameIn(root), start);
      if (feeding.length === 0) closeSync(held);
      const [fed = null] = await Promise.all(feeding);
      return fed ?? refused;
    } finally {
      await rm(pipe, { force: true });
    }
  };
}

/** By the helper itself, as root. */
export function unpackByHelper(binary: string): Unpack {
  return async (archive, root) => {
    // Beside its place first, so that a half unpacked image is never taken for a whole one.
    const draft = join(dirname(root), `.draft-${randomUUID()}`);
    await mkdir(draft, { recursive: true, mode: 0o755 });
    try {
      const helper = execa(binary, ["unpack", "--into", draft], { env: {}, extendEnv: false, reject: false });
      const [fed, { exitCode, stderr, shortMessage }] = await Promise.all([feed(archive, helper.stdin), helper]);
      if (exitCode === 0 && fed === null) {
        await rename(draft, root);
        return null;
      }
      const words = fed ?? stderr.replace(/^toroid-sandbox: /, "").trim();
      return words === "" ? (shortMessage ?? "it says nothing") : words;
    } finally {
      await removeTree(draft);
    }
  };
}

function nameIn(root: string): string {
  return root.slice(dirname(root).length + 1);
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
