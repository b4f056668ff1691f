/** Breadth first through every state that can be reached; the way to the first that is wrong is a shortest one. */
import { unfinishedIn, wrongIn } from "./invariants.ts";
import { initialWorld, makeModel, stepsOf } from "./model.ts";
import { keyOf, type Model, type Scenario, type World } from "./world.ts";

export interface Explored {
  readonly states: number;
  readonly steps: number;
  /** States in which nothing goes on by itself. */
  readonly rests: number;
  readonly depth: number;
  /** How stages ended in any of the states of rest, and whether some wait for a person. */
  readonly outcomes: ReadonlySet<string>;
  readonly wrong: Wrong | null;
}
export interface Wrong {
  readonly what: string;
  /** How it comes to it, step by step. */
  readonly trace: readonly string[];
}

/**
 * @param most states; more is an error, since a part of the world proves nothing
 * @param isSought of what is wrong, what to look for; the rest is passed over
 */
export function explore(scenario: Scenario, most: number, isSought: (what: string) => boolean = () => true): Explored {
  const model = makeModel(scenario);
  const seen = new Set<string>();
  /** For each state, the one it was reached from, and by which of its steps. */
  const cameFrom: number[] = [];
  const by: number[] = [];
  const outcomes = new Set<string>();
  let [steps, rests, depth] = [0, 0, 0];

  const first = initialWorld(model);
  const firstKey = keyOf(model.memory, first);
  seen.add(firstKey);
  cameFrom.push(-1);
  by.push(-1);
  const found = (wrong: string | null, at: number): Explored => ({
    states: seen.size,
    steps,
    rests,
    depth,
    outcomes,
    wrong: wrong === null ? null : { what: wrong, trace: traceTo(model, at, cameFrom, by) },
  });

  for (let edge = [{ world: first, key: firstKey, at: 0 }]; edge.length > 0; depth += 1) {
    const beyond: { readonly world: World; readonly key: string; readonly at: number }[] = [];
    for (const { world, key, at } of edge) {
      let goesOn = false;
      for (const [which, { next, isOptional }] of stepsOf(model, world).entries()) {
        steps += 1;
        const nextKey = keyOf(model.memory, next);
        if (isOptional !== true && nextKey !== key) goesOn = true;
        if (seen.has(nextKey)) continue;
        seen.add(nextKey);
        cameFrom.push(at);
        by.push(which);
        const wrong = wrongIn(next);
        if (wrong !== null && isSought(wrong)) return found(wrong, cameFrom.length - 1);
        if (wrong !== null) continue;
        beyond.push({ world: next, key: nextKey, at: cameFrom.length - 1 });
      }
      if (goesOn) continue;
      rests += 1;
      const unfinished = unfinishedIn(world);
      if (unfinished !== null && isSought(unfinished)) return found(unfinished, at);
      for (const log of world.logs) {
        if (log.kind === "stage" && log.state.result !== null) outcomes.add(log.state.result.outcome);
        if (log.kind === "lane" && log.state.waiting.length > 0) outcomes.add("waits");
      }
    }
    if (seen.size > most) throw new Error(`more than ${most} states: the world is too large`);
    edge = beyond;
  }
  return found(null, -1);
}

function traceTo(model: Model, end: number, cameFrom: readonly number[], by: readonly number[]): readonly string[] {
  const path: number[] = [];
  for (let at = end; at > 0; at = cameFrom[at] ?? 0) path.unshift(by[at] ?? 0);
  let world = initialWorld(model);
  return path.map((which) => {
    const step = stepsOf(model, world)[which];
    if (step === undefined) throw new Error("the way there is not the same the second time");
    world = step.next;
    return step.says();
  });
}
