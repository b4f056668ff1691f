/** The part of a checkout that a template needs: nothing else is shown to Packer, so nothing else can change the image. */
import { createHash, type Hash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { copyFile, lstat, mkdir, readdir, readlink, realpath, symlink } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { pipeline } from "node:stream/promises";

export interface SelectedFile {
  /** From the checkout's root, without `..`. */
  readonly path: string;
  readonly kind: "file" | "link" | "directory";
  readonly executable: boolean;
}

/**
 * What is there of `names`, with all that is in directories; names are tried from the root and from `beside`, the
 * template's directory. Links are taken as links; what leads out of the checkout is not there.
 */
export async function selected(
  checkout: string,
  names: readonly string[],
  beside: string,
): Promise<readonly SelectedFile[]> {
  const found = new Map<string, SelectedFile>();
  for (const name of names) {
    for (const path of new Set([name, join(beside, name)])) {
      if (!(await leadsOut(checkout, path))) await walk(checkout, path, found);
    }
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Does the way to `path` leave the checkout, by a link, or end before it? */
export async function leadsOut(checkout: string, path: string): Promise<boolean> {
  const root = await realpath(checkout);
  const parent = path === "." ? root : await realpath(dirname(join(root, path))).catch(() => null);
  return parent === null || !(parent === root || parent.startsWith(root + sep));
}

async function walk(root: string, path: string, found: Map<string, SelectedFile>): Promise<void> {
  const place = join(root, path);
  const status = await lstat(place).catch(() => null);
  if (status === null || path === ".git" || found.has(path)) return;
  if (status.isSymbolicLink()) found.set(path, { path, kind: "link", executable: false });
  else if (status.isFile()) found.set(path, { path, kind: "file", executable: (status.mode & 0o100) !== 0 });
  else if (status.isDirectory()) {
    if (path !== ".") found.set(path, { path, kind: "directory", executable: true });
    for (const name of await readdir(place)) await walk(root, path === "." ? name : `${path}/${name}`, found);
  }
}

/** Names, modes and contents. */
export async function digestOf(checkout: string, files: readonly SelectedFile[], signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) {
    part(hash, JSON.stringify([file.path, file.kind, file.executable]));
    const place = join(checkout, file.path);
    if (file.kind === "link") part(hash, await readlink(place));
    if (file.kind !== "file") continue;
    const content = createHash("sha256");
    await pipeline(createReadStream(place), content, { signal });
    part(hash, content.digest("hex"));
  }
  return hash.digest("hex");
}

function part(hash: Hash, text: string): void {
  hash.update(text).update("\0");
}

/** The same below `into`. */
export async function copySelected(checkout: string, files: readonly SelectedFile[], into: string): Promise<void> {
  await mkdir(into, { recursive: true });
  for (const { path, kind } of files) {
    const [from, to] = [join(checkout, path), join(into, path)];
    await mkdir(kind === "directory" ? to : dirname(to), { recursive: true });
    if (kind === "link") await symlink(await readlink(from), to);
    else if (kind === "file") await copyFile(from, to, constants.COPYFILE_FICLONE);
  }
}
