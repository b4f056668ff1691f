/** Where `toroid run` keeps images: root's alone, for there may be set-user-id files in them. */
import { chmod, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { tryLock } from "../../kit/lock.ts";
import { ImageCache } from "../images/cache.ts";
import { handsOfRoot } from "../images/make.ts";
import { draftOf, imageLock } from "../images/turn.ts";
import { removeTree } from "../trees.ts";

export function cacheOfRoot(o: {
  readonly dir: string;
  readonly sandbox: string;
  readonly mostBytes: number | null;
}): ImageCache {
  return new ImageCache({
    store: join(o.dir, "images"),
    index: join(o.dir, "image-index"),
    hands: handsOfRoot(o.sandbox),
    mostBytes: o.mostBytes,
  });
}

/** Makes its place, and removes what killed predecessors had begun. */
export async function openCache(dir: string, cache: ImageCache): Promise<void> {
  const store = join(dir, "images");
  await mkdir(store, { recursive: true });
  await chmod(dir, 0o700);
  for (const name of await readdir(store)) {
    const [, image] = /^\.draft-(.+)$/.exec(name) ?? [];
    if (image === undefined) continue;
    const root = join(store, image);
    await using lock = await tryLock(imageLock(root));
    if (lock !== undefined) await removeTree(draftOf(root));
  }
  await cache.sweep();
}
