import type { StageSummary } from "../../protocol/summary.ts";

export const NODE = { width: 184, height: 60 } as const;
const GAP = { x: 40, y: 14 } as const;

export interface Placed {
  readonly stage: StageSummary;
  readonly x: number;
  readonly y: number;
}

export interface Layout {
  readonly nodes: readonly Placed[];
  readonly edges: readonly { readonly from: Placed; readonly to: Placed }[];
  readonly width: number;
  readonly height: number;
}

/**
 * A column for each step from the plan, so that everything stands right of what it needs. Of a stage with several
 * rounds the newest is shown. What needs nothing comes after the plan.
 */
export function layoutStages(stages: readonly StageSummary[]): Layout {
  const newest = new Map<string, StageSummary>();
  for (const stage of stages) {
    if ((newest.get(stage.name)?.round ?? 0) < stage.round) newest.set(stage.name, stage);
  }
  const columns = columnsOf(newest);
  const filled: number[] = [];
  const placed = new Map<string, Placed>();
  for (const stage of newest.values()) {
    const column = columns.get(stage.name) ?? 0;
    const row = filled[column] ?? 0;
    filled[column] = row + 1;
    const [x, y] = [column * (NODE.width + GAP.x), row * (NODE.height + GAP.y)];
    placed.set(stage.name, { stage, x, y });
  }
  const edges = [...placed.values()].flatMap((to) =>
    needsOf(to.stage, newest).flatMap((name) => {
      const from = placed.get(name);
      return from === undefined ? [] : [{ from, to }];
    }),
  );
  return {
    nodes: [...placed.values()],
    edges,
    width: Math.max(1, filled.length) * (NODE.width + GAP.x) - GAP.x,
    height: Math.max(1, ...filled.map((rows) => rows ?? 0)) * (NODE.height + GAP.y) - GAP.y,
  };
}

/** The longest way from the start to each; a cycle, which no plan has, ends it. */
function columnsOf(stages: ReadonlyMap<string, StageSummary>): ReadonlyMap<string, number> {
  const columns = new Map<string, number>();
  const visit = (name: string, path: ReadonlySet<string>): number => {
    const known = columns.get(name);
    const stage = stages.get(name);
    if (known !== undefined || stage === undefined || path.has(name)) return known ?? -1;
    const onward = new Set(path).add(name);
    const column = 1 + Math.max(-1, ...needsOf(stage, stages).map((need) => visit(need, onward)));
    columns.set(name, column);
    return column;
  };
  for (const name of stages.keys()) visit(name, new Set());
  return columns;
}

const PLAN = "_plan";

function needsOf(stage: StageSummary, stages: ReadonlyMap<string, StageSummary>): readonly string[] {
  const needs = stage.needs.filter((name) => stages.has(name));
  if (needs.length > 0 || stage.name === PLAN || !stages.has(PLAN)) return needs;
  return [PLAN];
}
