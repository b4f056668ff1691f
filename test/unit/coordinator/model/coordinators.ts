/** Steps of coordinators: they take any event that waits, and do what follows from it, one append at a time. */
import { workOf } from "../../../../coordinator/actors/build/work.ts";
import { type Effect, reactToBuild, reactToLane, reactToStage } from "../../../../coordinator/reactions.ts";
import type { BuildEvent, LaneEvent, StageEvent } from "../../../../protocol/events.ts";
import { formatStage } from "../../../../protocol/ids.ts";
import { decide, type Log, newBuildLog, newLaneLog, newStageLog, type Told } from "./logs.ts";
import {
  append,
  type Delivery,
  less,
  logIn,
  type Message,
  type Model,
  type Reaction,
  type Step,
  type Todo,
  type World,
} from "./world.ts";

/** Summaries are for people, a signal only hurries what the log says, and a timer may be over at any moment here. */
const PASSED_OVER = new Set<Effect["kind"]>(["summarize-build", "summarize-stage", "signal-cancel", "set-timer"]);

export function coordinatorSteps(model: Model, world: World): Step[] {
  const steps: Step[] = [];
  const seen = new Set<Delivery>();
  for (const delivery of world.deliveries) {
    if (seen.has(delivery) || world.reactions.length >= model.scenario.coordinators) continue;
    seen.add(delivery);
    steps.push(...heard(model, world, delivery));
  }
  for (const reaction of new Set(world.reactions)) steps.push(...went(model, world, reaction));
  return [...steps, ...timerSteps(model, world)];
}

/** Time is over for a stage that waits: whether it is, is chance, as there are no clocks here. */
function timerSteps({ memory }: Model, world: World): Step[] {
  if (world.trouble === 0) return [];
  const overdue: Extract<Told, { kind: "stage" }>["command"] = memory.one({ kind: "overdue" });
  return world.logs.flatMap((log) => {
    if (log.kind !== "stage") return [];
    const decision = decide(memory, log, { kind: "stage", id: log.id, command: overdue });
    if (decision.kind !== "append") return [];
    const next = append(memory, { ...world, trouble: world.trouble - 1 }, log, decision.event, log.seq);
    if (next === null) throw new Error("a timer lost a race against nobody");
    return [{ says: () => `${formatStage(log.id)} has waited for too long`, next, isOptional: true }];
  });
}

/** A coordinator gets an event, looks how far its actor is by now, and knows what to do. */
function heard({ memory }: Model, world: World, delivery: Delivery): Step[] {
  const todo = todoOf(memory, world, delivery);
  const reactions =
    todo.length === 0 ? world.reactions : [...world.reactions, memory.one({ delivery, todo, decided: null })];
  const says = (): string => `a coordinator hears ${nameOf(delivery)}`;
  const next = { ...world, reactions, deliveries: less(world.deliveries, delivery) };
  const steps: Step[] = [{ says, next }];
  if (world.trouble > 0 && todo.length > 0) {
    const again = { ...world, reactions, trouble: world.trouble - 1 };
    steps.push({ says: () => `${says()}, which will come once more`, next: again, isOptional: true });
  }
  return steps;
}

function todoOf(memory: Model["memory"], world: World, delivery: Delivery): readonly Todo[] {
  const log = world.logs.find((one) => one.subject === delivery.subject);
  if (log === undefined) throw new Error(`an event without a log: ${nameOf(delivery)}`);
  return memory.answer("react", log, delivery, () => {
    const effects = reactionTo(log, delivery);
    const acting = effects.filter((one) => !PASSED_OVER.has(one.kind));
    return memory.one(acting.map((one) => memory.one(todoFor(memory, one))));
  });
}

function reactionTo(log: Log, { event, seq }: Delivery): readonly Effect[] {
  switch (log.kind) {
    case "build":
      return reactToBuild(log.id, log.state, event as BuildEvent, { pool: "" });
    case "stage":
      return reactToStage(log.id, log.state, event as StageEvent, seq);
    case "lane":
      return reactToLane(log.id, log.state, event as LaneEvent, seq);
  }
}

function todoFor(memory: Model["memory"], effect: Effect): Todo {
  const tell = (told: Told): Todo => {
    return { kind: "tell", told: { ...told, command: memory.one(told.command) } as Told, leaves: null };
  };
  switch (effect.kind) {
    case "tell-build":
      return tell({ kind: "build", id: effect.id, command: effect.command });
    case "tell-stage":
      return tell({ kind: "stage", id: effect.id, command: effect.command });
    case "tell-lane":
      return tell({ kind: "lane", id: effect.id, command: effect.command });
    default:
      return effect;
  }
}

/** The next thing a coordinator does with what it has in hand, or that it dies of it. */
function went(model: Model, world: World, reaction: Reaction): Step[] {
  const steps = [done(model, world, reaction)];
  if (world.trouble > 0) {
    const reactions = less(world.reactions, reaction);
    const deliveries = [...world.deliveries, reaction.delivery];
    const next = { ...world, reactions, deliveries, trouble: world.trouble - 1 };
    const { length } = reaction.todo;
    const says = (): string => `a coordinator dies over ${nameOf(reaction.delivery)} with ${length} still to do`;
    steps.push({ says, next, isOptional: true });
  }
  return steps;
}

function done(model: Model, world: World, reaction: Reaction): Step {
  const { memory } = model;
  const [first, ...rest] = reaction.todo;
  if (first === undefined) throw new Error("a reaction with nothing to do");
  const go = (from: World, todo: readonly Todo[], decided: Reaction["decided"] = null): World => {
    const others = less(world.reactions, reaction);
    if (todo.length === 0) return { ...from, reactions: others };
    return { ...from, reactions: [...others, memory.one({ ...reaction, todo: memory.one(todo), decided })] };
  };
  switch (first.kind) {
    case "tell":
      return tellNext(model, world, { first, rest, decided: reaction.decided }, go);
    case "dispatch": {
      const { repository, number, stage, round, queuedSeq, attempt, purpose } = first.command;
      const id = { repository, number, stage, round };
      const message: Message = memory.one({ id, queuedSeq, attempt, purpose, isFirst: true });
      const next = go({ ...world, messages: [...world.messages, message] }, rest);
      return { says: () => `a coordinator sends the command for ${formatStage(id)}`, next };
    }
    case "queue-stage":
      return {
        says: () => `a coordinator reads the build to queue ${formatStage(first.id)}`,
        next: go(world, [queueing(memory, world, first), ...rest]),
      };
    default:
      throw new Error(`not part of the model: ${first.kind}`);
  }
}

/** As `queueNow` in `coordinator/effects.ts`. */
function queueing(memory: Model["memory"], world: World, { id, lane }: Extract<Effect, { kind: "queue-stage" }>): Todo {
  const { state: build } = logIn(world, newBuildLog({ repository: id.repository, number: id.number }));
  const stage = build.plan?.stages.find((one) => one.name === id.stage);
  const work = stage === undefined ? null : workOf(build, { stage, round: id.round }, lane);
  if (work === null) throw new Error(`${formatStage(id)} is not in the plan of its build`);
  const command: Extract<Told, { kind: "stage" }>["command"] =
    build.cancel === null
      ? { kind: "queue", work, pool: "" }
      : { kind: "close", outcome: "cancelled", why: build.cancel.why };
  const told: Told = { kind: "stage", id, command: memory.one(command) };
  return memory.one({ kind: "tell", told, leaves: lane?.environment ?? null });
}

interface InHand {
  readonly first: Extract<Todo, { kind: "tell" }>;
  readonly rest: readonly Todo[];
  readonly decided: Reaction["decided"];
}

/** As `coordinator/mailbox.ts`: decide, append if nothing was said in between, else decide again. */
function tellNext(
  { memory, scenario }: Model,
  world: World,
  { first, rest, decided }: InHand,
  go: (from: World, todo: readonly Todo[], decided?: Reaction["decided"]) => World,
): Step {
  const empty = emptyOf(first.told);
  const name = `${first.told.command.kind} ${empty.subject}`;
  const after = (from: World): World => go(from, [...leaving(memory, from, first), ...rest]);
  if (decided === null) {
    const log = memory.one(logIn(world, empty));
    const decision = decide(memory, log, first.told);
    if (decision.kind === "refuse") throw new Error(`${name} was refused: ${decision.why}`);
    if (decision.kind === "nothing")
      return { says: () => `a coordinator says ${name}: known already`, next: after(world) };
    const { event } = decision;
    const stored = scenario.isAtomic ? append(memory, world, empty, event, log.seq) : null;
    if (stored !== null) return { says: () => `a coordinator appends ${event.type} for ${name}`, next: after(stored) };
    const next = go(world, [first, ...rest], { event, after: log.seq });
    return { says: () => `a coordinator decides ${name}: ${event.type}`, next };
  }
  const compared = scenario.without === "coordinator-compare" ? null : decided.after;
  const stored = append(memory, world, empty, decided.event, compared);
  if (stored === null)
    return { says: () => `a coordinator lost a race for ${name}`, next: go(world, [first, ...rest]) };
  return { says: () => `a coordinator appends ${decided.event.type} for ${name}`, next: after(stored) };
}

/** As `queueStage` in `coordinator/effects.ts`: a lane does not wait for what ended before it was let go. */
function leaving(memory: Model["memory"], world: World, { told: asked, leaves }: InHand["first"]): readonly Todo[] {
  if (leaves === null || asked.kind !== "stage") return [];
  const { repository, number, stage, round } = asked.id;
  const { result } = logIn(world, newStageLog(asked.id)).state;
  if (result === null) return [];
  const command = { kind: "leave", number, stage, round, outcome: result.outcome, artifact: null } as const;
  const told: Told = { kind: "lane", id: { repository, environment: leaves }, command: memory.one(command) };
  return [memory.one({ kind: "tell", told, leaves: null })];
}

function emptyOf(told: Told): Log {
  switch (told.kind) {
    case "build":
      return newBuildLog(told.id);
    case "stage":
      return newStageLog(told.id);
    case "lane":
      return newLaneLog(told.id);
  }
}

function nameOf({ event, subject }: Delivery): string {
  return `${event.type} of ${subject}`;
}
