import { type Finding, wrongKey, wrongValue } from "./finding.ts";
import type { Path } from "./problem.ts";
import type { Config } from "./schema.ts";
import { didYouMean, listed } from "./suggest.ts";

/** Where an environment stands among the others. */
export interface Position {
  readonly name: string;
  /** Environments that promote to it. */
  readonly after: readonly string[];
  /** Comes right after the build stages. */
  readonly first: boolean;
}

/** A `next`: where it is written and what it names. */
interface Edge {
  readonly from: string | null;
  readonly to: string;
  readonly path: Path;
}

export const MAX_ENVIRONMENTS = 64;

/**
 * The order of environments. Without any `next` they follow each other as written. With one, only what a `next` names
 * is reached: from the top-level `next`, or else from the first environment in the file.
 *
 * @param declared all names under `environments`, also of those too broken to be in `config`
 */
export function orderOf(
  config: Config,
  declared: readonly string[],
): { readonly positions: readonly Position[]; readonly findings: readonly Finding[] } {
  const names = Object.keys(config.environments ?? {});
  if (names.length > MAX_ENVIRONMENTS) {
    const message = `the file has ${names.length} environments; ${MAX_ENVIRONMENTS} is the most`;
    return { positions: [], findings: [wrongKey(["environments"], message)] };
  }
  const edges = edgesOf(config);
  const unknown = edges.filter(({ to }) => !declared.includes(to));
  const known = edges.filter(({ to }) => names.includes(to));
  const findings = [...sameNames(names), ...unknown.map((edge) => unknownName(edge, declared)), ...circles(known)];

  const written = edges.length > 0 || saysNext(config);
  if (!written) {
    const positions = names.map((name, i) => ({ name, first: i === 0, after: names.slice(Math.max(0, i - 1), i) }));
    return { positions, findings };
  }
  const begin =
    config.next === undefined ? names.slice(0, 1) : known.filter(({ from }) => from === null).map(({ to }) => to);
  const positions = names.map((name) => {
    const before = known.filter(({ from, to }) => to === name && from !== null).map(({ from }) => from ?? "");
    return { name, first: begin.includes(name), after: [...new Set(before)] };
  });
  const [head] = positions;
  if (config.next === undefined && head !== undefined && head.after.length > 0 && findings.length === 0)
    findings.push(
      wrongKey(
        ["environments", head.name],
        `\`${head.name}\` is the first environment, where promotion begins, but it also comes after ${listed(head.after, "and")}`,
        "say at the top of the file where promotion begins, for example `next: stage`",
      ),
    );
  return { positions, findings };
}

function saysNext(config: Config): boolean {
  return config.next !== undefined || Object.values(config.environments ?? {}).some(({ next }) => next !== undefined);
}

function edgesOf(config: Config): readonly Edge[] {
  const of = (from: string | null, next: readonly string[] | undefined, path: Path): readonly Edge[] =>
    (next ?? []).map((to) => ({ from, to, path }));
  const inner = Object.entries(config.environments ?? {});
  return [
    ...of(null, config.next, ["next"]),
    ...inner.flatMap(([name, { next }]) => of(name, next, ["environments", name, "next"])),
  ];
}

function unknownName({ to, path }: Edge, declared: readonly string[]): Finding {
  const hint =
    declared.length === 0
      ? "declare it under `environments`"
      : (didYouMean(to, declared) ?? `there is ${listed(declared, "and")}`);
  return wrongValue(path, `\`${to}\` is no environment of this file`, hint);
}

/** Names that variables such as `TOROID_OUTPUT_STAGE_EU_URL` cannot tell apart. */
function sameNames(names: readonly string[]): readonly Finding[] {
  const fold = (name: string) => name.toUpperCase().replaceAll("-", "_");
  return names.flatMap((name, i) => {
    const before = names.slice(0, i).find((other) => fold(other) === fold(name));
    if (before === undefined) return [];
    const message = `\`${name}\` and \`${before}\` are the same environment in the names of variables`;
    return [wrongKey(["environments", name], message, "choose another name for one of them")];
  });
}

/** Each circle once, named whole, at the `next` that closes it. */
function circles(edges: readonly Edge[]): readonly Finding[] {
  const findings: Finding[] = [];
  const done = new Set<string>();
  const visit = (name: string, trail: readonly string[]): void => {
    if (done.has(name)) return;
    for (const edge of edges.filter(({ from }) => from === name)) {
      const start = [...trail, name].indexOf(edge.to);
      if (start < 0) visit(edge.to, [...trail, name]);
      else findings.push(circle([...trail, name].slice(start), edge));
    }
    done.add(name);
  };
  for (const { from } of edges) if (from !== null) visit(from, []);
  return findings;
}

function circle(names: readonly string[], { to, path }: Edge): Finding {
  return wrongValue(
    path,
    `environments promote in a circle: ${[...names, to].join(" → ")}`,
    "remove one `next` of them",
  );
}
