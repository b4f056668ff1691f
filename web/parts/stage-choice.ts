import type { BuildSummary, StageSummary } from "../../protocol/summary.ts";
import type { StageRef } from "../live/stage-ref.ts";

/** The stage that the address names; without one, what runs, else what failed and was not tried again, else the last. */
export function chosenStage({ stages }: Pick<BuildSummary, "stages">, named: StageRef | null): StageSummary | null {
  if (named !== null) {
    const found = stages.find((s) => s.name === named.name && s.round === named.round);
    if (found !== undefined) return found;
  }
  const isNewest = (s: StageSummary): boolean => !stages.some((o) => o.name === s.name && o.round > s.round);
  const newest = stages.filter(isNewest);
  return (
    newest.findLast((s) => s.status === "running") ??
    newest.findLast((s) => s.outcome !== null && ["failed", "errored", "timedOut", "unknown"].includes(s.outcome)) ??
    newest.findLast((s) => s.attempt > 0) ??
    stages[0] ??
    null
  );
}

/** `_plan` is ours; people see a word. */
export function stageLabel({ name, round }: StageRef): string {
  return `${name === "_plan" ? "plan" : name}${round === 1 ? "" : ` (${round})`}`;
}
