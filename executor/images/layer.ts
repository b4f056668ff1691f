/** What runs wrote, as a layer of the image that they ran on: from the sandbox to the store, without passing through us. */
import { randomUUID } from "node:crypto";
import { closeSync, constants, openSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import type { SandboxClient } from "../sandbox/client.ts";
import { removeTree } from "../trees.ts";
import { makePipe, OutputPipe } from "../workspace/pipe.ts";
import { draftOf } from "./turn.ts";
import { type Unpacked, unpackedOf } from "./unpack.ts";

/**
 * Makes `root` of a kept scratch by `serve`, whole or not at all; answers a sentence when it cannot be made.
 *
 * @param dir for a pipe: one part of `serve` writes into it, and another reads
 */
export async function layerByServe(
  client: SandboxClient,
  dir: string,
  scratch: string,
  root: string,
): Promise<Unpacked | string> {
  const pipe = join(dir, `layer-${randomUUID()}`);
  await makePipe(pipe);
  // Open for both, so that neither side waits for the other, nor is at its end too soon.
  const held = openSync(pipe, constants.O_RDWR);
  let isHeld = true;
  const letGo = (): void => {
    if (isHeld) closeSync(held);
    isHeld = false;
  };
  const exporting: Promise<string | null>[] = [];
  const start = (): void => void exporting.push(client.export(scratch, pipe).finally(letGo));
  try {
    const unpacked = await client.unpack({ pipe, name: basename(root), isLayer: true }, start);
    letGo();
    const [exported = null] = await Promise.all(exporting);
    return whyOf(exported, typeof unpacked === "string" ? unpacked : null) ?? unpacked;
  } finally {
    letGo();
    await rm(pipe, { force: true });
  }
}

/** Gives `into` what runs wrote into a kept scratch, as an archive; a sentence when it cannot be had. */
export async function exportByServe(
  client: SandboxClient,
  dir: string,
  scratch: string,
  into: (archive: Readable) => Promise<void>,
): Promise<string | null> {
  const pipe = await OutputPipe.make(join(dir, `export-${randomUUID()}`));
  const { reader, giveUp } = pipe.open();
  try {
    const exporting = client.export(scratch, pipe.path).finally(giveUp);
    const [refused] = await Promise.all([exporting, into(reader)]);
    return refused;
  } finally {
    giveUp();
    await rm(pipe.path, { force: true });
  }
}

/** Whoever writes to somebody who has gone is not the reason. */
function whyOf(exported: string | null, refused: string | null): string | null {
  return exported === null || (refused !== null && exported.includes("EPIPE")) ? refused : exported;
}

/** The same by the helper itself, as root. */
export async function layerByHelper(binary: string, scratch: string, root: string): Promise<Unpacked | string> {
  // Beside its place first, so that half a layer is never taken for a whole one.
  const draft = draftOf(root);
  await removeTree(draft);
  await mkdir(draft, { mode: 0o755 });
  const settings = { env: {}, extendEnv: false, reject: false } as const;
  try {
    const from = execa(binary, ["export", "--scratch", scratch], { ...settings, buffer: { stdout: false } });
    const into = execa(binary, ["unpack", "--layer", "--into", draft], settings);
    // Which of the two broke it off is told by what they say.
    const passing = pipeline(from.stdout, into.stdin).catch(() => undefined);
    const [exported, unpacked] = await Promise.all([from, into, passing]);
    const [said, refused] = [exported, unpacked].map(({ exitCode, stderr }) =>
      exitCode === 0 ? null : stderr.replace(/^toroid-sandbox: /, "").trim() || "it says nothing",
    );
    const why = whyOf(said ?? null, refused ?? null);
    if (why !== null) return why;
    await rename(draft, root);
    return unpackedOf(unpacked.stdout);
  } finally {
    await removeTree(draft);
  }
}
