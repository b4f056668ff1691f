/** Where everything of a build's picture is: commit → build → artifact → environments. Pure. */
import type { BuildSummary, StageSummary } from "../../protocol/summary.ts";
import type { Artifact } from "../../protocol/work.ts";

export const NODE = { width: 176, height: 56 } as const;
const GAP = { x: 36, y: 12 } as const;

export type Thing =
  | { readonly kind: "commit" }
  | { readonly kind: "stage"; readonly stage: StageSummary }
  | { readonly kind: "artifact"; readonly artifact: Artifact };

export interface Placed {
  readonly key: string;
  readonly thing: Thing;
  readonly x: number;
  readonly y: number;
}

export interface Graph {
  readonly nodes: readonly Placed[];
  readonly edges: readonly { readonly from: Placed; readonly to: Placed }[];
  readonly width: number;
  readonly height: number;
}

interface Node {
  readonly thing: Thing;
  readonly needs: readonly string[];
}

const COMMIT = "commit";
const ARTIFACT = "artifact";
const PLAN = "_plan";

/** A column for each step from the commit, so that everything stands right of what it needs. */
export function layoutBuild(build: Pick<BuildSummary, "stages" | "artifact">): Graph {
  const nodes = nodesOf(build);
  const columns = columnsOf(nodes);
  const filled: string[][] = [];
  for (const key of nodes.keys()) {
    const column = columns.get(key) ?? 0;
    filled[column] = [...(filled[column] ?? []), key];
  }
  const most = Math.max(1, ...filled.map((keys) => keys.length));
  const height = most * (NODE.height + GAP.y) - GAP.y;
  const placed = new Map<string, Placed>();
  for (const [column, keys] of filled.entries()) {
    const top = (height - (keys.length * (NODE.height + GAP.y) - GAP.y)) / 2;
    for (const [row, key] of keys.entries()) {
      const node = nodes.get(key);
      if (node === undefined) continue;
      const [x, y] = [column * (NODE.width + GAP.x), top + row * (NODE.height + GAP.y)];
      placed.set(key, { key, thing: node.thing, x, y });
    }
  }
  const edges = [...nodes].flatMap(([key, { needs }]) => {
    const to = placed.get(key);
    return needs.flatMap((need) => {
      const from = placed.get(need);
      return from === undefined || to === undefined ? [] : [{ from, to }];
    });
  });
  return { nodes: [...placed.values()], edges, width: filled.length * (NODE.width + GAP.x) - GAP.x, height };
}

/** Of a stage with several rounds, the newest. */
function nodesOf({ stages, artifact }: Pick<BuildSummary, "stages" | "artifact">): ReadonlyMap<string, Node> {
  const newest = new Map<string, StageSummary>();
  for (const stage of stages) {
    if ((newest.get(stage.name)?.round ?? 0) < stage.round) newest.set(stage.name, stage);
  }
  const hasPlan = newest.has(PLAN);
  const own = [...newest.values()].filter((one) => one.environment === null && one.name !== PLAN);
  const makers = own.filter(({ name }) => !own.some((other) => other.needs.includes(name)));
  const nodes = new Map<string, Node>([[COMMIT, { thing: { kind: "commit" }, needs: [] }]]);
  for (const stage of newest.values()) {
    nodes.set(keyOf(stage.name), { thing: { kind: "stage", stage }, needs: needsOf(stage) });
  }
  if (artifact !== null) {
    const needs = makers.map(({ name }) => keyOf(name));
    nodes.set(ARTIFACT, { thing: { kind: "artifact", artifact }, needs: needs.length > 0 ? needs : [COMMIT] });
  }
  return nodes;

  function needsOf(stage: StageSummary): readonly string[] {
    if (stage.name === PLAN) return [COMMIT];
    const known = stage.needs.filter((name) => newest.has(name));
    const first = hasPlan ? keyOf(PLAN) : COMMIT;
    if (stage.environment === null || artifact === null) return known.length > 0 ? known.map(keyOf) : [first];
    // What it takes is what they made.
    const through = known.map((name) => (newest.get(name)?.environment === null ? ARTIFACT : keyOf(name)));
    return through.length > 0 ? [...new Set(through)] : [ARTIFACT];
  }
}

/** A stage may be called `commit`. */
function keyOf(stage: string): string {
  return `stage ${stage}`;
}

/** The longest way from the start to each; a cycle, which no plan has, ends it. */
function columnsOf(nodes: ReadonlyMap<string, Node>): ReadonlyMap<string, number> {
  const columns = new Map<string, number>();
  const visit = (key: string, path: ReadonlySet<string>): number => {
    const known = columns.get(key);
    const node = nodes.get(key);
    if (known !== undefined || node === undefined || path.has(key)) return known ?? -1;
    const onward = new Set(path).add(key);
    const column = 1 + Math.max(-1, ...node.needs.map((need) => visit(need, onward)));
    columns.set(key, column);
    return column;
  };
  for (const key of nodes.keys()) visit(key, new Set());
  return columns;
}
