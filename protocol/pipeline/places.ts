import type { LineCounter } from "yaml";
import type { Finding } from "./finding.ts";
import { type Problem, pathId, pathText } from "./problem.ts";

/** From start to end, in UTF-16 units of the text. */
export type Range = readonly [number, number];
export type Places = {
  readonly of: ReadonlyMap<string, { readonly key: Range | null; readonly value: Range }>;
  readonly lines: Lines;
};
export type Lines = { readonly counter: LineCounter; readonly text: string };

/** Nobody reads more of them. */
export const MAX_PROBLEMS = 100;

/** Findings as problems at their places in the text, in its order, each once. */
export function placed(
  file: string,
  places: Places,
  findings: readonly (Finding & { readonly at?: Range })[],
): readonly Problem[] {
  return inOrder(
    findings.map((finding) => {
      const at = finding.at ?? rangeOfPath(places, finding);
      return problemAt(file, places.lines, at, finding);
    }),
  );
}

/** Of the finding's place, or of the nearest thing around it that is in the text. */
function rangeOfPath(places: Places, { path, on }: Finding): Range {
  for (let length = path.length; length > 0; length--) {
    const place = places.of.get(pathId(path.slice(0, length)));
    if (place === undefined) continue;
    const own = length === path.length && on === "value";
    return own ? place.value : (place.key ?? place.value);
  }
  return [0, 1];
}

export function problemAt(file: string, { counter, text }: Lines, [start, end]: Range, finding: Finding): Problem {
  const { line, col } = counter.linePos(Math.min(start, text.length));
  const lineEnd = text.indexOf("\n", start);
  const last = Math.min(end, lineEnd < 0 ? text.length : lineEnd);
  const length = Math.max(1, text.slice(start, last).trimEnd().length);
  const { kind, message, hint } = finding;
  return {
    kind,
    file,
    line: Math.max(1, line),
    column: Math.max(1, col),
    length,
    message,
    hint,
    path: pathText(finding.path),
  };
}

/** By place, without repetitions, and not more than anyone would read. */
export function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const sorted = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const seen = new Set<string>();
  const unique = sorted.filter(({ line, column, message }) => {
    const id = `${line}:${column}:${message}`;
    return !seen.has(id) && seen.add(id);
  });
  const left = unique.length - MAX_PROBLEMS;
  const last = unique[MAX_PROBLEMS];
  if (left <= 0 || last === undefined) return unique;
  return [...unique.slice(0, MAX_PROBLEMS), { ...last, message: `and ${left} more problems from here on`, hint: null }];
}
