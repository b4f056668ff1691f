/**
 * Who goes next when not all can: a deficit round-robin over repositories in which every stage costs one turn, in a few
 * priorities. Pure.
 *
 * A repository has one turn in a round, and what goes by a higher priority takes the turn of what it has at lower ones:
 * who gets environments through first pays with builds. A higher priority goes before a lower one, but not for ever.
 */
import type { Priority } from "../../protocol/pipeline/plan.ts";

export const PRIORITIES: readonly Priority[] = ["high", "normal", "low"];

/** How many others may go before something of this priority that waits, at most: then it is next. */
export const PATIENCE: Readonly<Record<Priority, number>> = { high: 2, normal: 3, low: 15 };

/** Repositories that wait, by priority; none is there twice. */
export type Waiters = Readonly<Partial<Record<Priority, readonly string[]>>>;

export interface Turns {
  /** Repositories that had their turn in the round of this priority. */
  readonly had: Readonly<Record<Priority, ReadonlySet<string>>>;
  /** Which was last, by priority: the next one after it in the alphabet follows. */
  readonly last: Readonly<Partial<Record<Priority, string>>>;
  /** How many went since something of this priority did, while it waited. */
  readonly passedOver: Readonly<Record<Priority, number>>;
}

const NOBODY: ReadonlySet<string> = new Set();

export const FIRST_TURNS: Turns = {
  had: { high: NOBODY, normal: NOBODY, low: NOBODY },
  last: {},
  passedOver: { high: 0, normal: 0, low: 0 },
};

export interface Turn {
  readonly priority: Priority;
  readonly repository: string;
  /** How it goes on from here. */
  readonly turns: Turns;
}

/** Null when nobody waits. */
export function nextTurn(waiters: Waiters, turns: Turns): Turn | null {
  const present = PRIORITIES.filter((priority) => (waiters[priority] ?? []).length > 0);
  const priority = present.find((one) => turns.passedOver[one] >= PATIENCE[one]) ?? present[0];
  if (priority === undefined) return null;
  const all = inTurn(waiters[priority] ?? [], turns.last[priority]);
  const due = all.find((one) => !turns.had[priority].has(one));
  const repository = due ?? all[0];
  if (repository === undefined) return null;
  const had = { ...turns.had };
  // Nobody is due: a new round.
  if (due === undefined) had[priority] = NOBODY;
  for (const one of PRIORITIES.slice(PRIORITIES.indexOf(priority))) had[one] = new Set(had[one]).add(repository);
  const passedOver = { ...turns.passedOver };
  for (const one of PRIORITIES) passedOver[one] = one === priority || !present.includes(one) ? 0 : passedOver[one] + 1;
  return { priority, repository, turns: { had, last: { ...turns.last, [priority]: repository }, passedOver } };
}

/** In the order of the round: those after `last` first. */
function inTurn(repositories: readonly string[], last: string | undefined): readonly string[] {
  const sorted = repositories.toSorted();
  if (last === undefined) return sorted;
  return [...sorted.filter((one) => one > last), ...sorted.filter((one) => one <= last)];
}
