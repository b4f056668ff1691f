/** The files beside a `.toroid.yml` on disk, as far as they count for what is made of it. */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { TEMPLATE_FILE } from "../protocol/pipeline/generated-template.ts";
import type { Tree } from "../protocol/pipeline/plan.ts";

/** Never a part of a commit, or as good as never. */
const NOT_OURS = [".git", "node_modules"];
/** Whoever looks at more than that looks at something else than a checkout. */
const MOST = 100_000;

export async function treeIn(dir: string): Promise<Tree> {
  const found = await lstat(join(dir, TEMPLATE_FILE)).catch(() => null);
  const files: string[] = [];
  await walk(dir, "", files);
  return { template: found === null ? "none" : found.isFile() ? "file" : "other", files };
}

async function walk(root: string, below: string, files: string[]): Promise<void> {
  const entries = await readdir(join(root, below), { withFileTypes: true }).catch(() => []);
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (files.length >= MOST || NOT_OURS.includes(entry.name)) continue;
    const path = `${below}${entry.name}`;
    if (entry.isDirectory()) await walk(root, `${path}/`, files);
    else files.push(path);
  }
}
