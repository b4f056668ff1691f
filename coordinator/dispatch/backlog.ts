/** What is held back, in memory, as TOROID_WAIT has it: in groups of which each goes in order. */
import type { Priority, RunsOn } from "../../protocol/pipeline/plan.ts";
import type { CommandQueue } from "../../protocol/subjects.ts";
import type { Waiting } from "../../protocol/waiting.ts";
import { PRIORITIES } from "./turns.ts";

/** One of what waits, and the message that says so. */
export interface Held {
  readonly seq: number;
  readonly waiting: Waiting;
}

/** All that is on one subject: alike in everything but the stage. */
export interface Group {
  readonly subject: string;
  readonly queue: CommandQueue;
  readonly priority: Priority;
  readonly runsOn: RunsOn;
  readonly repository: string;
  /** Oldest first; never empty. */
  readonly held: readonly Held[];
}

type StageKey = Pick<Waiting, "repository" | "number" | "stage" | "round">;

export class Backlog {
  readonly #groups = new Map<string, Group & { readonly held: Held[] }>();
  readonly #subjects = new Map<string, string>();
  #version = 0;

  get isEmpty(): boolean {
    return this.#groups.size === 0;
  }

  /** Grows with each change. */
  get version(): number {
    return this.#version;
  }

  get groups(): Iterable<Group> {
    return this.#groups.values();
  }

  add(subject: string, waiting: Waiting, seq: number): void {
    const { queue, priority, runsOn, repository } = waiting;
    const group = this.#groups.get(subject) ?? { subject, queue, priority, runsOn, repository, held: [] };
    if (seq <= (group.held.at(-1)?.seq ?? 0)) return;
    group.held.push({ seq, waiting });
    this.#groups.set(subject, group);
    this.#subjects.set(keyOf(waiting), subject);
    this.#version += 1;
  }

  /** Takes the oldest of a group out. */
  take(subject: string): Held | undefined {
    const group = this.#groups.get(subject);
    const held = group?.held.shift();
    if (group?.held.length === 0) this.#groups.delete(subject);
    if (held !== undefined) this.#subjects.delete(keyOf(held.waiting));
    this.#version += 1;
    return held;
  }

  /** Puts back what was taken and could not be sent. */
  putBack(group: Group, taken: readonly Held[]): void {
    const now = this.#groups.get(group.subject) ?? { ...group, held: [] };
    now.held.unshift(...taken);
    this.#groups.set(group.subject, now);
    for (const { waiting } of taken) this.#subjects.set(keyOf(waiting), group.subject);
    this.#version += 1;
  }

  /** Forgets what is not in the stream any more, which had so many messages by subject when `lastSeq` was its last. */
  keep(counts: Readonly<Record<string, number>>, lastSeq: number): void {
    for (const { subject, held } of this.#groups.values()) {
      const known = held.filter(({ seq }) => seq <= lastSeq).length;
      for (let gone = known - (counts[subject] ?? 0); gone > 0; gone -= 1) this.take(subject);
    }
  }

  /** How many are before a stage of those that `meets` it, as far as can be told; null when it is not held back. */
  before(stage: StageKey, meets: (other: Group, its: Group) => boolean): number | null {
    const group = this.#groups.get(this.#subjects.get(keyOf(stage)) ?? "");
    if (group === undefined) return null;
    const at = group.held.findIndex(({ waiting }) => keyOf(waiting) === keyOf(stage));
    let before = 0;
    for (const other of this.#groups.values()) {
      if (!meets(other, group)) continue;
      const [theirs, ours] = [PRIORITIES.indexOf(other.priority), PRIORITIES.indexOf(group.priority)];
      if (other.subject === group.subject) before += at;
      else if (theirs < ours) before += other.held.length;
      // Each repository has a turn for each of ours.
      else if (theirs === ours) before += Math.min(other.held.length, at + 1);
    }
    return before;
  }
}

function keyOf({ repository, number, stage, round }: StageKey): string {
  return `${repository}#${number}/${round}/${stage}`;
}
