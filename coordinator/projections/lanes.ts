/** Every lane as it is now, kept in memory: there are as many as environments, which is few. */
import { DeliverPolicy } from "@nats-io/jetstream";
import { z } from "zod";
import { follow } from "../../kit/follow.ts";
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import { decode } from "../../protocol/codec.ts";
import { type LaneEntry, laneEvent } from "../../protocol/events.ts";
import { type EnvironmentId, isWider, widerThan } from "../../protocol/ids.ts";
import { LANE } from "../../protocol/streams.ts";
import { laneSubject, parseLaneSubject } from "../../protocol/subjects.ts";
import type { EnvironmentSummary, WaitingSummary } from "../../protocol/summary.ts";
import { approvalEndsAtMs, isSame, type Lane, laneState, nextOf, type Place } from "../actors/environment/lane.ts";
import { environmentActor } from "../actors/environment.ts";
import type { WiderPause } from "../admission.ts";

export interface Lanes {
  /** Of one repository, or of all. */
  list(repository?: string): readonly EnvironmentSummary[];
  /** Last sequence of TOROID_LANE that listeners have heard of. */
  seq(): number;
  /** Those of which something was told after a sequence. */
  changedSince(seq: number): readonly EnvironmentSummary[];
  /** Hears of every change from now on. */
  onChange(listener: (environment: EnvironmentSummary) => void): void;
  /** Environments where something has run out at `nowMs`: the pause, or the time for an approval. */
  expired(nowMs: number): readonly EnvironmentId[];
  /** Environments where one may go, as far as is known here. */
  ready(): readonly EnvironmentId[];
  /** Why one that may go does not, for people; null: it is known no more. Nothing is stored. */
  doubt(id: EnvironmentId, place: Place, why: string | null): void;
}

const message = z.looseObject({ event: laneEvent, state: laneState });

/** Follows TOROID_LANE until `stop`. Resolves when every lane that is there has been read. */
export async function followLanes(jet: Jet, stop: AbortSignal, log: Logger): Promise<Lanes> {
  const lanes = new Map<string, Known>();
  const doubts = new Map<string, Doubt>();
  let last = 0;
  const listeners: ((environment: EnvironmentSummary) => void)[] = [];
  await follow(jet, LANE.name, DeliverPolicy.LastPerSubject, stop, log, (subject, data, seq) => {
    const { event, state } = decode(message, data);
    const id = parseLaneSubject(subject);
    const now = environmentActor.apply(state, event, seq);
    last = seq;
    const changed = { id, lane: now, seq };
    lanes.set(subject, changed);
    if (!now.waiting.some((one) => isSame(one, doubts.get(subject)?.place ?? NOWHERE))) doubts.delete(subject);
    for (const summary of (isWider(id) ? within(id) : [changed]).map(shown)) {
      for (const listener of listeners) listener(summary);
    }
  });

  // From here on functions alone, for lanes are read before this is reached.
  function environments(): readonly Known[] {
    return [...lanes.values()].filter(({ id }) => !isWider(id));
  }

  function within(wider: EnvironmentId): readonly Known[] {
    return environments().filter(({ id }) =>
      widerThan(id).some((one) => one.repository === wider.repository && one.environment === wider.environment),
    );
  }

  function widerPausesOf(id: EnvironmentId): readonly WiderPause[] {
    return widerThan(id).flatMap((of) => {
      const pause = lanes.get(laneSubject(of))?.lane.pause ?? null;
      return pause === null ? [] : [{ of, pause }];
    });
  }

  function shown({ id, lane }: Known): EnvironmentSummary {
    return withDoubt(summaryOf(id, lane, widerPausesOf(id)), doubts.get(laneSubject(id)));
  }

  return {
    list: (repository) =>
      environments()
        .filter(({ id }) => repository === undefined || id.repository === repository)
        .map(shown),
    seq: () => last,
    changedSince: (seq) => {
      const changed = [...lanes.values()].filter((one) => one.seq > seq);
      return [...new Set(changed.flatMap((one) => (isWider(one.id) ? within(one.id) : [one])))].map(shown);
    },
    onChange: (listener) => {
      listeners.push(listener);
    },
    expired: (nowMs) =>
      [...lanes.values()].filter(({ lane }) => endsOf(lane).some((atMs) => atMs <= nowMs)).map(({ id }) => id),
    ready: () =>
      environments()
        .filter(({ id, lane }) => nextOf(lane) !== null && widerPausesOf(id).length === 0)
        .map(({ id }) => id),
    doubt(id, place, why) {
      const subject = laneSubject(id);
      if ((doubts.get(subject)?.why ?? null) === why) return;
      if (why === null) doubts.delete(subject);
      else doubts.set(subject, { place, why });
      const known = lanes.get(subject);
      if (known === undefined) return;
      for (const listener of listeners) listener(shown(known));
    },
  };
}

interface Doubt {
  readonly place: Place;
  readonly why: string;
}

const NOWHERE: Place = { number: 0, stage: "", round: 0 };

function withDoubt(environment: EnvironmentSummary, doubt: Doubt | undefined): EnvironmentSummary {
  if (doubt === undefined) return environment;
  const waiting = environment.waiting.map((one) => (isSame(one, doubt.place) ? { ...one, why: doubt.why } : one));
  return { ...environment, waiting };
}

interface Known {
  readonly id: EnvironmentId;
  readonly lane: Lane;
  readonly seq: number;
}

/** When things of a lane run out. */
function endsOf({ pause, waiting }: Lane): readonly number[] {
  return [pause?.untilMs ?? null, ...waiting.map(approvalEndsAtMs)].filter((atMs) => atMs !== null);
}

/** A lane, for people. Its own pause is shown before one of more than it. */
export function summaryOf(id: EnvironmentId, lane: Lane, wider: readonly WiderPause[]): EnvironmentSummary {
  const [widest] = wider;
  const elsewhere = widest === undefined ? null : { ...widest.pause, of: { ...widest.of } };
  return {
    ...id,
    paused: lane.pause === null ? elsewhere : { ...lane.pause, of: null },
    live: lane.live,
    held: lane.hold,
    before: lane.before.map(({ number, commit, atMs }) => ({ number, commit, atMs })),
    inFlight: lane.inFlight === null ? null : placeOf(lane.inFlight),
    waiting: lane.waiting.map((entry) => waitingOf(lane, entry)),
    why: "",
  };
}

function waitingOf(lane: Lane, entry: LaneEntry): WaitingSummary {
  const { approval, approved, commit: to } = entry;
  const endsAtMs = approvalEndsAtMs(entry);
  const change = { from: lane.live?.commit ?? null, to };
  const needed = approval === null || endsAtMs === null ? null : { ...approval, endsAtMs, change };
  return { ...placeOf(entry), approval: needed, approvedBy: approved?.by ?? null, rollback: entry.rollback, why: "" };
}

function placeOf({ number, stage, round }: Place): Pick<WaitingSummary, "number" | "stage" | "round"> {
  return { number, stage, round };
}
