/** What it means to try a build's stage again by hand: which stages get another round, and why one cannot. Pure. */
import type { Code } from "../../../protocol/errors.ts";
import type { StageOutcome } from "../../../protocol/events.ts";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import { blocked, planRound, readiness, settledOf } from "./rounds.ts";
import type { Build } from "./state.ts";

/** Ends that another try may better. */
const RETRYABLE: ReadonlySet<StageOutcome> = new Set(["failed", "errored", "timedOut", "cancelled", "unknown"]);
/** Ends of stages whose turn did not come, because of one before them. */
const NEVER_CAME: ReadonlySet<StageOutcome> = new Set(["skipped", "cancelled"]);

export interface Round {
  readonly stage: string;
  readonly round: number;
}

type Retry =
  | { readonly kind: "rounds"; readonly rounds: readonly Round[] }
  | { readonly kind: "cannot"; readonly code: Code; readonly why: string };

/**
 * The rounds of a retry: of the stage that is named, or of all that ended badly, and of what comes after those and was
 * left out because of them.
 */
export function retryOf(build: Build, name: string | null): Retry {
  const stages = build.plan?.stages ?? [];
  const outcome = (stage: StagePlan): StageOutcome | null => outcomeOf(build, stage.name);
  let again: Set<string>;
  if (name === null) {
    const isBad = (one: StagePlan): boolean => !one.allowFailure && RETRYABLE.has(outcome(one) ?? "passed");
    const bad = stages.filter((one) => isBad(one) && readiness(build, one) === "ready");
    if (bad.length === 0) return cannot("TOR_REFUSED", "no stage of it can be tried again: none ended badly");
    again = new Set(bad.map((one) => one.name));
  } else {
    const stage = stages.find((one) => one.name === name);
    const why = stage === undefined ? notThere(name, stages) : whyNot(build, stage);
    if (why !== null) return why;
    again = new Set([name]);
  }
  const leaving = new Set(blocked(build).map((one) => one.stage.name));
  for (let size = 0; size !== again.size; ) {
    size = again.size;
    for (const stage of stages) {
      const ended = outcome(stage);
      const follows = stage.needs.some((need) => again.has(need));
      // Or it is just being left out: its round of now will be, whatever is decided here.
      const isLeftOut = ended === null ? leaving.has(stage.name) : NEVER_CAME.has(ended);
      if (follows && isLeftOut) again.add(stage.name);
    }
  }
  const rounds = stages
    .filter((one) => again.has(one.name))
    .map((one) => ({ stage: one.name, round: nextRound(build, one) }));
  return { kind: "rounds", rounds };
}

function whyNot(build: Build, stage: StagePlan): Retry | null {
  const ended = outcomeOf(build, stage.name);
  if (ended === null) return cannot("TOR_CONFLICT", `${stage.name} has not ended`);
  if (ended === "passed") return cannot("TOR_REFUSED", `${stage.name} passed: there is nothing to try again`);
  if (ended === "superseded")
    return cannot("TOR_REFUSED", `${stage.name} was superseded by a newer build: promote this one`);
  if (readiness(build, stage) !== "ready") {
    return cannot("TOR_REFUSED", `${stage.name} comes after ${stage.needs.join(", ")}, which did not pass: retry that`);
  }
  return null;
}

function notThere(name: string, stages: readonly StagePlan[]): Retry {
  const known = stages.map((one) => one.name).join(", ");
  return cannot("TOR_NOT_FOUND", `the build has no stage named ${name}: it has ${known}`);
}

function outcomeOf(build: Build, stage: string): StageOutcome | null {
  return settledOf(build, stage, planRound(build, stage))?.outcome ?? null;
}

/** After every round that there is, whoever asked for it. */
function nextRound(build: Build, stage: StagePlan): number {
  const asked = build.requested.filter((one) => one.environment === stage.environment && stage.environment !== null);
  const settled = build.settled.filter((one) => one.stage === stage.name);
  const rounds = [...asked, ...settled].map((one) => one.round);
  return Math.max(planRound(build, stage.name), ...rounds) + 1;
}

function cannot(code: Code, why: string): Retry {
  return { kind: "cannot", code, why };
}
