import type { Path } from "./problem.ts";

/** What a YAML file can hold, as plain data. Mappings have no prototype and never a key `__proto__`. */
export type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value };

/** The value at `path`, or undefined. */
export function valueAt(value: Value, path: Path): Value | undefined {
  let at: Value | undefined = value;
  for (const part of path) at = childOf(at, part);
  return at;
}

function childOf(value: Value | undefined, part: string | number): Value | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (isList(value)) return typeof part === "number" ? value[part] : undefined;
  return Object.hasOwn(value, part) ? value[part] : undefined;
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}
