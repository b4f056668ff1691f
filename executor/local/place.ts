/** Where one `toroid run` has its things: removed at its end, or by the next one, if it was killed. */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryLock } from "../../kit/lock.ts";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import { removeTree } from "../trees.ts";

const NAME = /^toroid-run-[0-9a-f]{16}$/;

export interface LocalPlace extends AsyncDisposable {
  readonly dir: string;
}

/** Makes one; nobody takes it for abandoned while we live. */
export async function makePlace(say: (line: string) => void): Promise<LocalPlace> {
  await sweep(say);
  const dir = join(tmpdir(), `toroid-run-${randomBytes(8).toString("hex")}`);
  // Before it is there: who sweeps must not find it without its lock.
  const lock = await tryLock(dir);
  if (lock === undefined) throw new ToroidError("TOR_INTERNAL", `somebody else has the lock of ${dir}`);
  await mkdir(dir, { mode: 0o700 });
  return {
    dir,
    async [Symbol.asyncDispose]() {
      await removeTree(dir);
      await lock.release();
    },
  };
}

/** Anybody can make such a name in a temp directory: only what is our own is removed. */
async function sweep(say: (line: string) => void): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!NAME.test(name)) continue;
    const dir = join(tmpdir(), name);
    const found = await lstat(dir).catch(() => null); // another one was faster
    if (found === null || !found.isDirectory() || found.uid !== process.geteuid?.()) continue;
    await using lock = await tryLock(dir);
    if (lock === undefined) continue;
    await removeTree(dir).catch((error: unknown) => say(`what a killed run left stays: ${sentenceOf(error)}`));
  }
}
