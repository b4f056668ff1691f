import type { Finding } from "./finding.ts";
import type { Path } from "./problem.ts";
import type { Config } from "./schema.ts";

/**
 * What the file may say but this version cannot carry out. A row goes away with the change that carries it out; `*` is
 * any environment.
 */
const NOT_YET: readonly Row[] = [
  { key: "cache", cannot: "keep files from one build to the next" },
  { key: "services", cannot: "start services beside a build" },
];

interface Row {
  readonly key: string;
  /** The rest of "this version of Toroid cannot … yet". */
  readonly cannot: string;
  /** The value that asks for nothing new, or `text` when any text does. */
  readonly fine?: unknown;
  readonly hint?: string;
}

/** The keys of `config` that would have to be ignored; none is, they are problems. */
export function unsupportedIn(config: Config): readonly Finding[] {
  return NOT_YET.flatMap((row) =>
    placesOf(config, row.key.split("."), [])
      .filter(([, value]) => asks(row, value))
      .map(([path]) => notYet(path, row.cannot, row.hint)),
  );
}

/** The finding for a key at `path` that is valid but cannot be carried out yet. */
function notYet(
  path: Path,
  cannot: string,
  hint = "remove the key, or wait for the release that says it can",
): Finding {
  const key = path.findLast((part) => typeof part === "string") ?? "";
  const message = `\`${key}\` is understood, but this version of Toroid cannot ${cannot} yet`;
  return { kind: "unsupported", path, on: "key", message, hint };
}

function asks({ fine }: Row, value: unknown): boolean {
  if (fine === "text" && typeof value === "string") return false;
  if (fine !== undefined && value === fine) return false;
  return typeof value !== "object" || value === null || Object.keys(value).length > 0;
}

function placesOf(value: unknown, key: readonly string[], path: Path): readonly (readonly [Path, unknown])[] {
  const [part, ...rest] = key;
  if (part === undefined) return value === undefined ? [] : [[path, value]];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value)
    .filter(([name]) => part === "*" || part === name)
    .flatMap(([name, inner]) => placesOf(inner, rest, [...path, name]));
}
