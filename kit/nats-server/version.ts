import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The release that this code is tested on, and that is fetched when the machine has none. The one place to raise it. */
export const PINNED_VERSION = "2.15.1";
/** Older servers ignore settings that correctness rests on, without a word. */
export const MINIMUM_VERSION = "2.12.3";

/** The version that a binary reports of itself; undefined when it does not run or is something else. */
export async function versionOf(binary: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(binary, ["--version"], { timeout: 10_000 });
    return /^nats-server: v(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

/** Is `version` before `minimum`? Both `major.minor.patch`; what follows a `-` or `+` is ignored. */
export function isOlder(version: string, minimum: string): boolean {
  const numbers = (text: string): number[] =>
    (text.split(/[-+]/)[0] ?? "").split(".").map((part) => Number.parseInt(part, 10) || 0);
  const [have, want] = [numbers(version), numbers(minimum)];
  for (let at = 0; at < 3; at += 1) {
    const difference = (have[at] ?? 0) - (want[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** True when `version` is not older than `least`. */
export function atLeast(version: string, least: string = MINIMUM_VERSION): boolean {
  return !isOlder(version, least);
}
