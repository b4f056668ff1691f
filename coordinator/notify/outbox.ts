/**
 * Writes down who is to be told of an event, before the event is acknowledged. Each delivery has a subject of its own,
 * and is only made where there is none: whoever says it again, and however often, it is there once.
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { crashPoint } from "../../kit/crash-points.ts";
import { append, type Jet, readLast } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import type { Delivery } from "../../protocol/delivery.ts";
import { ToroidError } from "../../protocol/errors.ts";
import type { BuildEvent, LaneEvent, StageEvent } from "../../protocol/events.ts";
import { type BuildId, type EnvironmentId, EVERY, type StageId } from "../../protocol/ids.ts";
import { type Notice, type Standing, standing } from "../../protocol/notice.ts";
import type { Stage } from "../../protocol/stage.ts";
import { NOTIFY } from "../../protocol/streams.ts";
import { deliverySubject, toldSubject } from "../../protocol/subjects.ts";
import type { Build } from "../actors/build/state.ts";
import { buildActor } from "../actors/build.ts";
import type { Lane } from "../actors/environment/lane.ts";
import type { Mailboxes } from "../mailboxes.ts";
import { type Draft, draftsOf, isForPeople } from "./audience.ts";
import { rule } from "./change.ts";
import { buildOfLane, type Note, notesOfBuild, notesOfLane, notesOfStage } from "./notices.ts";
import type { NotifySettings } from "./settings.ts";

/** Each resolves when all that is to be said of the event is written down. Safe to repeat. */
export interface Outbox {
  build(id: BuildId, build: Build, event: BuildEvent): Promise<void>;
  stage(id: StageId, stage: Stage, event: StageEvent): Promise<void>;
  lane(id: EnvironmentId, lane: Lane, event: LaneEvent, seq: number): Promise<void>;
}

const standingRecord = z.looseObject({ id: z.string(), standing });
/** Races are lost to who rules on another build of the same branch, which are few. */
const MAX_RACES = 100;

export function makeOutbox(jet: Jet, actors: Pick<Mailboxes, "build" | "stage">, settings: NotifySettings): Outbox {
  const isIdle = settings.targets.length === 0 && settings.github === null;

  async function write(notes: readonly Note[]): Promise<void> {
    for (const note of notes) {
      if (isIdle && note.wishes.length === 0) continue;
      const said = await ruled(note);
      for (const draft of draftsOf(said, settings)) await keep(draft, said.notice);
    }
  }

  /** Whether it is a change is only asked where somebody may be told. */
  async function ruled(note: Note): Promise<Note> {
    const { notice, order } = note;
    const isEnd = (notice.kind === "build" || notice.kind === "deployment") && isForPeople(notice);
    if (!isEnd) return note;
    const [what, name] =
      notice.kind === "build" ? (["ref", notice.ref] as const) : (["environment", notice.environment ?? ""] as const);
    const place: [number, number] =
      notice.kind === "build" ? [order[0] ?? 0, order[1] ?? 0] : [Number(note.key.split("-")[0]), 0];
    const change = await changes(toldSubject(notice.repository, what, name), place, notice);
    return { ...note, notice: { ...notice, change } };
  }

  async function changes(subject: string, place: readonly [number, number], { state }: Notice): Promise<boolean> {
    for (let race = 1; race <= MAX_RACES; race += 1) {
      const last = await readLast(jet, NOTIFY.name, subject);
      const known: Standing | null = last === null ? null : decode(standingRecord, last.data).standing;
      const ruling = rule(known, place, state);
      if (ruling.standing === null) return ruling.change;
      const record = { id: randomUUID(), standing: ruling.standing };
      const done = await append(jet, NOTIFY.name, subject, record, last?.seq ?? 0);
      if (done.kind === "appended") {
        crashPoint("coordinator-after-ruled");
        return ruling.change;
      }
    }
    throw new ToroidError("TOR_CONFLICT", `${subject} changes faster than we can rule`, { subject });
  }

  async function keep(draft: Draft, notice: Notice): Promise<void> {
    const { refused, ...rest } = draft;
    const nowMs = jet.clock.nowMs();
    const open: Delivery = {
      ...rest,
      atMs: nowMs,
      status: "waiting",
      attempts: [],
      tried: 0,
      sinceMs: nowMs,
      nextAtMs: nowMs,
      remoteId: null,
      notice,
    };
    const delivery: Delivery =
      refused === null
        ? open
        : { ...open, status: "gaveUp", nextAtMs: null, attempts: [{ atMs: nowMs, status: null, message: refused }] };
    // Where there is one already, it is this one.
    const record = { id: randomUUID(), delivery };
    await append(jet, NOTIFY.name, deliverySubject(draft.id), record, 0);
  }

  async function say(notes: readonly Note[]): Promise<void> {
    if (notes.length === 0) return;
    crashPoint("coordinator-before-noted");
    await write(notes);
    crashPoint("coordinator-after-noted");
  }

  /** Why what left its lane ended so: its build hears of that only now. */
  async function endOf({ repository }: EnvironmentId, event: LaneEvent): Promise<string> {
    if (event.type !== "left") return "";
    const { number, stage, round } = event;
    return (await actors.stage.load({ repository, number, stage, round })).state.result?.message ?? "";
  }

  return {
    async build(id, build, event) {
      if (isIdle && (build.plan?.notify.length ?? 0) === 0) return;
      await say(notesOfBuild(id, build, event));
    },
    async stage(id, stage, event) {
      // Of a stage by itself only forges are told.
      if (settings.github === null || (event.type !== "started" && event.type !== "finished")) return;
      const { state } = await actors.build.load({ repository: id.repository, number: id.number });
      await say(notesOfStage(id, stage, event, state));
    },
    async lane(id, lane, event, seq) {
      // What a file names in vain is told with its build.
      if (isIdle) return;
      const { repository } = id;
      const number = repository === EVERY ? null : buildOfLane(lane, event);
      const build = number === null ? buildActor.initial : (await actors.build.load({ repository, number })).state;
      await say(notesOfLane(id, lane, event, seq, build, await endOf(id, event)));
    },
  };
}
