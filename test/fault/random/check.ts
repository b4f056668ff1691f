/**
 * What must hold when all is quiet, whatever went wrong before. Answers sentences, so that the run with the fence off can be
 * judged by the same rules.
 */
import { isComplete, roundsOf, settledOf } from "../../../coordinator/actors/build/rounds.ts";
import type { Build } from "../../../coordinator/actors/build/state.ts";
import { buildActor } from "../../../coordinator/actors/build.ts";
import { environmentActor, fenceOf } from "../../../coordinator/actors/environment.ts";
import { sentenceOf } from "../../../protocol/errors.ts";
import type { StageEvent, StageResult } from "../../../protocol/events.ts";
import { type EnvironmentId, formatBuild, formatStage, isWider, type StageId } from "../../../protocol/ids.ts";
import { applyToStage, NO_STAGE, type Stage } from "../../../protocol/stage.ts";
import { pushSubject, stageRunSubject } from "../../../protocol/subjects.ts";
import type { Entry, Truth } from "./truth.ts";
import type { Deed } from "./world.ts";

export interface Evidence {
  readonly truth: Truth;
  readonly deeds: readonly Deed[];
  /** Keys of what was pushed, by repository. */
  readonly pushed: ReadonlyMap<string, readonly string[]>;
}

/** Every way in which the evidence is not as it must be. */
export function faultsIn({ truth, deeds, pushed }: Evidence): readonly string[] {
  return [
    ...[...pushed].flatMap(([repository, keys]) => pushesOf(truth, repository, keys)),
    ...[...truth.builds.values()].flatMap(({ id, entries }) => buildOf(truth, id, entries)),
    ...[...truth.stages.values()].flatMap(({ id, entries }) => stageOf(id, entries)),
    ...lanesOf(truth).flatMap((lane) => [
      ...laneOf(truth, lane),
      ...runsOf(truth, lane),
      ...deedsOf(truth, lane, deeds),
    ]),
    ...publishesOf(deeds),
  ];
}

function lanesOf(truth: Truth) {
  return [...truth.lanes.values()].filter(({ id }) => !isWider(id));
}
type LaneLog = ReturnType<typeof lanesOf>[number];

/** Never twice, never lost: each has exactly one number, and none is left out. */
function pushesOf(truth: Truth, repository: string, keys: readonly string[]): readonly string[] {
  const accepted = (truth.pushes.get(pushSubject(repository))?.entries ?? []).map(({ event }) => event);
  const numbers = accepted.map(({ number }) => number);
  const faults: string[] = [];
  if (numbers.some((number, at) => number !== at + 1)) faults.push(`${repository} has numbers ${numbers.join(" ")}`);
  const known = accepted.map(({ key }) => key);
  for (const key of new Set(known)) {
    const times = known.filter((one) => one === key).length;
    if (times > 1) faults.push(`${repository} accepted ${key} ${times} times`);
    if (!keys.includes(key)) faults.push(`${repository} accepted ${key}, which nobody pushed`);
  }
  for (const key of keys) if (!known.includes(key)) faults.push(`${repository} never accepted ${key}`);
  for (const number of numbers) {
    const id = { repository, number };
    if (!truth.builds.has(buildActor.subjectOf(id))) faults.push(`${formatBuild(id)} was never created`);
  }
  return faults;
}

function buildOf(
  truth: Truth,
  id: { readonly repository: string; readonly number: number },
  entries: Truth["builds"] extends ReadonlyMap<string, { readonly entries: infer E }> ? E : never,
): readonly string[] {
  const name = formatBuild(id);
  const faults: string[] = [];
  for (const type of ["created", "finished"] as const) {
    const times = entries.filter(({ event }) => event.type === type).length;
    if (times !== 1) faults.push(`${name} was ${type} ${times} times`);
  }
  let build: Build = buildActor.initial;
  try {
    for (const { event, seq } of entries) build = buildActor.apply(build, event, seq);
  } catch (error) {
    return [...faults, `the log of ${name} cannot be: ${sentenceOf(error)}`];
  }
  if (build.status !== "finished") return [...faults, `${name} is ${build.status}`];
  if (build.plan !== null && !isComplete(build)) faults.push(`${name} finished before all of it had ended`);
  for (const { stage, round } of roundsOf(build)) {
    const stageId = { ...id, stage: stage.name, round };
    const ended = resultIn(truth.stages.get(stageRunSubject(stageId))?.entries ?? []);
    const settled = settledOf(build, stage.name, round);
    if (settled === null) faults.push(`${formatStage(stageId)} never settled`);
    else if (ended?.outcome !== settled.outcome) {
      faults.push(`${formatStage(stageId)} ended as ${ended?.outcome} and settled as ${settled.outcome}`);
    }
  }
  const summary = truth.summaries.find((one) => one.repository === id.repository && one.number === id.number);
  if (summary?.status !== "finished" || summary.outcome !== build.outcome) {
    faults.push(`${name} is shown as ${summary?.status} ${summary?.outcome}, and it finished as ${build.outcome}`);
  }
  for (const { name: stage, round, status, outcome } of summary?.stages ?? []) {
    const ended = resultIn(truth.stages.get(stageRunSubject({ ...id, stage, round }))?.entries ?? []);
    if (status !== "finished" || outcome !== ended?.outcome)
      faults.push(`${name} shows ${stage} as ${status} ${outcome}, and it ended as ${ended?.outcome}`);
  }
  return faults;
}

/** How scripts that never fail by themselves may end. What the world refuses is another's by then, and not recorded. */
const ENDS: readonly StageResult["outcome"][] = ["passed", "errored", "cancelled", "superseded", "skipped", "unknown"];
/** What may keep an attempt from being run here: nothing of ours is among it. */
const LOSSES = /executor \S+ was lost|the executor was stopped|could not be fetched|cannot be (reached|asked)/;

function stageOf(id: StageId, entries: readonly Entry<StageEvent>[]): readonly string[] {
  const name = formatStage(id);
  const faults: string[] = [];
  const ends = entries.filter(({ event }) => event.type === "finished").length;
  if (ends !== 1) faults.push(`${name} finished ${ends} times`);
  let stage: Stage = NO_STAGE;
  try {
    for (const { event, seq } of entries) stage = applyToStage(stage, event, seq);
  } catch (error) {
    return [...faults, `the log of ${name} cannot be: ${sentenceOf(error)}`];
  }
  const { result } = stage;
  if (result === null) return [...faults, `${name} is ${stage.status}`];
  if (!ENDS.includes(result.outcome)) faults.push(`${name} ${result.outcome}: ${result.message}`);
  if (result.outcome === "errored" && !LOSSES.test(result.message)) faults.push(`${name} errored: ${result.message}`);
  return faults;
}

/** Each commit's place in the order of the pushes, as the forge has it: by what each moved the branch from. */
function placesOf(truth: Truth, repository: string): ReadonlyMap<string | null, number> {
  const pushes = (truth.pushes.get(pushSubject(repository))?.entries ?? []).map(({ event }) => event.push);
  const nextOf = new Map(pushes.map(({ before, commit }) => [before, commit]));
  const first = pushes.find(({ before }) => !pushes.some(({ commit }) => commit === before));
  const places = new Map<string | null, number>();
  for (let at = first?.commit ?? null; at !== null; at = nextOf.get(at) ?? null) places.set(at, places.size);
  return places;
}

/** One after the other, in push order whatever the order of acceptance, and nobody is left in it. */
function laneOf(truth: Truth, { id, entries }: LaneLog): readonly string[] {
  const places = placesOf(truth, id.repository);
  const name = `${id.repository} ${id.environment}`;
  const faults: string[] = [];
  let inFlight: number | null = null;
  let furthest = { number: 0, place: -1 };
  for (const { event } of entries) {
    if (event.type === "admitted") {
      const { number, commit, asked } = event.entry;
      const place = places.get(commit) ?? -1;
      if (inFlight !== null) faults.push(`${name} let #${number} go while #${inFlight} was in flight`);
      if (!asked && place <= furthest.place) faults.push(`${name} let #${number} go after #${furthest.number}`);
      inFlight = number;
      if (place > furthest.place) furthest = { number, place };
    }
    if (event.type === "left") {
      if (inFlight !== event.number)
        faults.push(`${name} was left by #${event.number}, and #${inFlight} was in flight`);
      inFlight = null;
    }
  }
  const last = entries.at(-1);
  if (last === undefined) return faults;
  const lane = environmentActor.apply(last.before, last.event, last.seq);
  if (lane.inFlight !== null) faults.push(`${name} still has #${lane.inFlight.number} in flight`);
  for (const { number } of lane.waiting) faults.push(`#${number} still waits for ${name}`);
  return faults;
}

interface Run {
  readonly stage: StageId;
  readonly fence: number;
  readonly queuedSeq: number;
  readonly finishedSeq: number;
  readonly passed: boolean;
}

/** The runs of a lane, in the order of their fences. */
function runsIn(truth: Truth, id: EnvironmentId): readonly Run[] {
  const runs: Run[] = [];
  for (const { id: stage, entries } of truth.stages.values()) {
    if (stage.repository !== id.repository || stage.stage !== id.environment) continue;
    const queued = entries.find(({ event }) => event.type === "queued");
    const finished = entries.find(({ event }) => event.type === "finished");
    if (queued?.event.type !== "queued" || queued.event.work.kind !== "stage" || finished === undefined) continue;
    const fence = queued.event.work.context.fence ?? 0;
    const passed = resultIn(entries)?.outcome === "passed";
    runs.push({ stage, fence, queuedSeq: queued.seq, finishedSeq: finished.seq, passed });
  }
  return runs.toSorted((a, b) => a.fence - b.fence);
}

/** By the store: each run has the fence of its admission, and ended before the next one was queued. */
function runsOf(truth: Truth, { id, entries }: LaneLog): readonly string[] {
  const admissions = new Map(
    entries.flatMap(({ seq, event }) =>
      event.type === "admitted" ? [[fenceOf(event, seq), event.entry.number] as const] : [],
    ),
  );
  const runs = runsIn(truth, id);
  return runs.flatMap((run, at) => {
    const name = formatStage(run.stage);
    const next = runs[at + 1];
    const faults: string[] = [];
    if (admissions.get(run.fence) !== run.stage.number) faults.push(`${name} ran with fence ${run.fence}, not its own`);
    if (next !== undefined && next.queuedSeq < run.finishedSeq)
      faults.push(`${formatStage(next.stage)} was queued before ${name} had finished`);
    return faults;
  });
}

/** By the world: what the scripts themselves did. */
function deedsOf(truth: Truth, { id }: LaneLog, deeds: readonly Deed[]): readonly string[] {
  const name = `${id.repository} ${id.environment}`;
  const faults: string[] = [];
  const here = deeds.flatMap((deed, at) =>
    deed.repository === id.repository && deed.stage === id.environment ? [{ ...deed, at }] : [],
  );
  let newest = 0;
  let lastEnd = -1;
  for (const { fence, accepted, number } of here) {
    if (!accepted) continue;
    if ((fence ?? 0) < newest) faults.push(`the world took #${number} of ${name} after a newer fence`);
    newest = Math.max(newest, fence ?? 0);
  }
  for (const { stage, fence, passed } of runsIn(truth, id)) {
    const own = here.filter((deed) => deed.number === stage.number);
    const begins = own.filter((deed) => deed.what === "begin");
    if (own.some((deed) => deed.fence !== fence)) faults.push(`${formatStage(stage)} had another fence than its own`);
    if (begins.length > 1 && !isIdempotent(truth, stage))
      faults.push(`${formatStage(stage)} began ${begins.length} times, and may only once`);
    if (new Set(begins.map((deed) => deed.attempt)).size < begins.length)
      faults.push(`an attempt of ${formatStage(stage)} began more than once`);
    if (!passed) continue;
    // The attempt that passed is one that came to its end; others of it may have begun and been lost.
    const whole = begins.flatMap(({ attempt, accepted, at: from }) => {
      const end = own.find((deed) => deed.what === "end" && deed.attempt === attempt && deed.accepted);
      return accepted && end !== undefined ? [{ from, to: end.at }] : [];
    });
    const last = whole.at(-1);
    if (last === undefined) faults.push(`${formatStage(stage)} passed, and the world knows nothing of it`);
    else if (last.from < lastEnd) faults.push(`${formatStage(stage)} began before the run before it had ended`);
    lastEnd = Math.max(lastEnd, last?.to ?? -1);
  }
  return faults;
}

function isIdempotent(truth: Truth, id: StageId): boolean {
  const [queued] = truth.stages.get(stageRunSubject(id))?.entries ?? [];
  return queued?.event.type === "queued" && queued.event.work.kind === "stage" && queued.event.work.stage.idempotent;
}

/** What was published is published: never twice. */
function publishesOf(deeds: readonly Deed[]): readonly string[] {
  const times = new Map<string, number>();
  for (const deed of deeds) {
    if (deed.what === "publish") times.set(formatBuild(deed), (times.get(formatBuild(deed)) ?? 0) + 1);
  }
  return [...times].flatMap(([build, count]) => (count > 1 ? [`${build} published ${count} times`] : []));
}

function resultIn(entries: readonly Entry<StageEvent>[]): StageResult | null {
  const finished = entries.find(({ event }) => event.type === "finished")?.event;
  return finished?.type === "finished" ? finished.result : null;
}
