/** Delivers every event of the logs to its reactions, once at least, and acknowledges when their effects are done. */
import type { JsMsg } from "@nats-io/jetstream";
import { consume, type Handle, type Handled } from "../kit/consume.ts";
import { crashPoint } from "../kit/crash-points.ts";
import type { Jet } from "../kit/jetstream.ts";
import type { Logger } from "../kit/log.ts";
import { retry } from "../kit/retry.ts";
import {
  type ConsumerSpec,
  DEAD_REACTOR,
  LANE_REACTOR,
  LETTER_REACTOR,
  PUSH_REACTOR,
  REACTOR_IN_HAND,
  RUN_REACTOR,
} from "../protocol/streams.ts";
import { parseLaneSubject, parseLetterSubject, parsePushSubject, parseRunSubject } from "../protocol/subjects.ts";
import { archivedSeq, buildOfLaneEvent, isLate } from "./archive/late.ts";
import { bury } from "./dead-commands.ts";
import type { Dispatcher } from "./dispatch/dispatcher.ts";
import type { Effects } from "./effects.ts";
import { replay } from "./letters/replay.ts";
import type { Mailboxes } from "./mailboxes.ts";
import type { Counts } from "./metrics/counts.ts";
import type { Outbox } from "./notify/outbox.ts";
import { tellOfBuild, tellOfLane, tellOfStage } from "./projections/events.ts";
import { reactToBuild, reactToLane, reactToPush, reactToStage, type Settings } from "./reactions.ts";

const NOTHING: Handled = { rest: Promise.resolve() };

const OPTIONS = {
  parallel: 128,
  inHand: REACTOR_IN_HAND,
  heartbeatMs: 3_000,
  retryDelayMs: 500,
  keyOf: (message: JsMsg): string => message.subject,
};

const PATIENCE = { attempts: Number.POSITIVE_INFINITY, minMs: 250, maxMs: 5_000, worth: () => true } as const;

export interface ReactorParts {
  readonly jet: Jet;
  readonly actors: Mailboxes;
  readonly effects: Effects;
  readonly dispatcher: Pick<Dispatcher, "taken">;
  readonly settings: Settings;
  /** Who is to be notified; without it nobody is. */
  readonly outbox?: Outbox;
  /** Who counts what happens; without it nobody does. */
  readonly counts?: Pick<Counts, "ofBuild" | "ofStage">;
  readonly log: Logger;
  /** What is late is told by it. */
  readonly clock?: () => number;
}

/** Runs until `stop`, then resolves when nothing is in hand. */
export async function runReactor(
  { jet, actors, effects, dispatcher, settings, outbox, counts, log, clock = jet.clock.nowMs }: ReactorParts,
  stop: AbortSignal,
): Promise<void> {
  async function onPush(message: JsMsg): Promise<Handled> {
    const event = actors.repository.eventOf(message.seq, message.data);
    const repository = parsePushSubject(message.subject);
    actors.repository.observe(repository, message.seq, () => previousSeq(message), event, message.data);
    return effects.perform(reactToPush(repository, event), [], event.id);
  }

  async function onRun(message: JsMsg): Promise<Handled> {
    const handled = await perform(message);
    crashPoint("coordinator-after-effects");
    return handled;
  }

  async function perform(message: JsMsg): Promise<Handled> {
    jet.watch.saw(RUN_REACTOR.stream, message.seq, message.time);
    const subject = parseRunSubject(message.subject);
    if (isLate(message.time.getTime(), clock()) && ((await archivedSeq(jet, subject.id)) ?? 0) > message.seq) {
      log.info({ subject: message.subject, seq: message.seq }, "an event of a build that is archived came late");
      return NOTHING;
    }
    if (subject.kind === "build") {
      const event = actors.build.eventOf(message.seq, message.data);
      actors.build.observe(subject.id, message.seq, () => previousSeq(message), event, message.data);
      const { state } = await actors.build.load(subject.id, message.seq);
      counts?.ofBuild(event);
      const reactions = reactToBuild(subject.id, state, event, settings);
      const done = effects.perform(reactions, tellOfBuild(subject.id, event), event.id);
      return noted(done, outbox?.build(subject.id, state, event));
    }
    const event = actors.stage.eventOf(message.seq, message.data);
    actors.stage.observe(subject.id, message.seq, () => previousSeq(message), event, message.data);
    const { state } = await actors.stage.load(subject.id, message.seq);
    counts?.ofStage(event, state);
    if (event.type === "claimed" || event.type === "finished") dispatcher.taken(state.queuedSeq);
    const told = tellOfStage(subject.id, state, event);
    const done = effects.perform(reactToStage(subject.id, state, event, message.seq), told, event.id);
    return noted(done, outbox?.stage(subject.id, state, event));
  }

  async function onLane(message: JsMsg): Promise<Handled> {
    const event = actors.environment.eventOf(message.seq, message.data);
    const id = parseLaneSubject(message.subject);
    const build = isLate(message.time.getTime(), clock()) ? buildOfLaneEvent(id.repository, event) : null;
    // What the lane itself still had to do is done at the next look at all lanes.
    if (build !== null && (await archivedSeq(jet, build)) !== null) return NOTHING;
    actors.environment.observe(id, message.seq, () => null, event, message.data);
    const { state } = await actors.environment.load(id, message.seq);
    const done = effects.perform(reactToLane(id, state, event, message.seq), tellOfLane(id, event), event.id);
    return noted(done, outbox?.lane(id, state, event, message.seq));
  }

  /** Whoever asked for it waits for what the letter says then, so that it may be anybody who does it. */
  async function onLetter(message: JsMsg): Promise<Handled> {
    const event = actors.letter.eventOf(message.seq, message.data);
    const id = parseLetterSubject(message.subject);
    actors.letter.observe(id, message.seq, () => null, event, message.data);
    if (event.type !== "replayAsked") return NOTHING;
    const { state } = await actors.letter.load(id, message.seq);
    if (state === null || state.state !== "replaying") return NOTHING;
    const outcome = await replay(actors, state, log);
    crashPoint("coordinator-after-replay");
    await actors.letter.tell(id, { kind: "settle", outcome });
    return NOTHING;
  }

  async function run(spec: ConsumerSpec, handle: Handle): Promise<void> {
    // The store may be away just now, which is no reason to end.
    const found = retry(() => jet.js.consumers.get(spec.stream, spec.name), { ...PATIENCE, signal: stop });
    const consumer = await found.catch((error: unknown) => {
      if (stop.aborted) return null;
      throw error;
    });
    if (consumer === null) return;
    await consume(consumer, handle, { ...OPTIONS, turn: jet.turn }, stop, log);
  }

  await Promise.all([
    run(PUSH_REACTOR, onPush),
    run(RUN_REACTOR, onRun),
    run(LANE_REACTOR, onLane),
    run(LETTER_REACTOR, onLetter),
    run(DEAD_REACTOR, async (message) => ({ rest: bury(jet, actors, message.data, log) })),
  ]);
}

/** Whom to notify is written down beside the rest: its acknowledgement waits for it, and the next event does not. */
async function noted(done: Promise<Handled>, writing: Promise<void> | undefined): Promise<Handled> {
  if (writing === undefined) return done;
  writing.catch(() => undefined); // whoever acknowledges hears of it
  const { rest } = await done;
  const both = Promise.all([rest, writing]);
  both.catch(() => undefined);
  return { rest: both };
}

/** What the writer expected to be the last sequence before this message; it is kept as a header. */
function previousSeq(message: JsMsg): number | null {
  const expected = message.headers?.get("Nats-Expected-Last-Subject-Sequence") ?? "";
  return expected === "" ? null : Number(expected);
}
