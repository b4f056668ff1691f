/** Histories of repositories, made by chance, and what is known of each push once they were accepted in some order. */
import * as fc from "fast-check";
import { repositoryActor } from "../../../../coordinator/actors/repository.ts";
import type { Standing } from "../../../../protocol/events.ts";
import { shortOf } from "../../../../protocol/work.ts";
import { commitOf, Lived, push } from "../samples.ts";

/** What somebody does to a branch and pushes: work goes on, the last commit is replaced, or the branch moved back. */
export type Act = "grow" | "merge" | "amend" | "rewind";

export interface Made {
  readonly ref: string;
  readonly before: string | null;
  readonly commit: string;
  readonly kind: Act;
}

/** The commits of a repository, each with its parents. */
class Commits {
  readonly #parents = new Map<string, readonly string[]>();

  add(...parents: readonly string[]): string {
    const commit = commitOf(this.#parents.size + 1);
    this.#parents.set(commit, parents);
    return commit;
  }

  parentOf(commit: string): string | null {
    return this.#parents.get(commit)?.[0] ?? null;
  }

  /** All that it contains, itself left out. */
  within(commit: string): readonly string[] {
    const found = new Set<string>();
    const look = (at: string): void => {
      for (const parent of this.#parents.get(at) ?? []) {
        if (found.has(parent)) continue;
        found.add(parent);
        look(parent);
      }
    };
    look(commit);
    return [...found];
  }
}

export interface Repository {
  /** In the order in which they were pushed. */
  readonly pushes: readonly Made[];
  readonly commits: Commits;
}

const MAIN = "refs/heads/main";

/** What `done`, one after the other, makes of one branch. */
export function branchOf(done: readonly (readonly [Act, number])[]): Repository {
  const commits = new Commits();
  const pushes: Made[] = [];
  let tip: string | null = null;
  for (const [kind, count] of done) {
    const commit = after(commits, tip, kind, count);
    if (commit === tip) continue;
    pushes.push({ ref: MAIN, before: tip, commit, kind });
    tip = commit;
  }
  return { pushes, commits };
}

function after(commits: Commits, tip: string | null, kind: Act, count: number): string {
  if (tip === null) return commits.add();
  switch (kind) {
    case "grow": {
      let at = tip;
      for (let made = 0; made < count; made += 1) at = commits.add(at);
      return at;
    }
    case "merge": {
      // Into a branch of somebody's own, so that what was there is not the first parent.
      const side = commits.add(commits.parentOf(tip) ?? tip);
      return count % 2 === 0 ? commits.add(tip, side) : commits.add(side, tip);
    }
    case "amend": {
      const parent = commits.parentOf(tip);
      return parent === null ? commits.add() : commits.add(parent);
    }
    case "rewind": {
      let at = tip;
      for (let back = 0; back < count; back += 1) at = commits.parentOf(at) ?? at;
      return at;
    }
  }
}

/** What is known of the pushes, in the order of `repository.pushes`, when they were accepted in that of `accepted`. */
export function known({ pushes, commits }: Repository, accepted: readonly number[]): readonly Standing[] {
  const actor = new Lived(repositoryActor);
  for (const at of accepted) {
    const { ref, before, commit } = pushes[at] as Made;
    actor.tell({ kind: "accept", key: `${at}`, push: push({ ref, before, commit }), by: "queue" });
  }
  return pushes.map(({ ref, before, commit, kind }, at) => {
    const event = actor.log.find(({ key }) => key === `${at}`);
    if (event === undefined) throw new Error(`push ${at} was not accepted`);
    return {
      number: event.number,
      commit,
      ref,
      before: before === null ? null : shortOf(before),
      origin: kind === "rewind" ? "rewind" : "push",
      ancestors: commits.within(commit).map(shortOf),
      tip: null,
      after: event.after ?? [],
    };
  });
}

const count = fc.integer({ min: 1, max: 4 });

export function acts(...kinds: readonly Act[]): fc.Arbitrary<readonly (readonly [Act, number])[]> {
  return fc.array(fc.tuple(fc.constantFrom(...kinds), count), { minLength: 1, maxLength: 9 });
}

/** A repository and an order in which its pushes are accepted. */
export function reordered(
  ...kinds: readonly Act[]
): fc.Arbitrary<{ readonly repository: Repository; readonly accepted: readonly number[] }> {
  return acts(...kinds).chain((made) => {
    const repository = branchOf(made);
    const all = repository.pushes.map((_, at) => at);
    const shuffled = fc.shuffledSubarray(all, { minLength: all.length });
    return shuffled.map((accepted) => ({ repository, accepted }));
  });
}
