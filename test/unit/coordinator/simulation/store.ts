/** The streams of the simulated world, with compare-and-set, and the mailboxes over them. */
import { JetStreamApiError } from "@nats-io/jetstream";
import { headers } from "nats";
import type { Actor, EventHead } from "../../../../coordinator/actors/actor.ts";
import { buildActor } from "../../../../coordinator/actors/build.ts";
import { environmentActor } from "../../../../coordinator/actors/environment.ts";
import { letterActor } from "../../../../coordinator/actors/letter.ts";
import { repositoryActor } from "../../../../coordinator/actors/repository.ts";
import { stageActor } from "../../../../coordinator/actors/stage.ts";
import type { Loaded, Mailbox } from "../../../../coordinator/mailbox.ts";
import type { Mailboxes } from "../../../../coordinator/mailboxes.ts";
import type { Jet } from "../../../../kit/jetstream.ts";
import { StoreWatch } from "../../../../kit/store-watch.ts";
import { decode } from "../../../../protocol/codec.ts";
import { type Command, command } from "../../../../protocol/commands.ts";
import { type Due, due } from "../../../../protocol/due.ts";
import { ToroidError } from "../../../../protocol/errors.ts";
import { BUILD, TIMER } from "../../../../protocol/streams.ts";
import type { Life, Scheduler } from "./scheduler.ts";

/** An event on its way to a reaction. */
export interface Delivery {
  readonly stream: string;
  readonly subject: string;
  readonly seq: number;
  readonly event: EventHead;
}

interface Kept {
  readonly seq: number;
  readonly event: EventHead;
}

export class Store {
  readonly #logs = new Map<string, Kept[]>();
  readonly #lastSeq = new Map<string, number>();
  readonly summaries = new Map<string, { readonly seq: number; readonly data: Uint8Array }>();
  readonly commands: Command[] = [];
  /** Those that are held back. */
  readonly held: Command[] = [];
  /** Appended and not yet reacted to. */
  readonly deliveries: Delivery[] = [];
  nowMs = 1_000_000;
  #ids = 0;

  log(subject: string): readonly Kept[] {
    return this.#logs.get(subject) ?? [];
  }

  subjects(prefix: string): readonly string[] {
    return [...this.#logs.keys()].filter((subject) => subject.startsWith(prefix));
  }

  head(): EventHead {
    this.#ids += 1;
    return { id: `e${this.#ids}`, atMs: this.nowMs };
  }

  /** False when `expectedSeq` is no longer the last of the subject. */
  append(stream: string, subject: string, event: EventHead, expectedSeq: number): number | null {
    const log = this.#logs.get(subject) ?? [];
    if ((log.at(-1)?.seq ?? 0) !== expectedSeq) return null;
    const seq = (this.#lastSeq.get(stream) ?? 0) + 1;
    this.#lastSeq.set(stream, seq);
    log.push({ seq, event });
    this.#logs.set(subject, log);
    this.deliveries.push({ stream, subject, seq, event });
    return seq;
  }

  load<Id, State, Event extends EventHead, C>(actor: Actor<Id, State, Event, C>, subject: string): Loaded<State> {
    let { initial: state } = actor;
    let seq = 0;
    for (const kept of this.log(subject)) {
      state = actor.apply(state, kept.event as Event, kept.seq);
      seq = kept.seq;
    }
    return { state, seq };
  }

  /** Mailboxes of one process: each step of theirs is a step of the process. */
  mailboxes(life: Life, scheduler: Scheduler): Mailboxes {
    const box = <Id, State, Event extends EventHead, C>(
      actor: Actor<Id, State, Event, C>,
    ): Mailbox<Id, State, Event, C> => ({
      load: async (id) => {
        await scheduler.turn(life);
        return this.load(actor, actor.subjectOf(id));
      },
      tell: async (id, told) => {
        const subject = actor.subjectOf(id);
        for (;;) {
          await scheduler.turn(life);
          const { state, seq } = this.load(actor, subject);
          const decision = actor.decide(state, told, this.head());
          if (decision.kind === "refuse") throw new ToroidError(decision.code, decision.why, { subject });
          if (decision.kind === "nothing") return { state, seq, changed: false };
          // Between the decision and its append others may come in.
          await scheduler.turn(life);
          const appended = this.append(actor.stream, subject, decision.event, seq);
          if (appended !== null) return { ...this.load(actor, subject), changed: true };
        }
      },
      known: () => undefined,
      forget: () => {},
      eventOf: (_seq, bytes) => decode(actor.schema, bytes),
      observe: () => {},
    });
    return {
      repository: box(repositoryActor),
      build: box(buildActor),
      stage: box(stageActor),
      environment: box(environmentActor),
      letter: box(letterActor),
    };
  }

  /** How many timers are set. */
  get timers(): number {
    return [...this.summaries.keys()].filter((subject) => subject.startsWith("toroid.timer.")).length;
  }

  /** Timers that are over, each with how to take it away unless another one took its place. */
  timersOver(): readonly { readonly due: Due; readonly takeAway: () => void }[] {
    return [...this.summaries].flatMap(([subject, { seq, data }]) => {
      if (!subject.startsWith("toroid.timer.")) return [];
      const timer = decode(due, data);
      if (timer.dueAtMs > this.nowMs) return [];
      const takeAway = (): void => {
        if (this.summaries.get(subject)?.seq === seq) this.summaries.delete(subject);
      };
      return [{ due: timer, takeAway }];
    });
  }

  /** What effects need of JetStream beside the mailboxes: a queue of commands, and summaries by compare-and-set. */
  jet(life: Life, scheduler: Scheduler): Jet {
    const publish = async (
      subject: string,
      data: Uint8Array | string,
      o?: PublishOptions,
    ): Promise<{ seq: number }> => {
      await scheduler.turn(life);
      if (subject.startsWith("toroid.cmd.") && typeof data !== "string") this.commands.push(decode(command, data));
      if (subject.startsWith("toroid.wait.") && typeof data !== "string") this.held.push(decode(command, data));
      const kept: readonly (string | undefined)[] = [BUILD.name, TIMER.name];
      if (o?.expect === undefined || !kept.includes(o.expect.streamName) || typeof data === "string") return { seq: 0 };
      const last = this.summaries.get(subject)?.seq ?? 0;
      if (o.expect.lastSubjectSequence !== last) {
        throw new JetStreamApiError({ code: 400, err_code: 10_071, description: `wrong last sequence: ${last}` });
      }
      this.summaries.set(subject, { seq: last + 1, data });
      return { seq: last + 1 };
    };
    const getMessage = async (_stream: string, { last_by_subj: subject = "" }: { last_by_subj?: string }) => {
      await scheduler.turn(life);
      const last = this.summaries.get(subject);
      return last === undefined ? null : { ...last, subject, header: headers() };
    };
    return {
      nc: { publish: () => {}, status: async function* () {} },
      watch: new StoreWatch(),
      clock: { nowMs: () => this.nowMs },
      js: { publish },
      jsm: { direct: { getMessage } },
    } as unknown as Jet;
  }
}

interface PublishOptions {
  readonly expect?: { readonly streamName?: string; readonly lastSubjectSequence?: number };
}
