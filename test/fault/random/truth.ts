/** What the store says happened: every event of every log, in the order in which the store took them. */
import { z } from "zod";
import { type Lane, laneState } from "../../../coordinator/actors/environment/lane.ts";
import type { Jet } from "../../../kit/jetstream.ts";
import { decode } from "../../../protocol/codec.ts";
import {
  type BuildEvent,
  buildEvent,
  type LaneEvent,
  laneEvent,
  type PushEvent,
  pushEvent,
  type StageEvent,
  stageEvent,
} from "../../../protocol/events.ts";
import type { BuildId, EnvironmentId, StageId } from "../../../protocol/ids.ts";
import { BUILD, LANE, PUSH, RUN } from "../../../protocol/streams.ts";
import { parseLaneSubject, parsePushSubject, parseRunSubject } from "../../../protocol/subjects.ts";
import { type BuildSummary, buildSummary } from "../../../protocol/summary.ts";

export interface Entry<Event> {
  readonly seq: number;
  readonly event: Event;
}

export interface Log<Id, Event> {
  readonly id: Id;
  readonly entries: Entry<Event>[];
}

export interface LaneEntryOfLog extends Entry<LaneEvent> {
  /** The lane before it. */
  readonly before: Lane;
}

export interface Truth {
  readonly pushes: ReadonlyMap<string, Log<string, PushEvent>>;
  readonly builds: ReadonlyMap<string, Log<BuildId, BuildEvent>>;
  readonly stages: ReadonlyMap<string, Log<StageId, StageEvent>>;
  readonly lanes: ReadonlyMap<string, { readonly id: EnvironmentId; readonly entries: LaneEntryOfLog[] }>;
  /** A projection, which has to agree with the rest. */
  readonly summaries: readonly BuildSummary[];
}

const laneMessage = z.looseObject({ event: laneEvent, state: laneState });

export interface Message {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly seq: number;
}

/** @param heard all of TOROID_LANE, from which coordinators remove what is old; unless given, what is there still */
export async function readTruth(jet: Jet, heard?: readonly Message[]): Promise<Truth> {
  const pushes = new Map<string, Log<string, PushEvent>>();
  const builds = new Map<string, Log<BuildId, BuildEvent>>();
  const stages = new Map<string, Log<StageId, StageEvent>>();
  const lanes = new Map<string, { readonly id: EnvironmentId; readonly entries: LaneEntryOfLog[] }>();
  const summaries: BuildSummary[] = [];
  await each(jet, PUSH.name, (subject, data, seq) => {
    add(pushes, subject, parsePushSubject(subject), { seq, event: decode(pushEvent, data) });
  });
  await each(jet, RUN.name, (subject, data, seq) => {
    const parsed = parseRunSubject(subject);
    if (parsed.kind === "build") add(builds, subject, parsed.id, { seq, event: decode(buildEvent, data) });
    else add(stages, subject, parsed.id, { seq, event: decode(stageEvent, data) });
  });
  const addLane = (subject: string, data: Uint8Array, seq: number): void => {
    const { event, state } = decode(laneMessage, data);
    add(lanes, subject, parseLaneSubject(subject), { seq, event, before: state });
  };
  if (heard === undefined) await each(jet, LANE.name, addLane);
  else for (const { subject, data, seq } of heard) addLane(subject, data, seq);
  await each(jet, BUILD.name, (_subject, data) => void summaries.push(decode(buildSummary, data)));
  return { pushes, builds, stages, lanes, summaries };
}

function add<Id, E>(logs: Map<string, { readonly id: Id; readonly entries: E[] }>, subject: string, id: Id, one: E) {
  const log = logs.get(subject) ?? { id, entries: [] };
  logs.set(subject, log);
  log.entries.push(one);
}

async function each(
  jet: Jet,
  stream: string,
  take: (subject: string, data: Uint8Array, seq: number) => void,
): Promise<void> {
  const { messages } = (await jet.jsm.streams.info(stream)).state;
  if (messages === 0) return;
  const consumer = await jet.js.consumers.get(stream, { name_prefix: "truth" });
  for await (const message of await consumer.consume()) {
    take(message.subject, message.data, message.seq);
    if (message.info.pending === 0) return;
  }
}
