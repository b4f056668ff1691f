/** What is due when, of stages that wait for something with an end: kept in memory, so that nothing has to be looked for. */
import { DeliverPolicy } from "@nats-io/jetstream";
import { follow } from "../../kit/follow.ts";
import { append, deleteSequence, type Jet, readLast } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import { decode } from "../../protocol/codec.ts";
import { type Due, due } from "../../protocol/due.ts";
import type { StageId } from "../../protocol/ids.ts";
import { TIMER } from "../../protocol/streams.ts";
import { timerSubject } from "../../protocol/subjects.ts";

/** One stage's timer, and the message that it is. */
export interface Timer {
  readonly due: Due;
  readonly seq: number;
}

export interface Timers {
  /** What was due at `nowMs` or before. */
  over(nowMs: number): readonly Timer[];
  /** It was looked after: takes it away, unless another one took its place. */
  done(timer: Timer): Promise<void>;
}

/** Follows TOROID_TIMER until `stop`. Resolves when every timer that is there is known. */
export async function followTimers(jet: Jet, stop: AbortSignal, log: Logger): Promise<Timers> {
  const timers = new Map<string, Timer>();
  await follow(jet, TIMER.name, DeliverPolicy.LastPerSubject, stop, log, (subject, data, seq) => {
    timers.set(subject, { due: decode(due, data), seq });
  });
  return {
    over: (nowMs) => [...timers.values()].filter((one) => one.due.dueAtMs <= nowMs),
    async done(timer) {
      const subject = timerSubject(timer.due);
      // By its sequence: what was set since stays.
      await deleteSequence(jet, TIMER.name, timer.seq);
      if (timers.get(subject)?.seq === timer.seq) timers.delete(subject);
    },
  };
}

/** Sets a stage's timer to what the stage is now. One that knows less of the stage never replaces one that knows more. */
export async function setTimer(jet: Jet, id: StageId, dueAtMs: number, stageSeq: number): Promise<void> {
  const { repository, number, stage, round } = id;
  const subject = timerSubject(id);
  for (;;) {
    const last = await readLast(jet, TIMER.name, subject);
    if (last !== null && decode(due, last.data).stageSeq >= stageSeq) return;
    const message = { id: `${subject} ${stageSeq}`, repository, number, stage, round, dueAtMs, stageSeq };
    const done = await append(jet, TIMER.name, subject, message, last?.seq ?? 0);
    if (done.kind === "appended") return;
  }
}
