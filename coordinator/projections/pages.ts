/**
 * Pages through the builds of all repositories, newest first, with what is there already: summaries by number. Within a
 * repository the time of creation grows with the number, so that where a page begins is found by halving.
 */
import type { BuildId } from "../../protocol/ids.ts";
import type { BuildSummary } from "../../protocol/summary.ts";

/** The last build of a page: the next one begins after it. */
export interface Place extends BuildId {
  readonly createdAtMs: number;
}

export interface Page {
  readonly builds: readonly BuildSummary[];
  /** Null: it was the last one. */
  readonly next: Place | null;
}

type Read = (id: BuildId) => Promise<BuildSummary | null>;

/** Newest builds that have no summary yet: no more of one repository than that are being created. */
const UNSEEN = 64;
/** Read ahead of one repository. */
const AHEAD = 8;

/** Up to `limit` builds after `place`, or from the newest on; `builds` is the number of the newest one. */
export async function pageOfAll(
  repositories: readonly { readonly repository: string; readonly builds: number }[],
  read: Read,
  place: Place | null,
  limit: number,
): Promise<Page> {
  const sources = await Promise.all(
    repositories.map(async ({ repository, builds }) => {
      const from = place === null ? builds : await firstAfter(place, repository, builds, read);
      const source = new Source(repository, from, read);
      await source.fill();
      return source;
    }),
  );
  const builds: BuildSummary[] = [];
  while (builds.length < limit) {
    const newest = newestOf(sources);
    if (newest === null) return { builds, next: null };
    builds.push(newest.take());
    await newest.fill();
  }
  const last = builds.at(-1);
  const next = last === undefined || newestOf(sources) === null ? null : placeOf(last);
  return { builds, next };
}

function placeOf({ repository, number, createdAtMs }: BuildSummary): Place {
  return { repository, number, createdAtMs };
}

/** Number of the newest build of a repository that comes after `place`; 0: none does. */
async function firstAfter(place: Place, repository: string, newest: number, read: Read): Promise<number> {
  if (repository === place.repository) return place.number - 1;
  // Of those in the middle, what has no summary any more is old.
  const isAfter = async (number: number): Promise<boolean> => {
    const build = await read({ repository, number });
    return build === null || compare(placeOf(build), place) > 0;
  };
  let tooNew = newest + 1;
  for (let number = newest; number > Math.max(0, newest - UNSEEN); number -= 1) {
    if ((await read({ repository, number })) !== null) break;
    tooNew = number;
  }
  let after = 0;
  // Most of what is asked for is near the newest.
  for (let step = 1; tooNew - step > 0; step *= 2) {
    if (await isAfter(tooNew - step)) {
      after = tooNew - step;
      break;
    }
    tooNew -= step;
  }
  while (tooNew - after > 1) {
    const middle = Math.floor((after + tooNew) / 2);
    if (await isAfter(middle)) after = middle;
    else tooNew = middle;
  }
  return after;
}

/** The order of all builds: negative when `a` is shown first. */
export function compare(a: Place, b: Place): number {
  if (a.createdAtMs !== b.createdAtMs) return b.createdAtMs - a.createdAtMs;
  if (a.repository !== b.repository) return a.repository < b.repository ? -1 : 1;
  return b.number - a.number;
}

/** One repository's builds from a number downwards. */
class Source {
  readonly #repository: string;
  readonly #read: Read;
  #next: number;
  #ahead: BuildSummary[] = [];

  constructor(repository: string, from: number, read: Read) {
    this.#repository = repository;
    this.#next = from;
    this.#read = read;
  }

  get head(): BuildSummary | null {
    return this.#ahead[0] ?? null;
  }

  take(): BuildSummary {
    const [head, ...rest] = this.#ahead;
    if (head === undefined) throw new Error("there is no build to take");
    this.#ahead = rest;
    return head;
  }

  /** Sees to it that there is a head, if any build is left. */
  async fill(): Promise<void> {
    // Without one for so long, there are no older ones either.
    for (let misses = 0; this.#ahead.length === 0 && this.#next > 0 && misses < UNSEEN; misses += AHEAD) {
      const numbers = Array.from({ length: Math.min(AHEAD, this.#next) }, (_, at) => this.#next - at);
      this.#next -= numbers.length;
      const found = await Promise.all(numbers.map((number) => this.#read({ repository: this.#repository, number })));
      this.#ahead = found.filter((one) => one !== null);
    }
  }
}

function newestOf(sources: readonly Source[]): Source | null {
  let newest: { readonly source: Source; readonly place: Place } | null = null;
  for (const source of sources) {
    const { head } = source;
    if (head === null) continue;
    const place = placeOf(head);
    if (newest === null || compare(place, newest.place) < 0) newest = { source, place };
  }
  return newest?.source ?? null;
}

/** As a client is given it, and gives it back. */
export function placeText({ repository, number, createdAtMs }: Place): string {
  return `${createdAtMs}-${number}-${repository}`;
}

/** Null when it is none of ours. */
export function placeFrom(text: string): Place | null {
  const [, createdAtMs, number, repository] = /^([0-9]{1,15})-([1-9][0-9]{0,14})-(.+)$/.exec(text) ?? [];
  if (repository === undefined) return null;
  return { repository, number: Number(number), createdAtMs: Number(createdAtMs) };
}
