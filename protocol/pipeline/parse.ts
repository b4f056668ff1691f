import { type Document, placeFindings, readDocument } from "./document.ts";
import { type Finding, wrongValue } from "./finding.ts";
import type { Path, Problem } from "./problem.ts";
import { type Config, schema } from "./schema.ts";
import { isList, type Value, valueAt } from "./value.ts";
import { expectation, findingsOf } from "./zod-findings.ts";

/** A file as far as it can be read. */
export interface Parsed {
  /** What is valid of it; what is not has been left out. */
  readonly config: Config;
  /** Nothing was left out. */
  readonly complete: boolean;
  /** Names under `environments`, also of those that were left out. */
  readonly environments: readonly string[];
  readonly findings: readonly Finding[];
  readonly document: Document;
}

/**
 * Text → the valid part of the file and everything wrong with the rest, so that the checks after this one can add theirs.
 * Problems alone when the text is no YAML or no mapping. Never throws.
 */
export function parse(file: string, text: string): Parsed | readonly Problem[] {
  const document = readDocument(file, text);
  if (!("value" in document)) return document;
  const findings: Finding[] = [...changedText(document)];
  let { value } = document;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const read = schema.safeParse(value, { error: expectation });
    if (read.success) {
      const environments = environmentNames(document.value);
      return { config: read.data, complete: round === 0, environments, findings, document };
    }
    const found = findingsOf(read.error.issues, value, document.changed);
    findings.push(...found);
    if (found.some((finding) => finding.path.length === 0)) break;
    value = without(
      value,
      found.map((finding) => removable(finding.path, value)),
    );
  }
  return placeFindings(document, findings);
}

/** What is left out in one round may make the schema see something new in the next; it settles in two or three. */
const MAX_ROUNDS = 8;

/** Where values are text for a program: `*` is any one key or index. */
const TEXTS = [
  "env.*",
  "matrix.*.*",
  "matrix.include.*.*",
  "matrix.exclude.*.*",
  "environments.*.env.*",
  "environments.*.params.*",
].map((path) => path.split("."));

function changedText({ changed, value }: Document): readonly Finding[] {
  return [...changed.values()]
    .filter(({ path }) => path.at(-1) !== "allow_failure" && TEXTS.some((text) => fits(path, text)))
    .map(({ path, written }) => {
      const read = JSON.stringify(valueAt(value, path));
      return wrongValue(
        path,
        `YAML reads \`${written}\` as ${read}, which is another text`,
        `put it in quotes: "${written}"`,
      );
    });
}

function fits(path: Path, pattern: readonly string[]): boolean {
  return path.length === pattern.length && pattern.every((part, i) => part === "*" || part === path[i]);
}

function environmentNames(value: Value): readonly string[] {
  const environments = valueAt(value, ["environments"]);
  if (environments === undefined) return [];
  return typeof environments === "object" && environments !== null && !isList(environments)
    ? Object.keys(environments)
    : [];
}

/** What to leave out for a finding at `path`: a list with a hole, or a mapping without what it must have, goes whole. */
function removable(path: Path, value: Value): Path {
  const item = path.findIndex((part) => typeof part === "number");
  const whole = item < 0 ? path : path.slice(0, item);
  return valueAt(value, whole) === undefined ? whole.slice(0, -1) : whole;
}

/** `value` without what stands at `paths`. */
function without(value: Value, paths: readonly Path[]): Value {
  if (typeof value !== "object" || value === null || isList(value)) return value;
  const below = Map.groupBy(paths, ([first]) => first);
  const kept: Record<string, Value> = Object.create(null);
  for (const [key, inner] of Object.entries(value)) {
    const rest = (below.get(key) ?? []).map((path) => path.slice(1));
    if (rest.some((path) => path.length === 0)) continue;
    kept[key] = rest.length === 0 ? inner : without(inner, rest);
  }
  return kept;
}
