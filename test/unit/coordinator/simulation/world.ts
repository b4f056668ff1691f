/**
 * A world in memory: the real actors, reactions and effects, with coordinators and executors that die between any two
 * steps, events that come twice, late and in any order, and people who push, cancel, pause and ask for more.
 */

import { accept } from "../../../../coordinator/accept.ts";
import { isAgreed } from "../../../../coordinator/actors/environment/lane.ts";
import { environmentActor, type LaneCommand } from "../../../../coordinator/actors/environment.ts";
import { admitNext } from "../../../../coordinator/admission.ts";
import { commandFor, sendCommand } from "../../../../coordinator/dispatch/command.ts";
import { type Effects, makeEffects, type Offer } from "../../../../coordinator/effects.ts";
import type { Arrival } from "../../../../coordinator/intake/message.ts";
import type { Mailboxes } from "../../../../coordinator/mailboxes.ts";
import { reactToBuild, reactToLane, reactToPush, reactToStage } from "../../../../coordinator/reactions.ts";
import type { Jet } from "../../../../kit/jetstream.ts";
import { makeLogger } from "../../../../kit/log.ts";
import { encode } from "../../../../protocol/codec.ts";
import { dispositionOf, ToroidError } from "../../../../protocol/errors.ts";
import type { BuildEvent, LaneEvent, PushEvent, StageEvent } from "../../../../protocol/events.ts";
import { type EnvironmentId, widerThan } from "../../../../protocol/ids.ts";
import type { Plan } from "../../../../protocol/pipeline/plan.ts";
import { LANE, PUSH } from "../../../../protocol/streams.ts";
import {
  laneSubject,
  parseLaneSubject,
  parsePushSubject,
  parseRunSubject,
  pushSubject,
} from "../../../../protocol/subjects.ts";
import { type Random, randomFrom } from "../../../support/random.ts";
import { commitOf, push } from "../samples.ts";
import { Executors, type Trouble } from "./executors.ts";
import { Life, Scheduler } from "./scheduler.ts";
import { type Delivery, Store } from "./store.ts";

const SETTINGS = { pool: "default" };
/** Real time does not pass here. */
const AT_ONCE = (): Promise<void> => Promise.resolve();
const SILENT = makeLogger("simulation", "silent");
/** More than any run needs that comes to rest. */
const MOST_STEPS = 400_000;

async function performed(effects: Effects, ...what: Parameters<Effects["perform"]>): Promise<void> {
  await (await effects.perform(...what)).rest;
}

export interface Shape {
  readonly pushes: number;
  /** Chances, per step or per event. */
  readonly trouble: Trouble & { coordinatorDies: number; repeats: number; people: number; late: number };
  readonly plans: Readonly<Record<string, Plan>>;
}

export class World {
  readonly store = new Store();
  readonly executors: Executors;
  /** What went wrong that may not: a reaction that cannot be repeated into success. */
  readonly failures: unknown[] = [];
  /** Keys of the pushes that were accepted. */
  readonly pushed: string[] = [];
  /** The commits of each repository's branch, in the order in which they were pushed. */
  readonly commits = new Map<string, string[]>();
  /** Pushes of which the message has not come yet. */
  readonly #late: Extract<Arrival, { kind: "push" }>[] = [];
  readonly #shape: Shape;
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  readonly #trouble: Shape["trouble"];
  #inHand = 0;
  #born = 0;

  constructor(seed: number, shape: Shape) {
    this.#shape = shape;
    this.#random = randomFrom(seed);
    this.#scheduler = new Scheduler(this.#random);
    this.#trouble = { ...shape.trouble };
    const planOf = (repository: string): Plan => {
      const plan = shape.plans[repository];
      if (plan === undefined) throw new Error(`no plan for ${repository}`);
      return plan;
    };
    const commitsOf = (repository: string): readonly string[] => this.commits.get(repository) ?? [];
    this.executors = new Executors(this.store, this.#scheduler, this.#trouble, planOf, commitsOf);
  }

  get repositories(): readonly string[] {
    return Object.keys(this.#shape.plans);
  }

  get environments(): readonly EnvironmentId[] {
    return Object.entries(this.#shape.plans).flatMap(([repository, plan]) =>
      plan.stages.flatMap(({ environment }) => (environment === null ? [] : [{ repository, environment }])),
    );
  }

  /** Runs until everything has come to rest, the last part of it without trouble. */
  async run(): Promise<void> {
    // One by one, so that numbers are those of the arrivals.
    for (const repository of this.repositories) this.#arrive(repository, `${repository} first`);
    let left = this.#shape.pushes;
    while (left > 0 || this.#random.chance(0.999)) {
      this.store.nowMs += 1;
      if (left > 0 && this.#random.chance(0.02)) {
        this.#arrive(this.#random.pick(this.repositories), `push ${left}`);
        left -= 1;
      }
      if (this.#random.chance(0.002)) this.#comeLate();
      if (this.#random.chance(this.#trouble.people)) this.#meddle();
      if (this.#random.chance(0.01)) this.#tick();
      await this.#move();
    }
    await this.#rest();
  }

  async #rest(): Promise<void> {
    for (const what of Object.keys(this.#trouble)) Object.assign(this.#trouble, { [what]: 0 });
    while (this.#late.length > 0) this.#comeLate();
    for (;;) {
      if (this.#scheduler.steps > MOST_STEPS) throw new Error("the world does not come to rest");
      if (await this.#move()) continue;
      // All is quiet, unless a pause holds something.
      let resumed = false;
      for (const id of this.environments) {
        resumed ||= await this.#settle(id);
      }
      if (resumed) continue;
      // Only time can bring more: to the end of every back-off and timeout that is still set.
      if (this.store.timers === 0) return;
      this.store.nowMs += 1_000;
      this.#tick();
      while (await this.#move());
    }
  }

  /** A person does what an environment waits for. Says whether there was anything. */
  async #settle(id: EnvironmentId): Promise<boolean> {
    const { actors } = this.#process("person");
    const told = async (command: LaneCommand): Promise<boolean> => {
      const done = actors.environment.tell(id, command);
      while (await this.#move());
      return (await done).changed;
    };
    let changed = await told({ kind: "resume", by: "ada", why: "looked" });
    for (const wider of widerThan(id)) {
      const done = actors.environment.tell(wider, { kind: "resume", by: "ada", why: "over" });
      while (await this.#move());
      changed = (await done).changed || changed;
    }
    this.#tick();
    while (await this.#move());
    changed = (await told({ kind: "release", by: "ada", why: "mended" })) || changed;
    const { waiting } = this.store.load(environmentActor, laneSubject(id)).state;
    const entry = waiting.find((one) => !isAgreed(one));
    if (entry !== undefined) {
      const { number, round } = entry;
      changed = (await told({ kind: "approve", number, round, by: "bob", team: null, why: "" })) || changed;
    }
    return changed;
  }

  /** As `coordinator/timers.ts`. */
  #tick(): void {
    const { actors } = this.#process("timer");
    for (const id of this.environments) {
      actors.environment.tell(id, { kind: "expire" }).catch((error: unknown) => this.failures.push(error));
      admitNext(actors, id, null).catch((error: unknown) => this.failures.push(error));
    }
    for (const { due, takeAway } of this.store.timersOver()) {
      const { repository, number, stage, round } = due;
      actors.stage
        .tell({ repository, number, stage, round }, { kind: "overdue" })
        .then(takeAway)
        .catch((error: unknown) => this.failures.push(error));
    }
  }

  /** One step of anybody; false when nobody has anything to do. */
  async #move(): Promise<boolean> {
    const { deliveries, commands, held } = this.store;
    if (deliveries.length > 0 && this.#inHand < 12 && this.#random.chance(0.3)) this.#deliver();
    if (held.length > 0 && this.#random.chance(0.1))
      this.#sendHeld().catch((error: unknown) => this.failures.push(error));
    if (commands.length > 0 && this.#random.chance(0.2)) this.executors.take(4);
    const stepped = await this.#scheduler.step();
    return stepped || deliveries.length > 0 || commands.length > 0 || held.length > 0;
  }

  #process(name: string): { readonly life: Life; readonly actors: Mailboxes; readonly effects: Effects } {
    this.#born += 1;
    const life = new Life(`${name} ${this.#born}`);
    const actors = this.store.mailboxes(life, this.#scheduler);
    const jet = this.store.jet(life, this.#scheduler);
    return { life, actors, effects: makeEffects(jet, actors, this.#offer(jet), SETTINGS, SILENT, AT_ONCE) };
  }

  /** As `coordinator/dispatch/dispatcher.ts`, with chance for a pool's having room. */
  #offer(jet: Jet): Offer {
    return async (pool, command) => {
      if (this.#random.chance(0.5)) await sendCommand(jet, pool, command, "");
      else await jet.js.publish("toroid.wait.of.somebody", encode(command));
    };
  }

  /** Whoever thinks that it has the lease sends something that waits; two may, and one may die before it is taken out. */
  async #sendHeld(): Promise<void> {
    const { held } = this.store;
    const one = this.#random.pick(held);
    const { actors, life } = this.#process("dispatcher");
    const { state } = await actors.stage.load(one);
    const command = state.status === "queued" && state.queuedSeq === one.queuedSeq ? commandFor(one, state) : null;
    if (command !== null) await sendCommand(this.store.jet(life, this.#scheduler), SETTINGS.pool, command, "");
    const at = held.indexOf(one);
    if (at >= 0 && !this.#random.chance(this.#trouble.coordinatorDies)) held.splice(at, 1);
  }

  /** Any event that waits, whatever came before it, to a coordinator that may die of it. */
  #deliver(): void {
    const { deliveries } = this.store;
    const [one] = deliveries.splice(this.#random.below(deliveries.length), 1);
    if (one === undefined) return;
    const { life, actors, effects } = this.#process("coordinator");
    this.#inHand += 1;
    let over = false;
    const end = (again: boolean): void => {
      if (over) return;
      over = true;
      this.#inHand -= 1;
      if (again) deliveries.push(one);
    };
    react(one, actors, effects).then(
      () => end(this.#random.chance(this.#trouble.repeats)),
      (error: unknown) => {
        if (dispositionOf(error) !== "retry") this.failures.push(error);
        end(dispositionOf(error) === "retry");
      },
    );
    if (this.#random.chance(this.#trouble.coordinatorDies)) void this.#dieSoon(life, () => end(true));
  }

  async #dieSoon(life: Life, andThen: () => void): Promise<void> {
    const fate = new Life("fate");
    for (let steps = this.#random.below(12); steps >= 0; steps -= 1) await this.#scheduler.turn(fate);
    life.die();
    andThen();
  }

  /** Somebody pushes; the message comes now, or when others have overtaken it. */
  #arrive(repository: string, key: string): void {
    this.pushed.push(`${repository} ${key}`);
    const commits = this.commits.get(repository) ?? [];
    const [before = null, commit] = [commits.at(-1), commitOf(this.pushed.length)];
    this.commits.set(repository, [...commits, commit]);
    const arrival = { kind: "push", key, push: push({ repository, commit, before }) } as const;
    if (before !== null && this.#random.chance(this.#trouble.late)) this.#late.push(arrival);
    else this.#comeIn(arrival);
  }

  #comeLate(): void {
    const [arrival] = this.#late.splice(this.#random.below(this.#late.length), 1);
    if (arrival !== undefined) this.#comeIn(arrival);
  }

  /** Twice at times, as from a queue. */
  #comeIn(arrival: Arrival): void {
    for (let times = this.#random.chance(0.5) ? 2 : 1; times > 0; times -= 1) {
      accept(this.#process("intake").actors, arrival, "queue").catch((error: unknown) => this.failures.push(error));
    }
  }

  #meddle(): void {
    const { actors } = this.#process("person");
    const repository = this.#random.pick(this.repositories);
    const number = 1 + this.#random.below(Math.max(1, this.store.log(pushSubject(repository)).length));
    const id = this.#random.pick(this.environments);
    const key = `wish ${this.#born}`;
    const wishes: readonly (() => Promise<unknown>)[] = [
      () => actors.build.tell({ repository, number }, { kind: "cancel", by: "ada", why: "wrong branch" }),
      () => actors.environment.tell(id, { kind: "pause", by: "ada", why: "freeze", untilMs: null }),
      ...widerThan(id).flatMap((wider) => [
        () => actors.environment.tell(wider, { kind: "pause", by: "ada", why: "audit", untilMs: null }),
        () => actors.environment.tell(wider, { kind: "resume", by: "ada", why: "over" }),
      ]),
      () => actors.environment.tell(id, { kind: "resume", by: "ada", why: "over" }),
      () => actors.environment.tell(id, { kind: "resume", by: "ada", why: "over" }),
      ...["approve", "approve", "approve", "reject"].map((kind) => () => {
        const decision = { number, round: null, by: this.#random.pick(["ada", "bob", "cyd"]), team: null, why: "" };
        return actors.environment.tell(id, { kind: kind === "approve" ? "approve" : "reject", ...decision });
      }),
      () => actors.build.tell({ repository, number }, { kind: "retry", key, stage: null, by: "ada", why: "again" }),
      () => actors.environment.tell(id, { kind: "release", by: "ada", why: "mended" }),
      ...[true, false].map((rollback) => () => {
        const wish = { key, environment: id.environment, params: {}, by: "ada", why: "it is slow", rollback };
        return actors.build.tell({ repository: id.repository, number }, { kind: "promote", ...wish });
      }),
      () => {
        const request = {
          what: "environment",
          repository: id.repository,
          number,
          environment: id.environment,
          params: {},
        };
        return accept(actors, { kind: "request", key, request: { ...request, what: "environment" } }, "ada");
      },
    ];
    this.#random
      .pick(wishes)()
      .catch((error: unknown) => {
        const refused =
          error instanceof ToroidError &&
          ["TOR_NOT_FOUND", "TOR_CONFLICT", "TOR_REFUSED", "TOR_NOT_ALLOWED"].includes(error.code);
        if (!refused) this.failures.push(error);
      });
  }
}

/** As `coordinator/reactor.ts`. */
async function react({ stream, subject, seq, event }: Delivery, actors: Mailboxes, effects: Effects): Promise<void> {
  if (stream === PUSH.name) {
    await performed(effects, reactToPush(parsePushSubject(subject), event as PushEvent), [], event.id);
    return;
  }
  if (stream === LANE.name) {
    const id = parseLaneSubject(subject);
    const { state } = await actors.environment.load(id, seq);
    await performed(effects, reactToLane(id, state, event as LaneEvent, seq), [], event.id);
    return;
  }
  const run = parseRunSubject(subject);
  if (run.kind === "build") {
    const { state } = await actors.build.load(run.id, seq);
    await performed(effects, reactToBuild(run.id, state, event as BuildEvent, SETTINGS), [], event.id);
  } else {
    const { state } = await actors.stage.load(run.id, seq);
    await performed(effects, reactToStage(run.id, state, event as StageEvent, seq), [], event.id);
  }
}
