/** What is another when the content of an image is: by what package managers change, for no image is read as a whole. */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";

/** Of Debian, Alpine, Fedora and their kin. */
const CHANGING = [
  "usr/lib/os-release",
  "var/lib/dpkg/status",
  "lib/apk/db/installed",
  "var/lib/rpm/rpmdb.sqlite",
  "usr/lib/sysimage/rpm/rpmdb.sqlite",
] as const;

/** @param root a directory, or `host` */
export async function identityOf(root: string): Promise<string> {
  const path = root === "host" ? "/" : root;
  const { ino } = await stat(path);
  const marks = await Promise.all(CHANGING.map((name) => markOf(join(path, name))));
  return JSON.stringify([root, ino, ...marks]);
}

/** The same by content alone, on whatever host. */
export async function contentOf(root: string): Promise<string> {
  const path = root === "host" ? "/" : root;
  const marks = await Promise.all(CHANGING.map((name) => digestOf(join(path, name))));
  return JSON.stringify(marks);
}

async function digestOf(path: string): Promise<string | null> {
  const content = await readFile(path).catch(() => null);
  return content === null ? null : createHash("sha256").update(content).digest("hex");
}

async function markOf(path: string): Promise<string | null> {
  const found = await stat(path).catch(() => null);
  return found === null ? null : [found.ino, found.size, found.mtimeMs].join(" ");
}
