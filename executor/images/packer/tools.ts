/**
 * What Packer's workspace is shown of this host: Packer, Node, and what runs there. Laid out where it can be shown, while
 * we may still read all of it: programs as links where that can be, the rest as copies.
 */
import { constants, copyFileSync, linkSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
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
 * Makes them a layer of an image below `dir`, in place of what is there. Links lead to the system's own programs: so who
 * is root keeps the directory, and gives it to nobody.
 */
export async function layTools(dir: string, packer: string): Promise<void> {
  await removeTree(dir);
  const draft = join(toolsIn(dir), TOOLS_DIR);
  mkdirSync(join(draft, "node_modules"), { recursive: true, mode: 0o755 });
  place(packer, join(draft, "packer"));
  place(process.execPath, join(draft, "node"));
  placeTree(INSIDE, join(draft, "inside"));
  writeFileSync(join(draft, "package.json"), '{ "type": "module" }\n');
  for (const from of packageDirs()) placeTree(from, join(draft, "node_modules", basename(from)));
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
  try {
    linkSync(file, at);
  } catch {
    // Another file system, or one that knows no links.
    copyFileSync(file, at, constants.COPYFILE_FICLONE);
  }
}

function packageDirs(): readonly string[] {
  const found = new Map<string | null, string>([[null, import.meta.filename]]);
  for (const [name, by] of PACKAGES)
    found.set(name, createRequire(found.get(by) ?? "").resolve(`${name}/package.json`));
  found.delete(null);
  return [...found.values()].map((path) => dirname(path));
}
