/**
 * All that can happen next in a small world of builds, a lane or two, coordinators and executors. What decides is the
 * real code: the actors, the reactions and the rules of claiming. The steps between are those at which processes of
 * the real system can be stopped, be overtaken, or die.
 */

import { NO_HISTORY, shortOf } from "../../../../protocol/work.ts";
import { commitOf, push, REPOSITORY, source } from "../samples.ts";
import { coordinatorSteps } from "./coordinators.ts";
import { executorSteps } from "./executors.ts";
import { appended, decide, HEAD, newBuildLog, newLaneLog } from "./logs.ts";
import { Memory } from "./memory.ts";
import { append, logIn, type Model, type Scenario, type Step, type World } from "./world.ts";

export function makeModel(scenario: Scenario): Model {
  return { memory: new Memory(), scenario };
}

/** Every build has its plan, and nobody has acted on it yet. */
export function initialWorld({ memory, scenario }: Model): World {
  let world: World = {
    logs: [],
    deliveries: [],
    reactions: [],
    messages: [],
    executors: Array.from({ length: scenario.executors }, (_, at) => memory.one({ name: `e${at + 1}`, holds: null })),
    trouble: scenario.trouble,
    wishes: scenario.wishes,
  };
  for (const { environment } of scenario.plan.stages) {
    if (environment !== null)
      world = { ...world, logs: [...world.logs, memory.one(newLaneLog({ repository: REPOSITORY, environment }))] };
  }
  for (let number = 1; number <= scenario.builds; number += 1) {
    const empty = newBuildLog({ repository: REPOSITORY, number });
    const at = scenario.isReversed === true ? scenario.builds + 1 - number : number;
    const pushed = push({ commit: commitOf(at) });
    const created = memory.one({ type: "created", ...HEAD, push: pushed, by: "queue" } as const);
    world = { ...world, logs: [...world.logs, appended(memory, memory.one(empty), created)] };
    const contained = scenario.without === "ancestry" ? 0 : at - 1;
    const ancestors = Array.from({ length: contained }, (_, below) => shortOf(commitOf(below + 1)));
    const planned = {
      type: "planned",
      ...HEAD,
      source: source(at),
      plan: scenario.plan,
      history: { ...NO_HISTORY, ancestors },
    } as const;
    world = append(memory, world, empty, planned, 1) ?? world;
  }
  return world;
}

export function stepsOf(model: Model, world: World): readonly Step[] {
  return [...coordinatorSteps(model, world), ...executorSteps(model, world), ...peopleSteps(model, world)];
}

/** Somebody asks for something; what is refused, or changes nothing, is no step. */
function peopleSteps({ memory, scenario }: Model, world: World): Step[] {
  if (world.wishes === 0) return [];
  return scenario.people.flatMap((told) => {
    const empty = told.kind === "build" ? newBuildLog(told.id) : told.kind === "lane" ? newLaneLog(told.id) : null;
    if (empty === null) throw new Error("people do not talk to stages");
    const log = memory.one(logIn(world, empty));
    const decision = decide(memory, log, { ...told, command: memory.one(told.command) } as typeof told);
    if (decision.kind !== "append") return [];
    const next = append(memory, { ...world, wishes: world.wishes - 1 }, empty, decision.event, log.seq);
    if (next === null) throw new Error("a person lost a race against nobody");
    return [{ says: () => `a person says ${told.command.kind} to ${log.subject}`, next, isOptional: true }];
  });
}
