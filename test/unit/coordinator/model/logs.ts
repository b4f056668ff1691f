/**
 * The logs of the model's world: the fold of each by the real actors, and beside it what only an onlooker knows. A log
 * counts its own sequence: the code compares sequences of one subject only, and so two orders of events that differ in
 * nothing else are one state here.
 */
import type { Actor, Decision, EventHead } from "../../../../coordinator/actors/actor.ts";
import type { Build } from "../../../../coordinator/actors/build/state.ts";
import { type BuildCommand, buildActor } from "../../../../coordinator/actors/build.ts";
import type { Lane } from "../../../../coordinator/actors/environment/lane.ts";
import { environmentActor, type LaneCommand } from "../../../../coordinator/actors/environment.ts";
import { type StageCommand, stageActor } from "../../../../coordinator/actors/stage.ts";
import { ToroidError } from "../../../../protocol/errors.ts";
import type { BuildEvent, LaneEvent, StageEvent } from "../../../../protocol/events.ts";
import type { BuildId, EnvironmentId, StageId } from "../../../../protocol/ids.ts";
import { isRepeatable, type Stage } from "../../../../protocol/stage.ts";
import { buildRunSubject, laneSubject, stageRunSubject } from "../../../../protocol/subjects.ts";
import { shortOf } from "../../../../protocol/work.ts";
import type { Memory } from "./memory.ts";

interface Common {
  readonly subject: string;
  readonly seq: number;
  /** What happened to it that never may. */
  readonly wrong: string | null;
}
export type BuildLog = Common & { readonly kind: "build"; readonly id: BuildId; readonly state: Build };
export type StageLog = Common & {
  readonly kind: "stage";
  readonly id: StageId;
  readonly state: Stage;
  /** How many ends are recorded. */
  readonly ends: number;
  /** How often its script was begun. */
  readonly runs: number;
};
export type LaneLog = Common & {
  readonly kind: "lane";
  readonly id: EnvironmentId;
  readonly state: Lane;
  /** Fence of the last that was let go, and of the last that the store knows to have started. */
  readonly admitted: number;
  readonly started: number;
  /** Place among the pushes of the last that was let go without anybody asking for it. */
  readonly pushed: number;
};
export type Log = BuildLog | StageLog | LaneLog;
export type LogEvent = BuildEvent | StageEvent | LaneEvent;

export type Told =
  | { readonly kind: "build"; readonly id: BuildId; readonly command: BuildCommand }
  | { readonly kind: "stage"; readonly id: StageId; readonly command: StageCommand }
  | { readonly kind: "lane"; readonly id: EnvironmentId; readonly command: LaneCommand };

/** Neither times nor ids of events matter here. */
export const HEAD: EventHead = { id: "", atMs: 0 };

export function newBuildLog(id: BuildId): BuildLog {
  return { kind: "build", subject: buildRunSubject(id), id, seq: 0, wrong: null, state: buildActor.initial };
}

export function newStageLog({ repository, number, stage, round }: StageId): StageLog {
  const id = { repository, number, stage, round };
  const subject = stageRunSubject(id);
  return { kind: "stage", subject, id, seq: 0, wrong: null, state: stageActor.initial, ends: 0, runs: 0 };
}

export function newLaneLog(id: EnvironmentId): LaneLog {
  const { initial } = environmentActor;
  return {
    kind: "lane",
    subject: laneSubject(id),
    id,
    seq: 0,
    wrong: null,
    state: initial,
    admitted: 0,
    started: 0,
    pushed: 0,
  };
}

/** What the actor of `log` answers to a command of its kind. */
export function decide(memory: Memory, log: Log, told: Told): Decision<LogEvent> {
  return memory.answer("decide", log, told.command, () => {
    switch (told.kind) {
      case "build":
        return decided(buildActor, log, told.command);
      case "stage":
        return decided(stageActor, log, told.command);
      case "lane":
        return decided(environmentActor, log, told.command);
    }
  });

  function decided<Id, State, Event extends LogEvent, C>(
    actor: Actor<Id, State, Event, C>,
    { state }: Log,
    command: C,
  ): Decision<LogEvent> {
    const decision = actor.decide(state as State, command, HEAD);
    return decision.kind === "append" ? { ...decision, event: memory.one(decision.event) } : decision;
  }
}

/** The log after `event`. */
export function appended(memory: Memory, log: Log, event: LogEvent): Log {
  return memory.answer("append", log, event, () => memory.one(watched(log, event)));
}

function watched(log: Log, event: LogEvent): Log {
  const seq = log.seq + 1;
  try {
    switch (log.kind) {
      case "build":
        return { ...log, seq, state: buildActor.apply(log.state, event as BuildEvent, seq) };
      case "stage": {
        const ends = log.ends + (event.type === "finished" ? 1 : 0);
        if (ends > 1) return { ...log, seq, ends, wrong: "a stage has two recorded ends" };
        return { ...log, seq, ends, state: stageActor.apply(log.state, event as StageEvent, seq) };
      }
      case "lane":
        return watchedLane(log, event as LaneEvent, seq);
    }
  } catch (error) {
    if (!(error instanceof ToroidError)) throw error;
    return { ...log, seq, wrong: `the log cannot be read any more: ${error.message}` };
  }
}

/** Commits are numbered in the order in which they were pushed. */
function placeOf(commit: string): number {
  return Number.parseInt(shortOf(commit), 16);
}

function watchedLane(log: LaneLog, event: LaneEvent, seq: number): LaneLog {
  const before = log.state;
  const state = environmentActor.apply(before, event, seq);
  const after = { ...log, seq, state };
  if (event.type === "admitted") {
    const fence = state.inFlight?.fence ?? 0;
    if (before.inFlight !== null) return { ...after, wrong: "a lane let one go while another was in flight" };
    if (before.pause !== null) return { ...after, wrong: "a lane that was paused let one go" };
    if (before.hold !== null && !event.entry.rollback) return { ...after, wrong: "a lane that was held let one go" };
    if (fence <= log.admitted) return { ...after, wrong: "the fence of a lane did not grow" };
    const { asked, commit } = event.entry;
    const place = placeOf(commit);
    if (!asked && place < log.pushed) return { ...after, wrong: "a lane let an older build go after a newer one" };
    return { ...after, admitted: fence, pushed: asked ? log.pushed : place };
  }
  const wentBack =
    before.live !== null && state.live !== null && placeOf(state.live.commit) < placeOf(before.live.commit);
  if (wentBack && before.inFlight?.asked !== true) {
    return { ...after, wrong: "an older build went live over a newer one and nobody asked for it" };
  }
  return after;
}

/** A script begins: the onlooker sees it, the store does not. */
export function scriptBegan(memory: Memory, log: StageLog): StageLog {
  const runs = log.runs + 1;
  const { work } = log.state;
  const isTwice = runs > 1 && work !== null && !isRepeatable(work);
  return memory.one({ ...log, runs, wrong: isTwice ? "a stage that is not idempotent ran twice" : log.wrong });
}

/** The store knows that a stage of the lane started. */
export function laneStarted(memory: Memory, log: LaneLog, fence: number): LaneLog {
  const wrong = fence < log.started ? "a stage started behind one with a newer fence" : log.wrong;
  return memory.one({ ...log, started: Math.max(fence, log.started), wrong });
}
