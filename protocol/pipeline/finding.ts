import type { Path } from "./problem.ts";

/** A problem that knows its place in the structure but not yet in the text; `document.ts` turns it into a `Problem`. */
export interface Finding {
  readonly kind: "invalid" | "unsupported";
  readonly path: Path;
  /** Which half of `key: value` to point at. */
  readonly on: "key" | "value";
  readonly message: string;
  readonly hint: string | null;
}

/** A finding about the value at `path`. */
export function wrongValue(path: Path, message: string, hint: string | null = null): Finding {
  return { kind: "invalid", path, on: "value", message, hint };
}

/** A finding about the last key of `path`. */
export function wrongKey(path: Path, message: string, hint: string | null = null): Finding {
  return { kind: "invalid", path, on: "key", message, hint };
}
