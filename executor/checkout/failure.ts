/** What git's words mean. Pure. */
import { ToroidError } from "../../protocol/errors.ts";
import type { Address } from "./remote.ts";

const AUTH =
  /could not read (Username|Password)|Authentication failed|terminal prompts disabled|Permission denied \(|HTTP Basic: Access denied|The requested URL returned error: 40[13]|Host key verification failed|No supported authentication/i;
const NO_REPOSITORY =
  /repository .*not found|does not appear to be a git repository|returned error: 404|Repository not found/i;
const NO_COMMIT =
  /not our ref|couldn't find remote ref|unadvertised object|reference is not a tree|bad object|no such remote ref|remote error: upload-pack: not our ref|unable to find remote ref/i;
const NO_SPACE = /No space left on device|Disk quota exceeded/i;

/** git's own sentence: the last line that says something, without its prefix. */
export function wordsOf(stderr: string): string {
  const lines = stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("hint:"));
  const line = lines.findLast((one) => /^(fatal|error|remote):/.test(one)) ?? lines.at(-1) ?? "git said nothing";
  return line
    .replace(/^(fatal|error): /, "")
    .replace(/\/\/[^/@\s]*@/g, "//…@")
    .slice(0, 500);
}

/** The error of a fetch from `address` of `what` (a ref or a commit). */
export function fetchFailure(address: Address, what: string, stderr: string, cause: unknown): ToroidError {
  const words = wordsOf(stderr);
  const details = { remote: address.shown };
  if (NO_SPACE.test(stderr)) return diskFull(cause);
  if (AUTH.test(stderr)) {
    return new ToroidError(
      "TOR_GIT_AUTH",
      `${address.shown} asks for a password or key that this executor does not have: ${words}`,
      details,
      { cause },
    );
  }
  if (NO_COMMIT.test(stderr)) {
    return new ToroidError("TOR_NOT_FOUND", `${what} is not in ${address.shown}`, details, { cause });
  }
  if (NO_REPOSITORY.test(stderr)) {
    const orClosed = address.protocol === "file" ? ", or this executor's user may not read it" : "";
    return new ToroidError(
      "TOR_NOT_FOUND",
      `there is no repository at ${address.shown}${orClosed}: ${words}`,
      details,
      {
        cause,
      },
    );
  }
  return new ToroidError("TOR_GIT_UNREACHABLE", `cannot fetch ${what} from ${address.shown}: ${words}`, details, {
    cause,
  });
}

/** The error of a git command on this machine. */
export function localFailure(what: string, stderr: string, cause: unknown): ToroidError {
  if (NO_SPACE.test(stderr)) return diskFull(cause);
  return new ToroidError("TOR_CHECKOUT_FAILED", `cannot ${what}: ${wordsOf(stderr)}`, {}, { cause });
}

/** The lock file that git says is in its way, or null. */
export function lockIn(stderr: string): string | null {
  return /Unable to create '([^']+\.lock)': File exists/.exec(stderr)?.[1] ?? null;
}

export function diskFull(cause: unknown): ToroidError {
  return new ToroidError("TOR_DISK_FULL", "the executor's disk is full", {}, { cause });
}

/** True for what the file system says when there is no room. */
export function isNoSpace(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOSPC" || code === "EDQUOT";
}
