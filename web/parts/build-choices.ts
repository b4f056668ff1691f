/** What people may do with a build in one environment, as both are now. Pure. */
import type { BuildSummary, EnvironmentSummary, StageSummary, WaitingSummary } from "../../protocol/summary.ts";

export interface Choices {
  /** It waits there for somebody to agree. */
  readonly approval: WaitingSummary | null;
  /** What it made may go there. */
  readonly canPromote: boolean;
  /** It was live there before what is now. */
  readonly canRollBack: boolean;
}

export function choicesOf(build: BuildSummary, environment: EnvironmentSummary): Choices {
  const { number, archivedAtMs } = build;
  const { live, waiting, inFlight, before } = environment;
  const isUnderWay = inFlight?.number === number || waiting.some((one) => one.number === number);
  const own = build.stages.filter((one) => one.environment === null);
  const isWhole = own.length > 1 && own.every(({ outcome }) => outcome === "passed");
  const canGo = isWhole && archivedAtMs === null && !isUnderWay && live?.number !== number;
  const wasLive = live !== null && number < live.number && before.some((one) => one.number === number);
  return {
    approval: waiting.find((one) => one.number === number && one.approval !== null) ?? null,
    canPromote: canGo && !wasLive,
    canRollBack: canGo && wasLive,
  };
}

/** The newest round of a stage that ended badly, and so may be tried again by itself. */
export function canRetry(build: BuildSummary, stage: StageSummary): boolean {
  const isNewest = !build.stages.some(({ name, round }) => name === stage.name && round > stage.round);
  const endedBadly = ["failed", "errored", "timedOut", "unknown", "cancelled"].includes(stage.outcome ?? "");
  // The plan is tried again with the build.
  return isNewest && endedBadly && stage.name !== "_plan" && build.archivedAtMs === null;
}
