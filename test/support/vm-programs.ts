/** Programs of this machine for a guest of the same kind, with what they need to start. */
import { execa } from "execa";
import { programPath } from "./programs.ts";
import { PartsMissing } from "./vm-packages.ts";

/**
 * What a guest gets, by place there, from where here: each program in `sbin`, and its libraries where its loader looks.
 *
 * @throws {PartsMissing} where one is not installed
 */
export async function programsWithLibraries(names: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const files: Record<string, string> = {};
  for (const name of names) {
    const path = programPath(name);
    if (path === undefined) throw new PartsMissing(`needs the program ${name}`);
    files[`sbin/${name}`] = path;
    const { stdout } = await execa("ldd", [path]);
    for (const [library] of stdout.matchAll(/\/\S+\.so\S*/g)) files[library.slice(1)] = library;
  }
  return files;
}
