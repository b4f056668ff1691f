/** What this machine cannot hold a run to. Tests allow it, and with it everything else is proved here too. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const HELPER = join(import.meta.dirname, "..", "..", "sandbox", "build", "toroid-sandbox");
const checked = z.looseObject({ allow: z.array(z.string()) });
let known: readonly string[] | undefined;

/** The names, as `TOROID_ALLOW_WEAK` takes them; asked of the helper once. */
export function weakHere(): readonly string[] {
  known ??= ask();
  return known;
}

/** The same as options of the helper. */
export function allowWeak(): readonly string[] {
  return weakHere().flatMap((name) => ["--allow-weak", name]);
}

function ask(): readonly string[] {
  if (!existsSync(HELPER)) return []; // then the tests that would want it are skipped
  try {
    return namesOf(
      execFileSync(HELPER, ["check", "--json"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
    );
  } catch (error) {
    // It exits with 1 where something lacks, and says what all the same.
    if (error instanceof Error && "stdout" in error && typeof error.stdout === "string") return namesOf(error.stdout);
    throw error;
  }
}

function namesOf(said: string): readonly string[] {
  return checked.parse(JSON.parse(said)).allow;
}
