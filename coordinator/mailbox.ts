/**
 * The one place where actors wait: load, decide, append with compare-and-set; whoever loses the race loads again and
 * decides again. Any coordinator may do this for any actor at any time.
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { crashPoint } from "../kit/crash-points.ts";
import { InTurn } from "../kit/in-turn.ts";
import { append, type Jet, readLast, readSubject, type Stored } from "../kit/jetstream.ts";
import type { Logger } from "../kit/log.ts";
import { SizedCache } from "../kit/sized-cache.ts";
import { onReconnect } from "../kit/store-watch.ts";
import { decode } from "../protocol/codec.ts";
import { dispositionOf, ToroidError } from "../protocol/errors.ts";
import { versionOf } from "../protocol/versions.ts";
import type { Actor, EventHead } from "./actors/actor.ts";

export interface Loaded<State> {
  readonly state: State;
  /** Last sequence of the actor's subject that is in `state`; 0 for none. */
  readonly seq: number;
}

export interface Mailbox<Id, State, Event, Command> {
  /** The state as this process knows it, at least up to sequence `atLeast`. */
  load(id: Id, atLeast?: number): Promise<Loaded<State>>;
  /** The state as this process remembers it, if it does. */
  known(id: Id): Loaded<State> | undefined;
  /**
   * Has the actor decide, and resolves once the outcome is stored. `changed`: whether an event was appended.
   *
   * @throws {ToroidError} the actor's refusal, or TOR_CONFLICT after losing too many races.
   */
  tell(id: Id, command: Command): Promise<Loaded<State> & { readonly changed: boolean }>;
  /** Lets go of what it remembers of an actor that nobody will ask about soon. */
  forget(id: Id): void;
  /** The event in a message that was delivered. What this process appended itself it need not decode again. */
  eventOf(seq: number, bytes: Uint8Array): Event;
  /** Takes in an event that was delivered, when it is the next one; saves a read. `previousSeq` is seldom asked. */
  observe(id: Id, seq: number, previousSeq: () => number | null, event: Event, bytes: Uint8Array): void;
}

/**
 * Races are lost to somebody who got further. A crowd in another process can win many in a row, since it appends on
 * while we read; but crowds end, so losing more than this means that we are wrong.
 */
const MAX_RACES = 1_000;
/**
 * What one mailbox keeps in memory, by the size of the events in it, which take several times as much when decoded. It
 * is enough for thousands of stages; the rest is read again when needed.
 */
const MEMORY_BYTES = 6 * 1024 * 1024;
/** The same of events that were appended here and are about to be delivered. */
const OWN_BYTES = 1024 * 1024;

export function makeMailbox<Id, State, Event extends EventHead, Command>(
  jet: Jet,
  actor: Actor<Id, State, Event, Command>,
  log: Logger,
  clock: () => number = () => jet.clock.nowMs(),
): Mailbox<Id, State, Event, Command> {
  const cache = new SizedCache<Loaded<State>>(MEMORY_BYTES);
  const own = new SizedCache<Event>(OWN_BYTES);
  // The store may be another one when it is there again; see `kit/store-watch.ts`.
  let store = 0;
  onReconnect(jet, () => {
    store += 1;
    cache.clear();
    own.clear();
  });
  const nobody: Loaded<State> = { state: actor.initial, seq: 0 };
  /** Only other processes are raced: a crowd of commands to one actor in one process would lose to itself again and again. */
  const inTurn = new InTurn();
  const carried = actor.snapshot === undefined ? null : z.looseObject({ event: actor.schema, state: actor.snapshot });
  const eventAlone = carried === null ? null : z.looseObject({ event: actor.schema });

  /** `bytes`: size of the messages that were added; of one that carries the state, it is all that there is. */
  function remember(subject: string, loaded: Loaded<State>, bytes: number): void {
    const size = carried === null ? cache.sizeOf(subject) + bytes : bytes;
    cache.set(subject, loaded, actor.sizeOf?.(loaded.state) ?? size);
  }

  function fold(from: Loaded<State>, stored: readonly Stored[]): Loaded<State> {
    let { state, seq } = from;
    for (const one of stored) {
      state = step(state, one.data, one.seq);
      seq = one.seq;
    }
    return { state, seq };
  }

  function step(state: State, bytes: Uint8Array, seq: number): State {
    if (carried === null) return actor.apply(state, decode(actor.schema, bytes), seq);
    // Applied again rather than taken as carried: only then does the state know the sequence of this very event.
    const message = decode(carried, bytes);
    return actor.apply(message.state, message.event, seq);
  }

  async function read(subject: string): Promise<Loaded<State>> {
    const known = cache.get(subject) ?? nobody;
    const asked = store;
    const stored = await (carried === null ? readSince(subject, known.seq) : readNewest(subject, known.seq));
    const loaded = fold(known, stored);
    const bytes = stored.reduce((sum, { data }) => sum + data.byteLength, 0);
    // A slow answer may be about what is older than what was learnt meanwhile, or about another store.
    const isNewest = asked === store && (cache.get(subject)?.seq ?? 0) <= loaded.seq;
    if (bytes > 0 && isNewest) remember(subject, loaded, bytes);
    return loaded;
  }

  async function readSince(subject: string, seq: number): Promise<readonly Stored[]> {
    return readSubject(jet, actor.stream, subject, seq === 0 ? await before(subject) : seq);
  }

  async function readNewest(subject: string, seq: number): Promise<readonly Stored[]> {
    const last = await readLast(jet, actor.stream, subject);
    return last === null || last.seq <= seq ? [] : [last];
  }

  /** After which sequence to begin with a log of which nothing is known. */
  async function before(subject: string): Promise<number> {
    if (actor.since === undefined) return 0;
    const last = await readLast(jet, actor.stream, subject);
    return last === null ? 0 : Math.max(0, actor.since(decode(actor.schema, last.data)) - 1);
  }

  async function tellInTurn(subject: string, command: Command): Promise<Loaded<State> & { readonly changed: boolean }> {
    // What makes an actor needs no look whether it is there: the append says so.
    const unmade = actor.makes?.(command) === true ? nobody : undefined;
    let current = cache.get(subject) ?? unmade ?? (await read(subject));
    for (let race = 1; race <= MAX_RACES; race += 1) {
      const head: EventHead = { id: randomUUID(), atMs: clock() };
      const decision = actor.decide(current.state, command, head);
      if (decision.kind !== "append") {
        // Said on the strength of what we remember: make sure that it still holds.
        const fresh = await read(subject);
        if (fresh.seq !== current.seq) {
          current = fresh;
          continue;
        }
        if (decision.kind === "refuse") throw new ToroidError(decision.code, decision.why, { subject });
        return { ...current, changed: false };
      }
      const { event } = decision;
      const { state } = current;
      const stored = carried === null ? event : { v: versionOf(event, objectOf(state)), id: event.id, event, state };
      const done = await append(jet, actor.stream, subject, stored, current.seq);
      if (done.kind === "appended") {
        const loaded = { state: actor.apply(current.state, event, done.seq), seq: done.seq };
        remember(subject, loaded, done.bytes);
        own.set(String(done.seq), event, done.bytes);
        crashPoint("coordinator-after-append");
        return { ...loaded, changed: true };
      }
      log.debug({ subject, race }, "lost a race; deciding again");
      const refusedAt = current.seq;
      current = await read(subject);
      // What was refused and has nothing new is not what we remember: read from its beginning.
      if (current.seq === refusedAt) {
        cache.delete(subject);
        current = await read(subject);
      }
    }
    throw new ToroidError("TOR_CONFLICT", `${actor.noun} ${subject} changes faster than we can decide`, { subject });
  }

  return {
    async load(id, atLeast = 0) {
      const subject = actor.subjectOf(id);
      const known = cache.get(subject);
      return known !== undefined && atLeast > 0 && known.seq >= atLeast ? known : read(subject);
    },

    known: (id) => cache.get(actor.subjectOf(id)),

    forget: (id) => {
      cache.delete(actor.subjectOf(id));
    },

    tell(id, command) {
      const subject = actor.subjectOf(id);
      return inTurn.run(subject, () => tellInTurn(subject, command));
    },

    eventOf(seq, bytes) {
      const mine = own.get(String(seq));
      own.delete(String(seq));
      if (mine !== undefined) return mine;
      return eventAlone === null ? decode(actor.schema, bytes) : decode(eventAlone, bytes).event;
    },

    observe(id, seq, previousSeq, event, bytes) {
      const subject = actor.subjectOf(id);
      const known = cache.get(subject) ?? (previousSeq() === 0 ? nobody : undefined);
      if (known === undefined || known.seq >= seq) return;
      if (carried === null && known.seq !== previousSeq()) return;
      try {
        const state = carried === null ? actor.apply(known.state, event, seq) : step(known.state, bytes, seq);
        remember(subject, { state, seq }, bytes.byteLength);
      } catch (error) {
        if (dispositionOf(error) === "bug") throw error;
        cache.delete(subject);
      }
    },
  };
}

/** The state that a message carries. */
function objectOf(state: unknown): object | null {
  return typeof state === "object" ? state : null;
}
