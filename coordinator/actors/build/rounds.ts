/** Which rounds of its stages a build has, which of them may start, and which never can. Pure. */
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import type { Build, Requested, Settled } from "./state.ts";

/** Ids of rounds: a stage of the plan is round 1. */
export interface StageRound {
  readonly stage: StagePlan;
  readonly round: number;
  /** Somebody asked for it, other than the plan and the build's own scripts. */
  readonly asked: boolean;
}

/** The round of a stage with which the plan goes on: the first, unless somebody tried it again. */
export function planRound(build: Build, stage: string): number {
  return build.planRounds[stage] ?? 1;
}

/** Does the plan bring it, by itself or because somebody tried it again? */
function isBrought(build: Build, stage: StagePlan): boolean {
  return stage.automatic || planRound(build, stage.name) > 1;
}

type Round = Pick<StageRound, "stage" | "round">;

/** What was asked for by the request that this round meets; null when the plan or a script brings it. */
export function wishOf(build: Build, { stage, round }: Round): Requested | null {
  const isThis = (one: Requested): boolean => one.environment === stage.environment && one.round === round;
  return build.requested.find((one) => isThis(one) && !one.byScript) ?? null;
}

/** Somebody wants what was built there, as it is. */
function isPromoted(build: Build, round: Round): boolean {
  const wish = wishOf(build, round);
  return wish !== null && wish.how !== "request";
}

export function settledOf(build: Build, stage: string, round: number): Settled | null {
  return build.settled.find((one) => one.stage === stage && one.round === round) ?? null;
}

/** May a stage of the plan start, given what it needs? `blocked`: something it needs will not pass by itself. */
export function readiness(build: Build, stage: StagePlan): "ready" | "waiting" | "blocked" {
  if (stage.needs.length === 0) return "ready";
  const dormant = dormantIn(build);
  const needs = stage.needs.map((name) => {
    const outcome = settledOf(build, name, planRound(build, name))?.outcome ?? null;
    if (outcome === null) return dormant.has(name) ? "blocked" : "waiting";
    const forgiven = build.plan?.stages.find((one) => one.name === name)?.allowFailure === true;
    return outcome === "passed" || forgiven ? "ready" : "blocked";
  });
  if (stage.join === "any") {
    if (needs.includes("ready")) return "ready";
    return needs.includes("waiting") ? "waiting" : "blocked";
  }
  if (needs.includes("blocked")) return "blocked";
  return needs.includes("waiting") ? "waiting" : "ready";
}

/**
 * Stages that nothing brings yet: those that only a request reaches, and what comes after them. A build does not wait
 * for them.
 */
function dormantIn(build: Build): ReadonlySet<string> {
  const stages = build.plan?.stages ?? [];
  const isAsked = (stage: StagePlan): boolean =>
    build.requested.some((one) => one.environment === stage.environment && one.round === 1);
  const dormant = new Set(stages.filter((one) => !one.automatic && !isAsked(one)).map((one) => one.name));
  const follows = ({ automatic, needs, join }: StagePlan): boolean => {
    if (!automatic || needs.length === 0) return false;
    return join === "all" ? needs.some((name) => dormant.has(name)) : needs.every((name) => dormant.has(name));
  };
  for (let size = 0; size !== dormant.size; ) {
    size = dormant.size;
    for (const stage of stages) if (follows(stage)) dormant.add(stage.name);
  }
  return dormant;
}

/** Every round that the build has or will have by itself: what the plan brings, then what was requested. */
export function roundsOf(build: Build): readonly StageRound[] {
  if (build.plan === null) return [];
  const dormant = dormantIn(build);
  const brought = build.plan.stages
    .filter((one) => isBrought(build, one) && !(one.automatic && dormant.has(one.name)))
    .map((stage) => ({ stage, round: planRound(build, stage.name) }))
    .map((one) => ({ ...one, asked: isPromoted(build, one) }));
  const asked = build.requested.flatMap((one) => {
    const stage = build.plan?.stages.find((other) => other.environment === one.environment);
    if (stage === undefined || (isBrought(build, stage) && one.round === planRound(build, stage.name))) return [];
    return [{ stage, round: one.round, asked: !one.byScript }];
  });
  return [...brought, ...asked];
}

/** Rounds that may start now and have not ended. Starting one twice does nothing. */
export function startable(build: Build): readonly StageRound[] {
  if (build.status !== "running" || build.cancel !== null) return [];
  const mayBuild = build.supersededBy === null;
  return unsettled(build).filter(
    (one) => (mayBuild || one.stage.environment !== null) && readinessOf(build, one) === "ready",
  );
}

/** Rounds of the build's own stages that have not ended: what a newer push may cancel. */
export function unbuilt(build: Build): readonly StageRound[] {
  return unsettled(build).filter(({ stage }) => stage.environment === null);
}

/** Rounds that can no longer start. */
export function blocked(build: Build): readonly StageRound[] {
  if (build.status !== "running") return [];
  return unsettled(build).filter((one) => readinessOf(build, one) === "blocked");
}

function unsettled(build: Build): readonly StageRound[] {
  // Asked after each end of a stage, of each stage: not to be looked for among all ends each time.
  const settled = new Set(build.settled.map((one) => `${one.round} ${one.stage}`));
  return roundsOf(build).filter(({ stage, round }) => !settled.has(`${round} ${stage.name}`));
}

/**
 * What a stage needs holds for a request too. Only a further round of what the plan has by itself may go though a need
 * will not pass: somebody wishes otherwise. The builds are before it even then, since they make what it deploys.
 */
function readinessOf(build: Build, { stage, round }: StageRound): "ready" | "waiting" | "blocked" {
  if (isPromoted(build, { stage, round })) return "ready";
  const now = readiness(build, stage);
  if (now !== "blocked" || !stage.automatic || round === planRound(build, stage.name)) return now;
  const builds = build.plan?.stages.filter((one) => one.environment === null) ?? [];
  return builds.every((one) => settledOf(build, one.name, planRound(build, one.name)) !== null) ? "ready" : "waiting";
}

export function isComplete(build: Build): boolean {
  return unsettled(build).length === 0;
}

/** A request meets the round that the plan would bring anyway, unless that has begun. */
export function roundFor(build: Build, stage: StagePlan): number {
  const earlier = build.requested.filter((one) => one.environment === stage.environment).map((one) => one.round);
  const planned =
    isBrought(build, stage) && readiness(build, stage) !== "waiting" ? [planRound(build, stage.name)] : [];
  const settled = build.settled.filter((one) => one.stage === stage.name).map((one) => one.round);
  return Math.max(0, ...earlier, ...planned, ...settled) + 1;
}
