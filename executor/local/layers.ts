/** Where `toroid run` keeps the images that it made: root's alone, for there may be set-user-id files in them. */
import { chmod, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { tryLock } from "../../kit/lock.ts";
import { draftOf } from "../images/layer.ts";
import { imageLock } from "../images/packer.ts";
import { removeTree } from "../trees.ts";

/** Makes it in `cacheDir`, and removes what a killed predecessor had begun. */
export async function openLayers(cacheDir: string): Promise<string> {
  const dir = join(cacheDir, "images");
  await mkdir(dir, { recursive: true });
  await chmod(cacheDir, 0o700);
  for (const name of await readdir(dir)) {
    const [, image] = /^\.draft-(.+)$/.exec(name) ?? [];
    if (image === undefined) continue;
    const root = join(dir, image);
    await using lock = await tryLock(imageLock(root));
    if (lock !== undefined) await removeTree(draftOf(root));
  }
  return dir;
}
