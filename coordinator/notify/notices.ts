/**
 * What is said of each event; pure. Only what the state still agrees with is said: what it has moved past is told by the
 * events that came after. Whatever is said again is the same notice with the same place, by which it is known.
 */
import { assertNever } from "../../protocol/errors.ts";
import type { BuildEvent, LaneEntry, LaneEvent, StageEvent, StageOutcome } from "../../protocol/events.ts";
import { type BuildId, type EnvironmentId, PLAN_STAGE, type StageId } from "../../protocol/ids.ts";
import { type Notice, type NoticeState, shortened } from "../../protocol/notice.ts";
import { durationText } from "../../protocol/pipeline/duration.ts";
import type { StagePlan, Wish } from "../../protocol/pipeline/plan.ts";
import { listed } from "../../protocol/pipeline/suggest.ts";
import type { Stage } from "../../protocol/stage.ts";
import { planRound, settledOf } from "../actors/build/rounds.ts";
import type { Build } from "../actors/build/state.ts";
import type { Lane, Place } from "../actors/environment/lane.ts";

/** A notice, and where it belongs among those of the same thing. */
export interface Note {
  readonly notice: Notice;
  /** Greater is newer: number, generation or round, phase. */
  readonly order: readonly number[];
  /** Tells it from all others about the same branch or environment. */
  readonly key: string;
  /** Whom the file of its build wants told. */
  readonly wishes: readonly Wish[];
}

/** Phases of one round, in the order in which they may be. */
const WAITS = 0;
const AGREED = 1;
const RUNS = 2;
const ENDED = 9;

/** How often the build was begun: a retry begins it anew. */
export function generationOf(build: Build): number {
  return build.retries.length + 1;
}

export function notesOfBuild(id: BuildId, build: Build, event: BuildEvent): readonly Note[] {
  switch (event.type) {
    case "created":
    case "replanned":
      return build.status === "planning" ? [whole(id, build, "pending", "it is being planned", event.atMs)] : [];
    case "planned":
    case "retried":
      if (build.plan === null || builtState(build) !== null) return [];
      return [
        whole(id, build, "pending", "", event.atMs),
        ...buildStages(build)
          .filter((stage) => settledOf(build, stage.name, planRound(build, stage.name)) === null)
          .map((stage) => ofStage(id, build, stage, planRound(build, stage.name), "pending", "", event.atMs)),
      ];
    case "settled": {
      const stage = buildStages(build).find(({ name }) => name === event.stage);
      if (stage === undefined) return [];
      const { round, outcome, message, atMs } = event;
      const built = builtState(build);
      const ended = ofStage(id, build, stage, round, outcome, message, atMs);
      return built === null ? [ended] : [ended, whole(id, build, built.state, built.message, atMs)];
    }
    case "finished":
      // With a plan it was told when its stages had ended; its environments are told by their lanes.
      return build.plan === null ? [whole(id, build, event.outcome, event.message, event.atMs)] : [];
    case "requested":
    case "cancelRequested":
    case "superseded":
    case "archived":
      return [];
    default:
      return assertNever(event, "build event");
  }
}

/** A stage that runs; and stages that a skipped build would have had, which somebody may wait for. */
export function notesOfStage(id: StageId, stage: Stage, event: StageEvent, build: Build): readonly Note[] {
  const plan = build.plan?.stages.find(({ name }) => name === id.stage);
  if (event.type === "started" && plan !== undefined && plan.environment === null) {
    return [ofStage(id, build, plan, id.round, "running", "", event.atMs)];
  }
  if (event.type !== "finished" || id.stage !== PLAN_STAGE || stage.result?.planned?.kind !== "skip") return [];
  const { stages = [], reason } = stage.result.planned;
  return stages.map((name) =>
    ofStage(id, build, { name, allowFailure: false }, id.round, "skipped", reason, event.atMs),
  );
}

/** Events of a lane that are about a build: its number. Of the others, the build whose file is asked whom to tell. */
export function buildOfLane(lane: Lane, event: LaneEvent): number | null {
  switch (event.type) {
    case "entered":
    case "admitted":
      return event.entry.number;
    case "withdrawn":
    case "approved":
    case "left":
      return event.number;
    case "released":
    case "paused":
    case "resumed":
      return lane.inFlight?.number ?? lane.waiting.at(-1)?.number ?? lane.live?.number ?? null;
    default:
      return assertNever(event, "lane event");
  }
}

/**
 * @param seq of the event
 * @param why what left ended so; empty when there is nothing to say
 */
export function notesOfLane(
  id: EnvironmentId,
  lane: Lane,
  event: LaneEvent,
  seq: number,
  build: Build,
  why: string,
): readonly Note[] {
  const { atMs } = event;
  const round = (place: Place, phase: number, state: NoticeState, message: string, by: string | null): Note => {
    const wish = build.requested.find((one) => one.environment === id.environment && one.round === place.round);
    const base = about({ repository: id.repository, number: place.number }, build, state, message, atMs);
    return {
      notice: {
        ...base,
        kind: "deployment",
        environment: id.environment,
        stage: place.stage,
        round: place.round,
        by: by ?? wish?.by ?? base.by,
        rollback: wish?.how === "rollback",
      },
      order: [place.number, place.round, phase],
      key: `${seq}`,
      wishes: build.plan?.notify ?? [],
    };
  };
  const lone = (kind: "paused" | "resumed", by: string, message: string, untilMs: number | null): Note => ({
    notice: {
      ...about({ repository: id.repository, number: null }, build, "pending", message, atMs),
      kind,
      by,
      untilMs,
      environment: id.environment,
    },
    order: [seq, 0, 0],
    key: `${seq}`,
    wishes: build.plan?.notify ?? [],
  });
  switch (event.type) {
    case "entered": {
      const { entry } = event;
      const asks = approvalOf(entry);
      const waits = round(entry, WAITS, "pending", asks ?? "it waits for its turn", entry.askedBy);
      if (asks === null) return [waits];
      return [waits, { ...waits, notice: { ...waits.notice, kind: "approval" }, key: `${seq}-approval` }];
    }
    case "approved":
      return [round(event, AGREED, "pending", `approved by ${event.agreement.by}`, null)];
    case "admitted":
      return [round(event.entry, RUNS, "running", "", event.entry.askedBy)];
    case "withdrawn":
      return [round(event, ENDED, event.outcome, event.why, event.rejectedBy)];
    case "left": {
      const ended = round(event, ENDED, event.outcome, why, null);
      if (event.outcome !== "unknown" || lane.pause?.by !== "toroid") return [ended];
      return [ended, { ...lone("paused", lane.pause.by, lane.pause.why, null), key: `${seq}-stopped` }];
    }
    case "paused":
      return [lone("paused", event.pause.by, event.pause.why, event.pause.untilMs)];
    case "resumed":
      return [lone("resumed", event.by, event.why, null)];
    case "released":
      return [];
    default:
      return assertNever(event, "lane event");
  }
}

function approvalOf({ approval, approved }: LaneEntry): string | null {
  if (approval === null || approved !== null) return null;
  const whom = approval.from.length === 0 ? "somebody" : listed(approval.from, "or");
  return `it waits for ${whom} to approve it, for ${durationText(approval.expiresMs)} at most`;
}

function buildStages(build: Build): readonly StagePlan[] {
  return build.plan?.stages.filter(({ environment }) => environment === null) ?? [];
}

const BAD: ReadonlySet<StageOutcome> = new Set(["failed", "errored", "timedOut", "unknown"]);

export function isBad(state: NoticeState): boolean {
  return state !== "pending" && state !== "running" && BAD.has(state);
}

/** How its build stages ended, taken together; null while one has not. */
function builtState(build: Build): { readonly state: StageOutcome; readonly message: string } | null {
  const ends = buildStages(build).map((stage) => ({
    stage,
    end: settledOf(build, stage.name, planRound(build, stage.name)),
  }));
  const counted = [];
  for (const { stage, end } of ends) {
    if (end === null) return null;
    if (!stage.allowFailure) counted.push(end);
  }
  const worst =
    counted.find(({ outcome }) => BAD.has(outcome)) ??
    counted.find(({ outcome }) => outcome === "cancelled" || outcome === "superseded");
  if (worst === undefined) return { state: "passed", message: "" };
  if (worst.outcome === "cancelled" && build.supersededBy !== null && build.cancel === null)
    return { state: "superseded", message: `#${build.supersededBy} is newer` };
  const said = worst.message === "" ? "" : `: ${worst.message}`;
  return { state: worst.outcome, message: `${worst.stage} ${WORDS[worst.outcome]}${said}` };
}

const WORDS: Readonly<Record<StageOutcome, string>> = {
  passed: "passed",
  failed: "failed",
  errored: "could not be run",
  timedOut: "took too long",
  cancelled: "was cancelled",
  superseded: "was superseded",
  skipped: "was skipped",
  unknown: "ended, and nobody knows how",
};

/** The plan and the build stages, as one. */
function whole(id: BuildId, build: Build, state: NoticeState, message: string, atMs: number): Note {
  const generation = generationOf(build);
  return {
    notice: { ...about(id, build, state, message, atMs), kind: "build" },
    order: [id.number, generation, state === "pending" ? WAITS : ENDED],
    key: `${id.number}-${generation}`,
    wishes: build.plan?.notify ?? [],
  };
}

function ofStage(
  id: BuildId,
  build: Build,
  stage: Pick<StagePlan, "name" | "allowFailure">,
  round: number,
  state: NoticeState,
  message: string,
  atMs: number,
): Note {
  const phase = state === "pending" ? WAITS : state === "running" ? RUNS : ENDED;
  return {
    notice: {
      ...about(id, build, state, message, atMs),
      kind: "stage",
      stage: stage.name,
      round,
      mayFail: stage.allowFailure,
    },
    order: [id.number, round, phase],
    key: `${id.number}-${stage.name}-${round}-${phase}`,
    wishes: [],
  };
}

function about(
  id: { readonly repository: string; readonly number: number | null },
  build: Build,
  state: NoticeState,
  message: string,
  atMs: number,
): Notice {
  const { push, source } = build;
  return {
    kind: "build",
    state,
    atMs,
    repository: id.repository,
    number: id.number,
    stage: null,
    round: 1,
    environment: null,
    message: shortened(message),
    by: build.by,
    ref: source?.ref ?? push?.ref ?? "",
    commit: source?.commit ?? push?.commit ?? null,
    title: shortened((source?.message ?? push?.message ?? "").split("\n")[0] ?? ""),
    author: shortened(source?.author ?? push?.author ?? ""),
    remote: push?.remote.https ?? null,
    change: false,
    rollback: false,
    mayFail: false,
    untilMs: null,
  };
}
