/**
 * What builds are looked for by, of every build, in some twenty bytes each: a million of them are looked through in
 * milliseconds. Summaries themselves stay in the store.
 */
import { z } from "zod";
import { buildOutcome } from "../../protocol/events.ts";
import { buildSummary } from "../../protocol/summary.ts";
import { compare, type Place } from "./pages.ts";

/** `active`: it has not ended; `ended`: it has. The others are how it stands, or how it ended. */
export const buildState = z.enum(["active", "ended", "planning", "running", ...buildOutcome.options]);
export type BuildState = z.infer<typeof buildState>;

export interface BuildFilter {
  readonly branch: string | null;
  readonly state: BuildState | null;
  /** Of the commit, by name, in any case; an address behind it says nothing. */
  readonly author: string | null;
}

export function isFilter({ branch, state, author }: BuildFilter): boolean {
  return branch !== null || state !== null || author !== null;
}

/** The parts of a summary that are looked for. */
const { shape } = buildSummary;
export const indexed = z.object({
  repository: shape.repository,
  number: shape.number,
  status: shape.status,
  outcome: shape.outcome,
  branch: shape.branch,
  author: shape.author,
  createdAtMs: shape.createdAtMs,
});
export type Indexed = z.infer<typeof indexed>;

export function matches(build: Indexed, { branch, state, author }: BuildFilter): boolean {
  if (branch !== null && build.branch !== branch) return false;
  if (author !== null && folded(build.author) !== folded(author)) return false;
  return state === null || isState(stateOf(build), state);
}

const STATES = buildState.options;
const LEAST = 64;

function stateOf({ status, outcome }: Indexed): BuildState {
  return status === "finished" ? (outcome ?? "failed") : status;
}

function isState(is: BuildState, wanted: BuildState): boolean {
  const isActive = is === "planning" || is === "running";
  if (wanted === "active" || wanted === "ended") return isActive === (wanted === "active");
  return is === wanted;
}

/** By their name: people know that of each other, and not the address behind it. */
function folded(author: string): string {
  return author.replace(/ <[^<>]*>$/, "").toLowerCase();
}

/** Of one repository, by number. */
interface Columns {
  newest: number;
  /** Place in {@link STATES}, and one; 0: there is no such build. */
  state: Uint8Array;
  branch: Uint32Array;
  author: Uint32Array;
  createdAtMs: Float64Array;
}

export class BuildIndex {
  readonly #repositories = new Map<string, Columns>();
  readonly #branches = new Names();
  readonly #authors = new Names();
  readonly #counts: number[] = STATES.map(() => 0);

  put(build: Indexed): void {
    const { repository, number } = build;
    const columns = this.#repositories.get(repository) ?? emptyColumns();
    this.#repositories.set(repository, columns);
    while (number >= columns.state.length) grow(columns);
    columns.newest = Math.max(columns.newest, number);
    const state = STATES.indexOf(stateOf(build)) + 1;
    this.#count(columns.state[number] ?? 0, -1);
    this.#count(state, 1);
    columns.state[number] = state;
    columns.branch[number] = build.branch === null ? 0 : this.#branches.add(build.branch);
    columns.author[number] = this.#authors.add(folded(build.author));
    columns.createdAtMs[number] = build.createdAtMs;
  }

  /** How many there are of each state. */
  counts(): readonly (readonly [BuildState, number])[] {
    return STATES.flatMap((state, at) => {
      const isSum = state === "active" || state === "ended";
      return isSum ? [] : [[state, this.#counts[at] ?? 0] as const];
    });
  }

  #count(state: number, by: number): void {
    if (state > 0) this.#counts[state - 1] = (this.#counts[state - 1] ?? 0) + by;
  }

  /** Builds that match, newest first, from after `place` on. */
  *find(repositories: readonly string[], filter: BuildFilter, place: Place | null): Generator<Place> {
    const wanted = this.#wanted(filter);
    if (wanted === null) return;
    const heads = repositories.flatMap((repository) => {
      const columns = this.#repositories.get(repository);
      if (columns === undefined) return [];
      const isSame = place?.repository === repository;
      const from = isSame ? place.number : columns.newest + 1;
      const source = new Source(repository, columns, from, wanted);
      source.advance();
      if (place !== null && !isSame) source.advanceTo(place);
      return source.head === null ? [] : [source];
    });
    for (;;) {
      let first: Source | null = null;
      for (const one of heads) {
        if (one.head !== null && (first === null || compare(one.head, first.place) < 0)) first = one;
      }
      if (first === null) return;
      yield first.place;
      first.advance();
    }
  }

  /** Null: nothing can match. */
  #wanted({ branch, state, author }: BuildFilter): Wanted | null {
    const branchId = branch === null ? null : this.#branches.of(branch);
    const authorId = author === null ? null : this.#authors.of(folded(author));
    if (branchId === 0 || authorId === 0) return null;
    const states = STATES.map((one) => state === null || isState(one, state));
    return { branch: branchId, author: authorId, states: [false, ...states] };
  }
}

interface Wanted {
  readonly branch: number | null;
  readonly author: number | null;
  readonly states: readonly boolean[];
}

/** One repository's matching builds, downwards. */
class Source {
  head: Place | null = null;
  readonly #repository: string;
  readonly #columns: Columns;
  readonly #wanted: Wanted;
  #at: number;

  constructor(repository: string, columns: Columns, from: number, wanted: Wanted) {
    this.#repository = repository;
    this.#columns = columns;
    this.#at = from;
    this.#wanted = wanted;
  }

  /** Of one that is not at its end. */
  get place(): Place {
    if (this.head === null) throw new Error("there is no build left");
    return this.head;
  }

  /** To the first one that comes after a place. */
  advanceTo(place: Place): void {
    while (this.head !== null && compare(this.head, place) <= 0) this.advance();
  }

  advance(): void {
    const { state, branch, author, createdAtMs } = this.#columns;
    const wanted = this.#wanted;
    for (this.#at -= 1; this.#at > 0; this.#at -= 1) {
      const at = this.#at;
      if (wanted.states[state[at] ?? 0] !== true) continue;
      if (wanted.branch !== null && branch[at] !== wanted.branch) continue;
      if (wanted.author !== null && author[at] !== wanted.author) continue;
      this.head = { repository: this.#repository, number: at, createdAtMs: createdAtMs[at] ?? 0 };
      return;
    }
    this.head = null;
  }
}

/** Texts as numbers from 1. */
class Names {
  readonly #ids = new Map<string, number>();

  add(name: string): number {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    this.#ids.set(name, this.#ids.size + 1);
    return this.#ids.size;
  }

  /** 0: nobody has it. */
  of(name: string): number {
    return this.#ids.get(name) ?? 0;
  }
}

function emptyColumns(): Columns {
  return {
    newest: 0,
    state: new Uint8Array(LEAST),
    branch: new Uint32Array(LEAST),
    author: new Uint32Array(LEAST),
    createdAtMs: new Float64Array(LEAST),
  };
}

function grow(columns: Columns): void {
  const size = columns.state.length * 2;
  const { state, branch, author, createdAtMs } = columns;
  columns.state = new Uint8Array(size);
  columns.state.set(state);
  columns.branch = new Uint32Array(size);
  columns.branch.set(branch);
  columns.author = new Uint32Array(size);
  columns.author.set(author);
  columns.createdAtMs = new Float64Array(size);
  columns.createdAtMs.set(createdAtMs);
}
