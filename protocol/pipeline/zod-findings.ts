import type { z } from "zod";
import { type Changed } from "./document.ts";
import { type Finding, wrongKey, wrongValue } from "./finding.ts";
import { keysAt } from "./json-schema.ts";
import { type Path, pathId } from "./problem.ts";
import { didYouMean } from "./suggest.ts";
import { clip } from "./text-rules.ts";
import { isList, type Value, valueAt } from "./value.ts";

/** Beyond that many unknown keys in one mapping nobody reads what each may have meant. */
const MAX_HINTS = 100;

type Issue = z.core.$ZodIssue;
type Read = { readonly value: Value; readonly changed: Changed };

/** What the schema has to say about `value`, in sentences: what was expected, what was found, what to do. */
export function findingsOf(issues: readonly Issue[], value: Value, changed: Changed): readonly Finding[] {
  return issues.flatMap((issue) => findingsOfIssue(issue, pathOf(issue.path), { value, changed }));
}

/** Given to zod for what the schema's own `error` does not say: the expectation, as the middle of a sentence. */
export function expectation(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return NAMES[issue.expected] ?? issue.expected;
    default:
      return "something else";
  }
}

const NAMES: Readonly<Record<string, string>> = {
  array: "a list",
  boolean: "`true` or `false`",
  null: "nothing",
  number: "a number",
  object: "a mapping",
  record: "a mapping",
  string: "text",
};

function findingsOfIssue(issue: Issue, path: Path, read: Read): readonly Finding[] {
  switch (issue.code) {
    case "unrecognized_keys": {
      const known = keysAt(path);
      return issue.keys.map((key, i) => unknownKey([...path, key], key, i < MAX_HINTS ? known : []));
    }
    case "invalid_key":
      return issue.issues.map(({ message }) => wrongKey(path, message));
    case "invalid_union": {
      const found = valueAt(read.value, path);
      const meant = issue.errors.filter((branch) => !branch.some((inner) => isOtherType(inner, found)));
      const [only] = meant;
      if (only === undefined || meant.length > 1) return [mismatch(path, read, issue.message, [])];
      return only.flatMap((inner) => findingsOfIssue(inner, [...path, ...pathOf(inner.path)], read));
    }
    case "invalid_value":
      return [mismatch(path, read, issue.message, issue.values.map(String))];
    case "invalid_type":
      return [mismatch(path, read, issue.message, [])];
    default:
      return [wrongValue(path, issue.message)];
  }
}

/** Whether a branch of a union failed because it is about another type altogether. */
function isOtherType(issue: Issue, found: Value | undefined): boolean {
  if (issue.path.length > 0) return false;
  if (issue.code === "invalid_union")
    return issue.errors.every((branch) => branch.some((inner) => isOtherType(inner, found)));
  // Words are what a list or a mapping cannot be a misspelling of.
  return issue.code === "invalid_type" || (issue.code === "invalid_value" && typeof found === "object");
}

function unknownKey(path: Path, key: string, known: readonly string[]): Finding {
  const where = path.length === 1 ? "" : ` in \`${path.slice(0, -1).join(".")}\``;
  const foreign = path.length === 1 && Object.hasOwn(FOREIGN, key) ? FOREIGN[key] : undefined;
  const all = known.length === 0 ? null : `the keys here are ${known.join(", ")}`;
  const hint = foreign ?? didYouMean(key, known) ?? all;
  return wrongKey(path, `\`${clip(key)}\` is not a key${where}`, hint);
}

/** Keys of other systems that people will try first, and what they are called here. */
const FOREIGN: Readonly<Record<string, string>> = {
  addons: "install what is needed in `install`, or choose an `image` that has it",
  after_failure: "use `after`: it always runs",
  after_script: "use `after`: it always runs",
  after_success: "use `publish`: it runs only after `script` passed",
  before_deploy: "put it in `publish`, before the command that publishes",
  before_install: "put it in `install`, first",
  before_script: "put it in `install`, last",
  branches: "use `on: { branches: [main] }`",
  deploy: "use `publish` for a library, `environments` for an application",
  dist: "use `image`",
  jobs: "use `matrix` for several builds, `environments` for what follows them",
  language: "use `image`",
  notifications: "use `notify`",
  os: "use `image`",
  stages: "use `environments`",
  steps: "use `script`",
  sudo: "a workspace has no other user to become; remove the key",
};

function mismatch(path: Path, { value, changed }: Read, expected: string, words: readonly string[]): Finding {
  const found = valueAt(value, path);
  const key = path.at(-1);
  if (found === undefined) return wrongKey(path, `\`${key ?? ""}\` is missing: expected ${expected}`);
  const written = changed.get(pathId(path))?.written ?? (typeof found === "object" ? "" : String(found));
  return wrongValue(
    path,
    `expected ${expected}, found ${describe(found, written)}`,
    hintFor(found, written, expected, words),
  );
}

function describe(value: Value, written: string): string {
  if (value === null) return "nothing";
  if (typeof value === "object") return isList(value) ? "a list" : "a mapping";
  if (typeof value === "string") return value === "" ? "an empty text" : `\`${clip(value)}\``;
  return typeof value === "number" ? `the number ${clip(written)}` : `\`${clip(written)}\``;
}

function hintFor(found: Value, written: string, expected: string, words: readonly string[]): string | null {
  if (typeof found === "string") {
    if (expected.includes("`true`")) return hintForBoolean(found);
    return didYouMean(found, words);
  }
  if (/\bduration\b/.test(expected) && typeof found === "number")
    return `give it a unit: \`${found}m\` or \`${found}s\``;
  if (/\bsize\b/.test(expected) && typeof found === "number")
    return `give it a unit: \`${found}MiB\` or \`${found}GiB\``;
  const text = /\b(?:command|text|pattern|name|path|reference|host|person)\b/.test(expected);
  if (text && (typeof found === "number" || typeof found === "boolean")) return `put it in quotes: "${clip(written)}"`;
  if (/\bcommand\b/.test(expected) && typeof found === "object" && found !== null && !isList(found))
    return "a command that contains `: ` needs quotes around it";
  return null;
}

function hintForBoolean(found: string): string | null {
  const word = found.toLowerCase();
  if (["yes", "on", "y"].includes(word)) return `YAML 1.2 reads \`${found}\` as text: write \`true\``;
  if (["no", "off", "n"].includes(word)) return `YAML 1.2 reads \`${found}\` as text: write \`false\``;
  if (word === "true" || word === "false") return `write it without quotes: ${word}`;
  return null;
}

function pathOf(path: readonly PropertyKey[]): Path {
  return path.map((part) => (typeof part === "symbol" ? String(part) : part));
}
