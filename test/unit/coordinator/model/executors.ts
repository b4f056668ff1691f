/**
 * Steps of executors: take, claim, start, run, report, each a step of its own, with death and seeming death between any
 * two. One that seems dead works on, and says what it has to say as late as it likes.
 */
import type { Purpose, StageEvent } from "../../../../protocol/events.ts";
import { formatStage } from "../../../../protocol/ids.ts";
import { bareResult, holds, ruleClaim } from "../../../../protocol/stage.ts";
import { HEAD, laneStarted, newLaneLog, newStageLog, type StageLog, scriptBegan } from "./logs.ts";
import {
  append,
  type Executor,
  type Held,
  less,
  logIn,
  type Message,
  type Model,
  type Step,
  type World,
  withLog,
} from "./world.ts";

export function executorSteps(model: Model, world: World): Step[] {
  const steps: Step[] = [];
  // Those that have nothing in hand are all alike.
  const idle = world.executors.find((one) => one.holds === null);
  if (idle !== undefined) for (const message of new Set(world.messages)) steps.push(took(model, world, idle, message));
  for (const executor of world.executors) {
    if (executor.holds === null) continue;
    const at = new At(model, world, executor, executor.holds);
    const going = at.steps();
    steps.push(...(model.scenario.isAtomic ? going.flatMap((one) => appending(model, one, executor)) : going));
    steps.push(...at.troubles());
  }
  return steps;
}

/** The step and the append that it ends in, as one. */
function appending(model: Model, step: Step, executor: Executor): Step[] {
  const now = step.next.executors.find((one) => one.name === executor.name);
  if (now?.holds?.phase !== "claiming" && now?.holds?.phase !== "reporting") return [step];
  const isOptional = step.isOptional === true;
  return new At(model, step.next, now, now.holds)
    .steps()
    .map((then) => ({ ...then, isOptional: isOptional || then.isOptional === true }))
    .flatMap((then) => appending(model, then, now));
}

function took({ memory }: Model, world: World, idle: Executor, message: Message): Step {
  const holding: Held = { message, phase: "taken", saying: null, after: 0, token: 0, isLapsed: false };
  const executors = [...less(world.executors, idle), memory.one({ ...idle, holds: holding })];
  return {
    says: () => `${idle.name} takes the command for ${formatStage(message.id)}`,
    next: { ...world, executors, messages: less(world.messages, message) },
  };
}

/** One executor with a command in hand, in one state of the world. */
class At {
  readonly #model: Model;
  readonly #world: World;
  readonly #executor: Executor;
  readonly #held: Held;
  readonly #log: StageLog;

  constructor(model: Model, world: World, executor: Executor, held: Held) {
    this.#model = model;
    this.#world = world;
    this.#executor = executor;
    this.#held = held;
    this.#log = logIn(world, newStageLog(held.message.id));
  }

  steps(): Step[] {
    switch (this.#held.phase) {
      case "taken":
        return [this.#rule()];
      case "claiming":
        return this.#claim();
      case "claimed":
        return [this.#say({ type: "started", ...HEAD, weak: [] }), ...this.#breaksOff(false)];
      case "reporting":
        return this.#report();
      case "started":
        return [this.#begin(), ...this.#breaksOff(false)];
      case "running":
        return [...this.#ends(), ...this.#breaksOff(true)];
    }
  }

  /** Dies, or seems to. */
  troubles(): Step[] {
    if (this.#world.trouble === 0) return [];
    const poorer = { ...this.#world, trouble: this.#world.trouble - 1 };
    const steps: Step[] = [{ says: () => `${this.#name} dies`, next: this.#free(poorer), isOptional: true }];
    if (!this.#held.isLapsed) {
      const next = this.#with({ isLapsed: true }, { ...poorer, messages: [...poorer.messages, this.#again()] });
      steps.push({ says: () => `${this.#name} seems dead`, next, isOptional: true });
    }
    return steps;
  }

  get #name(): string {
    return `${this.#executor.name} (${formatStage(this.#held.message.id)})`;
  }

  #with(change: Partial<Held>, world = this.#world): World {
    const one = this.#model.memory.one({ ...this.#executor, holds: { ...this.#held, ...change } });
    return { ...world, executors: [...less(world.executors, this.#executor), one] };
  }

  #again(): Message {
    return this.#model.memory.one({ ...this.#held.message, isFirst: false });
  }

  /** Has nothing in hand any more; the command goes back to the queue, unless it is there already or was settled. */
  #free(world: World, isSettled = false): World {
    const one = this.#model.memory.one({ ...this.#executor, holds: null });
    const executors = [...less(world.executors, this.#executor), one];
    const gone = isSettled || this.#held.isLapsed;
    return { ...world, executors, messages: gone ? world.messages : [...world.messages, this.#again()] };
  }

  /** As `executor/claim.ts`. */
  #rule(): Step {
    const { message } = this.#held;
    const claim = (attempt: number, purpose: Purpose, tookOver: string | null): StageEvent => {
      return { type: "claimed", ...HEAD, executor: this.#executor.name, attempt, purpose, tookOver };
    };
    const saying = (event: StageEvent, after: number): Step => ({
      says: () => `${this.#name} decides to append ${event.type}`,
      next: this.#with({ phase: "claiming", saying: event, after }),
    });
    if (message.isFirst) return saying(claim(message.attempt, message.purpose, null), message.queuedSeq);
    const { state, seq } = this.#log;
    const ruling = ruleClaim(state, message.queuedSeq, this.#isHeld());
    switch (ruling.kind) {
      case "stale":
        return { says: () => `${this.#name}: the command is stale`, next: this.#free(this.#world, true) };
      case "held":
        return { says: () => `${this.#name}: another one holds it`, next: this.#free(this.#world) };
      case "claim":
        return saying(claim(ruling.attempt, ruling.purpose, ruling.tookOver), seq);
      case "give-up":
        return saying({ type: "finished", ...HEAD, result: bareResult(ruling.outcome, ruling.message) }, seq);
    }
  }

  #isHeld(): boolean {
    const { executor, token } = this.#log.state;
    const holder = this.#world.executors.find((one) => one.name === executor)?.holds ?? null;
    return holder !== null && !holder.isLapsed && token !== 0 && holder.token === token;
  }

  #claim(): Step[] {
    const { saying, after } = this.#held;
    if (saying === null) throw new Error("a claim without its event");
    const stored = this.#append(saying, this.#model.scenario.without === "claim-compare" ? null : after);
    if (stored === null) {
      const next = this.#with({ phase: "taken", saying: null, after: 0, message: this.#again() });
      return [{ says: () => `${this.#name} lost the race to append ${saying.type}`, next }];
    }
    const { seq } = logIn(stored, this.#log);
    const says = (): string => `${this.#name} appends ${saying.type} (${seq})`;
    if (saying.type === "finished") return this.#settles(says, stored);
    return [{ says, next: this.#with({ phase: "claimed", saying: null, after: seq, token: seq }, stored) }];
  }

  #append(event: StageEvent, after: number | null): World | null {
    return append(this.#model.memory, this.#world, newStageLog(this.#held.message.id), event, after);
  }

  #say(event: StageEvent): Step {
    const outcome = event.type === "finished" ? ` ${event.result.outcome}` : "";
    return {
      says: () => `${this.#name} is about to report ${event.type}${outcome}`,
      next: this.#with({ phase: "reporting", saying: event }),
    };
  }

  /** As `executor/holding.ts`. */
  #report(): Step[] {
    const { saying, after, token } = this.#held;
    if (saying === null) throw new Error("a report without its event");
    const isFenced = this.#model.scenario.without !== "fence";
    const stored = this.#append(saying, isFenced ? after : null);
    if (stored === null) {
      if (!holds(this.#log.state, token))
        return [{ says: () => `${this.#name} is fenced`, next: this.#free(this.#world) }];
      return [{ says: () => `${this.#name} reads again`, next: this.#with({ after: this.#log.seq }) }];
    }
    const { seq } = logIn(stored, this.#log);
    const says = (): string => `${this.#name} reports ${saying.type} (${seq})`;
    if (saying.type !== "started") return this.#settles(says, stored);
    return [{ says, next: this.#with({ phase: "started", saying: null, after: seq }, this.#started(stored)) }];
  }

  /** The store has its end, and so the command is acknowledged, if there is time. */
  #settles(says: () => string, stored: World): Step[] {
    const steps: Step[] = [{ says, next: this.#free(stored, true) }];
    if (stored.trouble > 0 && !this.#held.isLapsed) {
      const next = this.#free({ ...stored, trouble: stored.trouble - 1 });
      steps.push({ says: () => `${says()} and dies before it acknowledges the command`, next, isOptional: true });
    }
    return steps;
  }

  #started(world: World): World {
    const { work } = this.#log.state;
    if (work?.kind !== "stage" || work.stage.environment === null) return world;
    const { repository } = this.#held.message.id;
    const lane = logIn(world, newLaneLog({ repository, environment: work.stage.environment }));
    return withLog(world, laneStarted(this.#model.memory, lane, work.context.fence ?? 0));
  }

  #begin(): Step {
    const world = withLog(this.#world, scriptBegan(this.#model.memory, this.#log));
    return { says: () => `${this.#name} begins the script`, next: this.#with({ phase: "running" }, world) };
  }

  #ends(): Step[] {
    const outcomes = this.#model.scenario.fails ? (["passed", "failed"] as const) : (["passed"] as const);
    return outcomes.map((outcome) => this.#say({ type: "finished", ...HEAD, result: bareResult(outcome, "") }));
  }

  /** It was cancelled, or something is wrong with the executor. */
  #breaksOff(acted: boolean): Step[] {
    const steps: Step[] = [];
    const { cancel } = this.#log.state;
    if (cancel !== null && holds(this.#log.state, this.#held.token))
      steps.push(this.#say({ type: "finished", ...HEAD, result: bareResult("cancelled", cancel.why) }));
    if (this.#world.trouble > 0) {
      const because = { code: "TOR_SANDBOX_SETUP", message: "no workspace", acted, retryable: true };
      const { says, next } = this.#say({ type: "attemptErrored", ...HEAD, ...because });
      steps.push({ says, next: { ...next, trouble: next.trouble - 1 }, isOptional: true });
    }
    return steps;
  }
}
