import { isScalar, LineCounter, parseDocument, type YAMLError } from "yaml";
import type { Finding } from "./finding.ts";
import { NodeReader } from "./node-reader.ts";
import { inOrder, type Lines, MAX_PROBLEMS, type Places, placed, problemAt } from "./places.ts";
import type { Path, Problem } from "./problem.ts";
import { clip } from "./text-rules.ts";
import type { Value } from "./value.ts";

/** A file that is YAML, and where each of its values stands. */
export interface Document {
  readonly file: string;
  readonly value: Value;
  readonly places: Places;
  /** Unquoted scalars that YAML changes when it reads them (`3.10` becomes 3.1), by `pathId`. */
  readonly changed: Changed;
}

export type Changed = ReadonlyMap<string, { readonly path: Path; readonly written: string }>;

export const MAX_BYTES = 256 * 1024;
/**
 * Reads `text` as one YAML 1.2 document. Duplicate keys, tags, several documents, unbounded aliases and files over
 * 256 KiB are problems; all that can be found at once are. Never throws.
 */
export function readDocument(file: string, text: string): Document | readonly Problem[] {
  const lines: Lines = { counter: new LineCounter(), text: withoutMark(text) };
  const whole = (message: string, hint: string | null = null): readonly Problem[] => [
    { kind: "invalid", file, line: 1, column: 1, length: 1, message, hint, path: "" },
  ];
  if (Buffer.byteLength(text) > MAX_BYTES) return whole("the file is larger than 256 KiB");

  const document = parseDocument(lines.text, {
    version: "1.2",
    lineCounter: lines.counter,
    logLevel: "error",
    prettyErrors: false,
    resolveKnownTags: false,
    stringKeys: true,
    uniqueKeys: false, // quadratic there; looked for here
  });
  const told = [...document.errors.slice(0, MAX_PROBLEMS), ...document.warnings.slice(0, MAX_PROBLEMS)];
  const problems = told.map((error) => problemOf(file, lines, error));
  if (document.directives?.yaml.explicit === true && document.directives.yaml.version !== "1.2")
    problems.push(
      ...whole("the file asks for YAML 1.1, which reads `yes` and `on` as true", "remove the `%YAML` line"),
    );
  if (problems.length > 0) return inOrder(problems);
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null))
    return whole("the file is empty", "the smallest one is: `script: make test`");

  const reader = new NodeReader(document.contents);
  const value = reader.read(document.contents, [], null);
  if (reader.findings.length > 0 || value === undefined)
    return placed(file, { of: reader.places, lines }, reader.findings);
  return { file, value, places: { of: reader.places, lines }, changed: reader.changed };
}

/** Findings at their places in the text, in its order, each once and 100 at most. */
export function placeFindings(document: Document, findings: readonly Finding[]): readonly Problem[] {
  return placed(document.file, document.places, findings);
}

/** `text` without a byte order mark, which the places in it do not count. */
export function withoutMark(text: string): string {
  return text.startsWith("\ufeff") ? text.slice(1) : text;
}

function problemOf(file: string, lines: Lines, error: YAMLError): Problem {
  const { message, hint } = yamlSentence(error);
  return problemAt(file, lines, error.pos, { kind: "invalid", path: [], on: "value", message, hint });
}

/** The library's message in our words where ours help more. */
function yamlSentence({ code, message }: YAMLError): { message: string; hint: string | null } {
  switch (code) {
    case "TAB_AS_INDENT":
      return { message: "YAML cannot be indented with tabs", hint: "use spaces" };
    case "MULTIPLE_DOCS":
      return { message: "expected one document, found a second one", hint: "remove the `---` and what follows it" };
    case "BLOCK_AS_IMPLICIT_KEY":
      return { message: "a second `: ` on one line", hint: "put a value that contains `: ` in quotes" };
    case "BAD_SCALAR_START":
      return { message: clip(lower(message), 200), hint: "put the value in quotes" };
    case "TAG_RESOLVE_FAILED":
      return {
        message: "tags such as `!name` mean nothing here",
        hint: "remove the tag, or quote a value that begins with `!`",
      };
    case "NON_STRING_KEY":
      return { message: "a key must be plain text", hint: null };
    case "RESOURCE_EXHAUSTION":
      return { message: "nested too deep", hint: null };
    default: {
      const quote = /^Missing closing (["'])quote$/.exec(message)?.[1];
      if (quote !== undefined) return { message: `a quote (${quote}) is not closed before this`, hint: null };
      const bracket = /must be sufficiently indented and end with a ([\]}])$/.exec(message)?.[1];
      if (bracket !== undefined) return { message: `expected a \`${bracket}\` before this`, hint: null };
      return { message: clip(lower(message), 200), hint: null };
    }
  }
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
