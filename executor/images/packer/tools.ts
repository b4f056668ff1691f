/**
 * What Packer's workspace is shown of this host: Packer, Node, and what runs there. Laid out where it can be shown, while
 * we may still read all of it: programs as links where that can be, the rest as copies.
 */
import {
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { removeTree } from "../../trees.ts";
import { findProgram } from "../find-program.ts";

/** Where they are in Packer's workspace. */
export const TOOLS_DIR = "/toroid/packer";
/** What the SSH server is made of: a package, and what needs it, which may have a version of its own. */
const PACKAGES = [
  ["ssh2", null],
  ["asn1", "ssh2"],
  ["safer-buffer", "asn1"],
  ["bcrypt-pbkdf", "ssh2"],
  ["tweetnacl", "bcrypt-pbkdf"],
] as const;
const INSIDE = join(import.meta.dirname, "inside");
/** What packages bring that is not for running them. */
const NOT_NEEDED = ["test", "examples", "util", "build", "node_modules"];

/**
 * Where Packer is, or null when this host has none.
 *
 * @param named by the operator; null: on PATH
 * @throws {ToroidError} TOR_CONFIG_INVALID when what is named is not there
 */
export async function findPacker(named: string | null, path: string): Promise<string | null> {
  return findProgram("packer", { named, variable: "TOROID_PACKER", path });
}

/** The layer that {@link layTools} makes. */
export function toolsIn(dir: string): string {
  return join(dir, "tools");
}

/**
 * Makes them a layer of an image below `dir`, in place of what is there; a program that had to be copied, and is the same
 * as then, is not copied again. Links lead to the system's own programs: so who is root keeps the directory, and gives it
 * to nobody.
 */
export async function layTools(dir: string, packer: string, node = process.execPath): Promise<void> {
  const [before, stamps] = [join(dir, "before"), join(dir, "stamps.json")];
  const known = stampsIn(stamps);
  // Gone until all is there, so that half a copy is never taken for a whole one.
  rmSync(stamps, { force: true });
  await removeTree(before);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  if (existsSync(toolsIn(dir))) renameSync(toolsIn(dir), before);
  const draft = join(toolsIn(dir), TOOLS_DIR);
  mkdirSync(join(draft, "node_modules"), { recursive: true, mode: 0o755 });
  const fresh: Record<string, string> = {};
  for (const [name, file] of [["packer", packer] as const, ["node", node] as const]) {
    const stamp = stampOf(file);
    const last = known[name] === stamp ? join(before, TOOLS_DIR, name) : null;
    if (last === null || !link(last, join(draft, name))) place(file, join(draft, name));
    fresh[name] = stamp;
  }
  placeTree(INSIDE, join(draft, "inside"));
  writeFileSync(join(draft, "package.json"), '{ "type": "module" }\n');
  for (const from of packageDirs()) placeTree(from, join(draft, "node_modules", basename(from)));
  writeFileSync(stamps, JSON.stringify(fresh));
  await removeTree(before);
}

/** What is another when a file is: whoever replaces one makes another inode, or at least another time of change. */
function stampOf(file: string): string {
  const { dev, ino, size, mtimeMs, ctimeMs } = statSync(file);
  return [file, dev, ino, size, mtimeMs, ctimeMs].join(" ");
}

function stampsIn(path: string): Readonly<Record<string, unknown>> {
  try {
    const read: unknown = JSON.parse(readFileSync(path, "utf8"));
    return typeof read === "object" && read !== null ? { ...read } : {};
  } catch {
    return {}; // none, or of somebody who was killed: then all is copied
  }
}

/** At once, for it is many small files, and nothing else is to be done yet. */
function placeTree(from: string, to: string): void {
  mkdirSync(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.isFile()) place(join(from, entry.name), join(to, entry.name));
    else if (entry.isDirectory() && !NOT_NEEDED.includes(entry.name))
      placeTree(join(from, entry.name), join(to, entry.name));
  }
}

function place(file: string, at: string): void {
  // Another file system, or one that knows no links.
  if (!link(file, at)) copyFileSync(file, at, constants.COPYFILE_FICLONE);
}

function link(file: string, at: string): boolean {
  try {
    linkSync(file, at);
    return true;
  } catch {
    return false;
  }
}

function packageDirs(): readonly string[] {
  const found = new Map<string | null, string>([[null, import.meta.filename]]);
  for (const [name, by] of PACKAGES)
    found.set(name, createRequire(found.get(by) ?? "").resolve(`${name}/package.json`));
  found.delete(null);
  return [...found.values()].map((path) => dirname(path));
}
