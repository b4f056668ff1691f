/** Why something waits, in one sentence a person can act on. Pure; made when somebody asks, since it changes by itself. */
import type { Presence } from "../../protocol/commands.ts";
import { PLAN_STAGE } from "../../protocol/ids.ts";
import type { RunsOn } from "../../protocol/pipeline/plan.ts";
import { listed } from "../../protocol/pipeline/suggest.ts";
import type { BuildSummary, EnvironmentSummary, StageSummary, WaitingSummary } from "../../protocol/summary.ts";
import { type Pool, poolsFor, poolsOf, whyNowhere } from "../dispatch/route.ts";

export interface Surroundings {
  readonly environments: readonly EnvironmentSummary[];
  readonly executors: readonly Presence[];
  /** How many are held back before a queued stage, about; null when it is not held back itself. */
  readonly before: (stage: StageSummary) => number | null;
}

/** The build with why each of its stages waits, and why it does as a whole. */
export function explainBuild(build: BuildSummary, around: Surroundings): BuildSummary {
  if (build.status === "finished") return build;
  const there = { ...around, pools: poolsOf(around.executors) };
  const stages = build.stages.map((stage) => ({ ...stage, waiting: whyStage(build, stage, there) }));
  const isAtWork = stages.some(({ status }) => status === "claimed" || status === "running");
  const first = isAtWork ? undefined : stages.find(({ waiting, status }) => status !== "finished" && waiting !== "");
  const waiting = first === undefined ? "" : `${first.name === PLAN_STAGE ? "the plan" : first.name}: ${first.waiting}`;
  return { ...build, stages, waiting };
}

/** The environment with why each that waits there does, and why nothing goes. */
export function explainEnvironment(e: EnvironmentSummary): EnvironmentSummary {
  const waiting = e.waiting.map((entry, at) => ({ ...entry, why: whyEntry(e, entry, at) }));
  const [first] = waiting;
  return { ...e, waiting, why: first === undefined ? "" : `#${first.number}: ${first.why}` };
}

interface Pooled extends Surroundings {
  readonly pools: readonly Pool[];
}

function whyStage(build: BuildSummary, stage: StageSummary, around: Pooled): string {
  switch (stage.status) {
    case "waiting":
      return whyNotBegun(build, stage, around);
    case "queued":
      return whyQueued(stage, around);
    case "retrying":
      return stage.waiting;
    default:
      return "";
  }
}

function whyNotBegun(build: BuildSummary, stage: StageSummary, { environments }: Surroundings): string {
  const missing = stage.needs.filter((need) => newest(build, need)?.outcome !== "passed");
  const lane = environments.find((one) => one.repository === build.repository && one.environment === stage.environment);
  const at =
    lane?.waiting.findIndex(
      (one) => one.number === build.number && one.stage === stage.name && one.round === stage.round,
    ) ?? -1;
  const entry = lane?.waiting[at];
  if (lane !== undefined && entry !== undefined) return whyEntry(lane, entry, at);
  if (missing.length > 0) return `it comes after ${listed(missing, "and")}`;
  return stage.environment === null ? "it is about to be queued" : `it is about to enter ${stage.environment}`;
}

function newest(build: BuildSummary, name: string): StageSummary | undefined {
  return build.stages.filter((one) => one.name === name).toSorted((a, b) => b.round - a.round)[0];
}

function whyQueued(stage: StageSummary, { pools, before }: Pooled): string {
  const wish: RunsOn = { pool: stage.pool === "" ? null : stage.pool, labels: stage.labels };
  const names = poolsFor(wish, pools);
  if (names.length === 0) return whyNowhere(wish, pools);
  const ours = pools.filter(({ name }) => names.includes(name));
  const of = `${names.length === 1 ? "pool" : "pools"} ${names.join(", ")}`;
  if (ours.length === 0) return `no executor of ${of} is there: start one, or compare TOROID_POOL`;
  const slots = ours.reduce((sum, one) => sum + one.slots, 0);
  const busy = ours.reduce((sum, one) => sum + one.busy, 0);
  const ahead = before(stage);
  if (ahead !== null) {
    const others = ahead === 0 ? "it is next" : `${ahead} ${ahead === 1 ? "stage is" : "stages are"} before it`;
    return `it waits for a free executor of ${of}: ${others}, ${busy} of ${slots} slots are busy`;
  }
  // Plans are made beside the slots.
  if (busy >= slots && stage.name !== PLAN_STAGE)
    return `all ${slots} slots of ${of} are busy, and it is among the next`;
  return "an executor is about to take it";
}

/** What a person has to do comes first, then what only has to end. */
function whyEntry(e: EnvironmentSummary, entry: WaitingSummary, at: number): string {
  const { environment, paused, held, inFlight } = e;
  if (entry.approval !== null) {
    const { from, self, endsAtMs } = entry.approval;
    const others = self ? "anybody" : "anybody but who caused it";
    return `it waits for approval by ${from.length === 0 ? others : listed(from)}, until ${instant(endsAtMs)}`;
  }
  if (paused !== null) {
    const until = paused.untilMs === null ? "" : ` until ${instant(paused.untilMs)}`;
    const what = paused.of === null ? environment : `${paused.of.repository} ${paused.of.environment}`;
    return `${what} is paused by ${paused.by}${until}: ${paused.why}`;
  }
  if (held !== null && !entry.rollback) {
    return `${environment} is held by ${held.by} since the rollback to #${held.number}: ${held.why}`;
  }
  const ahead = e.waiting.slice(0, at).filter((one) => one.approval === null);
  const numbers = ahead.map(({ number }) => `#${number}`).join(", ");
  const before = ahead.length === 0 ? [] : [`${numbers} ${ahead.length === 1 ? "goes" : "go"} before it`];
  const inside = inFlight === null ? [] : [`#${inFlight.number} is in ${environment}`];
  // Whoever keeps lanes may know why it does not go all the same.
  return [...inside, ...before].join(", and ") || entry.why || "its turn has come";
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}
