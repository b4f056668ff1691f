import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const manifest = z.looseObject({ version: z.string() });

/** The version of this Toroid, as its package says it. */
export function packageVersion(): string {
  return manifest.parse(JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8"))).version;
}
