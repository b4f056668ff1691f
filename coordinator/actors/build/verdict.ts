/** How a build ended, when all of it has. Pure. */
import type { BuildOutcome, StageOutcome } from "../../../protocol/events.ts";
import type { Build } from "./state.ts";

export function verdictOf(build: Build): { readonly outcome: BuildOutcome; readonly message: string } {
  // What somebody asked for again counts as it ended the last time.
  const counted = build.settled.filter(
    (one) =>
      !build.settled.some((other) => other.stage === one.stage && other.round > one.round) &&
      build.plan?.stages.find((stage) => stage.name === one.stage)?.allowFailure !== true,
  );
  const bad = counted.find((one) => ["failed", "errored", "timedOut", "unknown"].includes(one.outcome));
  if (bad !== undefined) return { outcome: "failed", message: `${bad.stage} ${PAST[bad.outcome]}` };
  const cancelled = counted.find((one) => one.outcome === "cancelled");
  if (cancelled !== undefined) {
    const isBuilt = build.plan?.stages.find((stage) => stage.name === cancelled.stage)?.environment === null;
    if (isBuilt && build.supersededBy !== null && build.cancel === null)
      return { outcome: "superseded", message: supersededWhy(build.supersededBy) };
    const why = cancelled.message === "" ? "" : `: ${cancelled.message}`;
    return { outcome: "cancelled", message: build.cancel?.why ?? `${cancelled.stage} was cancelled${why}` };
  }
  const superseded = counted.find((one) => one.outcome === "superseded");
  if (superseded !== undefined) return { outcome: "superseded", message: `${superseded.stage} was superseded` };
  return { outcome: "passed", message: "" };
}

export function supersededWhy(by: number): string {
  return `#${by}, which is newer, was pushed to the same branch`;
}

const PAST: Readonly<Record<StageOutcome, string>> = {
  passed: "passed",
  failed: "failed",
  errored: "errored",
  timedOut: "timed out",
  cancelled: "was cancelled",
  superseded: "was superseded",
  skipped: "was skipped",
  unknown: "ended in an unknown state",
};
