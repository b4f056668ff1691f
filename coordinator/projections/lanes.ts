/** Every lane as it is now, kept in memory: there are as many as environments, which is few. */
import { DeliverPolicy } from "@nats-io/jetstream";
import { z } from "zod";
import { follow } from "../../kit/follow.ts";
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import { decode } from "../../protocol/codec.ts";
import { laneEvent } from "../../protocol/events.ts";
import type { EnvironmentId } from "../../protocol/ids.ts";
import { LANE } from "../../protocol/streams.ts";
import { parseLaneSubject } from "../../protocol/subjects.ts";
import type { EnvironmentSummary } from "../../protocol/summary.ts";
import { environmentActor, type Lane, laneState } from "../actors/environment.ts";

export interface Lanes {
  /** Of one repository, or of all. */
  list(repository?: string): readonly EnvironmentSummary[];
  /** Hears of every change from now on. */
  onChange(listener: (environment: EnvironmentSummary) => void): void;
  /** Environments whose pause has run out at `nowMs`. */
  expired(nowMs: number): readonly EnvironmentId[];
}

const message = z.looseObject({ event: laneEvent, state: laneState });

/** Follows TOROID_LANE until `stop`. Resolves when every lane that is there has been read. */
export async function followLanes(jet: Jet, stop: AbortSignal, log: Logger): Promise<Lanes> {
  const lanes = new Map<string, { readonly id: EnvironmentId; readonly lane: Lane }>();
  const listeners: ((environment: EnvironmentSummary) => void)[] = [];
  await follow(jet, LANE.name, DeliverPolicy.LastPerSubject, stop, log, (subject, data, seq) => {
    const { event, state } = decode(message, data);
    const id = parseLaneSubject(subject);
    const now = environmentActor.apply(state, event, seq);
    lanes.set(subject, { id, lane: now });
    const summary = summaryOf(id, now);
    for (const listener of listeners) listener(summary);
  });

  return {
    list: (repository) =>
      [...lanes.values()]
        .filter(({ id }) => repository === undefined || id.repository === repository)
        .map(({ id, lane }) => summaryOf(id, lane)),
    onChange: (listener) => {
      listeners.push(listener);
    },
    expired: (nowMs) =>
      [...lanes.values()]
        .filter(({ lane }) => lane.pause?.untilMs !== null && lane.pause !== null && lane.pause.untilMs <= nowMs)
        .map(({ id }) => id),
  };
}

/** A lane, for people. */
export function summaryOf(id: EnvironmentId, lane: Lane): EnvironmentSummary {
  const place = ({
    number,
    stage,
    round,
  }: {
    readonly number: number;
    readonly stage: string;
    readonly round: number;
  }) => ({
    number,
    stage,
    round,
  });
  return {
    ...id,
    paused: lane.pause,
    live: lane.live,
    inFlight: lane.inFlight === null ? null : place(lane.inFlight),
    waiting: lane.waiting.map(place),
  };
}
