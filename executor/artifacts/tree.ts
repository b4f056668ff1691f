/** Which files of a build's checkout its artifact is made of. The tree is the build's: nothing in it is trusted. */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import { matches } from "../../protocol/pipeline/glob.ts";

export const FILES_MOST = 100_000;
export const BYTES_MOST = 8 * 1024 ** 3;
const DEPTH_MOST = 200;

export interface FoundFiles {
  /** Relative to the directory that was searched, sorted. */
  readonly paths: readonly string[];
  readonly bytes: number;
}

/**
 * Regular files below `dir` that a pattern matches; the last one that matches decides, `!` ones against it. Links are
 * neither followed nor taken, `.git` is not looked into. Answers a sentence when that cannot be an artifact.
 */
export async function findFiles(dir: string, patterns: readonly string[]): Promise<FoundFiles | string> {
  const paths: string[] = [];
  let bytes = 0;
  const left: { readonly path: string; readonly depth: number }[] = [{ path: "", depth: 0 }];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const entries = await entriesOf(join(dir, next.path));
    if (entries === null || next.depth > DEPTH_MOST)
      return `the tree below ${next.path.slice(0, 200)} is too deep for an artifact`;
    for (const entry of entries) {
      const path = posix.join(next.path, entry.name);
      if (entry.isDirectory()) {
        if (path !== ".git") left.push({ path, depth: next.depth + 1 });
      } else if (entry.isFile() && isSelected(patterns, path)) {
        paths.push(path);
        bytes += (await stat(join(dir, path))).size;
        if (paths.length > FILES_MOST) return `the artifact has more than ${FILES_MOST} files`;
        if (bytes > BYTES_MOST) return `the artifact's files have more than ${BYTES_MOST / 1024 ** 3} GiB`;
      }
    }
  }
  const unmatched = patterns.find(
    (pattern) => !pattern.startsWith("!") && !paths.some((path) => matches(pattern, path)),
  );
  if (unmatched !== undefined) return `no file matches ${JSON.stringify(unmatched)} of \`artifact\``;
  return { paths: paths.sort(), bytes };
}

/** null when the path is longer than the system takes. */
async function entriesOf(path: string): Promise<readonly Dirent[] | null> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENAMETOOLONG") return null;
    throw error;
  }
}

function isSelected(patterns: readonly string[], path: string): boolean {
  let selected = false;
  for (const pattern of patterns) {
    const negated = pattern.startsWith("!");
    if (selected === negated && matches(negated ? pattern.slice(1) : pattern, path)) selected = !negated;
  }
  return selected;
}
