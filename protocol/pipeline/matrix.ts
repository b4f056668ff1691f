import { type Finding, wrongKey, wrongValue } from "./finding.ts";
import type { Path } from "./problem.ts";
import type { Config } from "./schema.ts";
import { clip, variableProblem } from "./text-rules.ts";

/** One combination of a matrix: a build stage. */
export interface Variant {
  /** In the order of the file; empty without a matrix. */
  readonly variables: Readonly<Record<string, string>>;
  readonly allowFailure: boolean;
}

type Matrix = NonNullable<Config["matrix"]>;
type Combination = Readonly<Record<string, string>>;
type Axes = readonly (readonly [string, readonly string[]])[];

export const MAX_VARIANTS = 256;
const MAX_VALUE = 64;
const MAX_NAME = 200;

/** The stage's name: `build`, `build NODE=22 DB=pg`. */
export function variantName({ variables }: Variant): string {
  return ["build", ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)].join(" ");
}

/** Every combination of the axes but the excluded, then the included; exactly one when there is no matrix. */
export function variantsOf(matrix: Config["matrix"]): {
  readonly variants: readonly Variant[];
  readonly findings: readonly Finding[];
} {
  if (matrix === undefined) return { variants: [{ variables: {}, allowFailure: false }], findings: [] };
  const axes = axesOf(matrix);
  const findings = [...axisFindings(axes), ...combinationFindings(matrix, axes)];
  const included = matrix.include ?? [];
  const size = sizeOf(axes) + included.length;
  if (size > MAX_VARIANTS)
    findings.push(wrongKey(["matrix"], `the matrix makes ${size} builds; ${MAX_VARIANTS} is the most`));
  if (findings.length > 0) return { variants: [], findings };

  const excluded = matrix.exclude ?? [];
  const variants: Variant[] = product(axes)
    .filter((variables) => !excluded.some((rule) => covers(rule, variables)))
    .map((variables) => ({ variables, allowFailure: false }));
  for (const entry of included) {
    const allowFailure = entry.allow_failure ?? false;
    const variables = variablesOf(entry);
    const same = variants.findIndex((variant) => equal(variant.variables, variables));
    if (same < 0) variants.push({ variables, allowFailure });
    else variants[same] = { variables: variants[same]?.variables ?? variables, allowFailure };
  }
  if (variants.length === 0) findings.push(wrongKey(["matrix"], "the matrix makes no build at all"));
  const names = variants.map(variantName);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    findings.push(wrongKey(["matrix"], `two combinations would both be the stage \`${clip(twice)}\``));
  const long = variants.find((variant) => variantName(variant).length > MAX_NAME);
  if (long !== undefined)
    findings.push(
      wrongKey(["matrix"], `the stage \`${clip(variantName(long))}\` has a name of more than ${MAX_NAME} characters`),
    );
  return { variants, findings };
}

function axesOf(matrix: Matrix): Axes {
  const axes = Object.entries(matrix).filter(([name]) => name !== "include" && name !== "exclude");
  return axes as readonly [string, readonly string[]][];
}

/** An entry of `include` without what it says about the stage. */
function variablesOf(entry: Readonly<Record<string, unknown>>): Combination {
  const variables = Object.entries(entry).filter(([name]) => name !== "allow_failure");
  return Object.fromEntries(variables) as Combination;
}

function axisFindings(axes: Axes): readonly Finding[] {
  return axes.flatMap(([name, values]) => [
    ...nameFindings(["matrix", name], name),
    ...(values.length === 0 ? [wrongValue(["matrix", name], "expected at least one value")] : []),
    ...values.flatMap((value, i) => valueFindings(["matrix", name, i], value)),
    ...values.flatMap((value, i) =>
      values.indexOf(value) === i ? [] : [wrongValue(["matrix", name, i], `\`${clip(value)}\` is there twice`)],
    ),
  ]);
}

function combinationFindings(matrix: Matrix, axes: Axes): readonly Finding[] {
  const included = (matrix.include ?? []).flatMap((entry, i) =>
    entryFindings(["matrix", "include", i], variablesOf(entry)),
  );
  if (sizeOf(axes) > MAX_VARIANTS) return included;
  const all = product(axes);
  const excluded = (matrix.exclude ?? []).flatMap((rule, i) =>
    all.some((variables) => covers(rule, variables))
      ? []
      : [wrongValue(["matrix", "exclude", i], "this excludes nothing: no combination has these values")],
  );
  return [...included, ...excluded];
}

function sizeOf(axes: Axes): number {
  return axes.reduce((size, [, values]) => size * values.length, axes.length === 0 ? 0 : 1);
}

function entryFindings(path: Path, entry: Combination): readonly Finding[] {
  const names = Object.keys(entry);
  if (names.length === 0) return [wrongValue(path, "expected at least one variable")];
  return names.flatMap((name) => [
    ...nameFindings([...path, name], name),
    ...valueFindings([...path, name], entry[name] ?? ""),
  ]);
}

function nameFindings(path: Path, name: string): readonly Finding[] {
  const message = variableProblem(name);
  return message === null ? [] : [wrongKey(path, message)];
}

/** Values are part of a stage's name. */
function valueFindings(path: Path, value: string): readonly Finding[] {
  if (value.length > MAX_VALUE)
    return [wrongValue(path, `a value of the matrix can have ${MAX_VALUE} characters at most`)];
  return /^[\x20-\x7e]*$/.test(value)
    ? []
    : [wrongValue(path, "a value of the matrix can have printable ASCII characters only")];
}

function product(axes: Axes): readonly Combination[] {
  if (axes.length === 0) return [];
  return axes.reduce<readonly Combination[]>(
    (all, [name, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  );
}

/** Whether `variables` has every value of `rule`. */
function covers(rule: Combination, variables: Combination): boolean {
  const entries = Object.entries(rule);
  return (
    entries.length > 0 && entries.every(([name, value]) => Object.hasOwn(variables, name) && variables[name] === value)
  );
}

function equal(a: Combination, b: Combination): boolean {
  return Object.keys(a).length === Object.keys(b).length && covers(a, b);
}
