/**
 * Which of two builds of a repository comes first: by what git and the forge say of their commits, else by the order in
 * which they were accepted. Clocks decide nothing. Pure.
 */
import type { Standing } from "../../protocol/events.ts";
import { shortOf } from "../../protocol/work.ts";

/** Does `one` contain the commit of `other`, as far as is known? */
export function contains(one: Standing, other: Standing): boolean {
  const { tip } = other;
  const holds = (commit: string): boolean => one.ancestors.includes(commit);
  return holds(shortOf(other.commit)) || (tip !== null && (shortOf(one.commit) === tip || holds(tip)));
}

/**
 * Is it known that `first` comes before `second`, whichever was accepted first? The forge's word on what its ref became
 * afterwards counts for all. Git's word does not put what was meant for the moment of its acceptance before what was
 * accepted earlier: a branch that was moved back, or a build that somebody asked for.
 */
export function isKnownBefore(first: Standing, second: Standing): boolean {
  const commit = shortOf(first.commit);
  if (first.after.includes(shortOf(second.commit))) return true;
  if (first.number < second.number) return second.before === commit || contains(second, first);
  return first.origin === "push" && contains(second, first);
}

/** Does `late` come before `early`, though it was accepted later? */
export function overtakes(late: Standing, early: Standing): boolean {
  return late.number > early.number && isKnownBefore(late, early);
}

/** Does `one` come before `other`, if these two are all there is? */
export function comesBefore(one: Standing, other: Standing): boolean {
  return one.number > other.number ? overtakes(one, other) : !overtakes(other, one);
}

/**
 * All of `those` in the order in which they go: as they were accepted, but for what is known to come before something
 * that was accepted earlier, which goes right before that. So what one contains counts as accepted with it, and a push
 * that comes late changes nothing about the order of the others.
 */
export function inOrder<T extends Standing>(those: readonly T[]): readonly T[] {
  const accepted = those.toSorted((a, b) => a.number - b.number);
  const earlier = earlierThan(accepted);
  const begun = new Set<T>();
  const ordered: T[] = [];
  const place = (one: T): void => {
    begun.add(one);
    for (const other of earlier(one)) if (!begun.has(other) && mustPrecede(other, one, those)) place(other);
    ordered.push(one);
  };
  for (const one of accepted) if (!begun.has(one)) place(one);
  return ordered;
}

/** All that may be known to come before one of `those`, in the order of acceptance: few, of many. */
function earlierThan<T extends Standing>(those: readonly T[]): (one: T) => readonly T[] {
  const byCommit = Map.groupBy(those, ({ commit }) => shortOf(commit));
  const told = those.filter(({ tip, after }) => tip !== null || after.length > 0);
  return ({ ancestors, before }) => {
    const contained = [...ancestors, ...(before === null ? [] : [before])].flatMap(
      (commit) => byCommit.get(commit) ?? [],
    );
    return [...new Set([...contained, ...told])].toSorted((a, b) => a.number - b.number);
  };
}

function mustPrecede(first: Standing, second: Standing, all: readonly Standing[]): boolean {
  if (first.number > second.number) return overtakesAmong(first, second, all);
  return isKnownBefore(first, second) && !overtakesAmong(second, first, all);
}

/**
 * A branch that was moved back begins anew there: what is pushed to it afterwards may be a commit that something from
 * before contains, and is meant all the same.
 */
function overtakesAmong(late: Standing, early: Standing, all: readonly Standing[]): boolean {
  if (!overtakes(late, early)) return false;
  if (late.after.includes(shortOf(early.commit))) return true;
  return !all.some((one) => isBeginning(one, early, late) && !contains(one, late));
}

function isBeginning(one: Standing, early: Standing, late: Standing): boolean {
  return one.origin === "rewind" && one.ref === late.ref && one.number > early.number && one.number < late.number;
}

/** More are never side by side, unless branches are replaced all the time. */
const WENT_KEPT = 8;

/** The newest of what went, once `now` goes: without what that contains, or what its branch was moved back from. */
export function afterGoing(went: readonly Standing[], now: Standing): readonly Standing[] {
  const isOver = (one: Standing): boolean =>
    contains(now, one) || one.commit === now.commit || (now.origin === "rewind" && one.ref === now.ref);
  return [now, ...went.filter((one) => !isOver(one))].slice(0, WENT_KEPT);
}
