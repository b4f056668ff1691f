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

/** True when `version` (`1.2.3`) is not older than `least`. */
export function atLeast(version: string, least: string = MINIMUM_VERSION): boolean {
  const [have, want] = [version, least].map((text) => text.split(".").map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (have?.[i] ?? 0) - (want?.[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
