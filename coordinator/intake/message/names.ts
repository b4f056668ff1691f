/**
 * Names that end up as arguments of git. Whether a ref exists is git's to say; what could be read as an option or
 * another line never gets that far.
 */

/** As `git check-ref-format` has it, for a whole name: `refs/heads/main`. */
export function isRefName(text: string): boolean {
  return text.startsWith("refs/") && isShortRef(text);
}

/** The same for a name that may be short: `main`, `v1.2`, `refs/tags/v1`, a commit. */
export function isShortRef(text: string): boolean {
  return (
    text.length <= 1024 &&
    !/[\p{Cc} ~^:?*[\\]|\.\.|@\{|^@$/u.test(text) &&
    !text.startsWith("-") &&
    !text.endsWith(".") &&
    text.split("/").every((part) => part !== "" && !part.startsWith(".") && !part.endsWith(".lock"))
  );
}

/** A URL, an `user@host:path`, or a path: which of them may be fetched is the executor's policy. */
export function isRemote(text: string): boolean {
  return text !== "" && text.length <= 2048 && !text.startsWith("-") && !/[\p{Cc} ]/u.test(text);
}
