import { globSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join, relative, resolve } from "node:path";

/** Test files that run together, before the next group starts. */
export interface Group {
  readonly name: string;
  readonly files: readonly string[];
  /** How many files at once. */
  readonly concurrency: number;
}

/** In the order they run: what is cheap and says most comes first. */
export const GROUPS = ["unit", "integration", "abuse", "fault", "e2e"] as const;
/** These kill, time and count things: side by side they would disturb each other. */
const ALONE: readonly string[] = ["fault", "e2e", "vm", "compose"];

/**
 * The groups to run: all of them, or those that the words narrow them to. A word is a group (`unit`), a directory or
 * a file (`test/unit/ids.test.ts`).
 */
export function select(root: string, words: readonly string[]): Group[] {
  const everywhere = GROUPS.map((name) => join(root, "test", name));
  const places = words.length === 0 ? everywhere : words.map((word) => placeOf(root, word));
  const files = [...new Set(places.flatMap(filesBelow))].sort();
  const groupOf = (file: string): string => relative(join(root, "test"), file).split("/")[0] ?? "";
  const names = [...new Set([...GROUPS, ...files.map(groupOf)])];
  return names
    .map((name) => ({
      name,
      files: files.filter((file) => groupOf(file) === name),
      concurrency: ALONE.includes(name) ? 1 : availableParallelism(),
    }))
    .filter((group) => group.files.length > 0);
}

function placeOf(root: string, word: string): string {
  return basename(word) === word && !word.includes(".") ? join(root, "test", word) : resolve(word);
}

function filesBelow(place: string): string[] {
  if (statSync(place, { throwIfNoEntry: false })?.isFile() === true) return [place];
  return globSync("**/*.test.ts", { cwd: place }).map((name) => join(place, name));
}
