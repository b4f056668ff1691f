/** Builds by branch, state and author: by the index once it is whole, until then by looking through what there is. */
import { type BuildFilter, matches } from "./build-index.ts";
import type { History } from "./history.ts";
import { type Page, type Place, pageOfAll } from "./pages.ts";

const PAGE = 100;
/** How far one question looks without the index; whoever asks goes on with `next`. */
const MOST_PAGES = 20;

export async function searchBuilds(
  history: History,
  repositories: ReturnType<History["repositories"]>,
  filter: BuildFilter,
  place: Place | null,
  limit: number,
): Promise<Page> {
  if (!history.isIndexed()) return lookThrough(history, repositories, filter, place, limit);
  const names = repositories.map(({ repository }) => repository);
  const found: Page["builds"][number][] = [];
  let batch: Place[] = [];
  async function read(): Promise<void> {
    const builds = await Promise.all(batch.map((id) => history.build(id)));
    // What has changed since is not what is looked for.
    for (const build of builds) if (build !== null && matches(build, filter)) found.push(build);
    batch = [];
  }
  for (const id of history.index.find(names, filter, place)) {
    batch.push(id);
    if (found.length + batch.length <= limit) continue;
    await read();
    if (found.length > limit) break;
  }
  await read();
  return cut(found, limit, null);
}

async function lookThrough(
  history: History,
  repositories: ReturnType<History["repositories"]>,
  filter: BuildFilter,
  from: Place | null,
  limit: number,
): Promise<Page> {
  const found: Page["builds"][number][] = [];
  let place = from;
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const page = await pageOfAll(repositories, (id) => history.build(id), place, PAGE);
    found.push(...page.builds.filter((build) => matches(build, filter)));
    place = page.next;
    if (place === null || found.length > limit) break;
  }
  return cut(found, limit, place);
}

function cut(found: Page["builds"], limit: number, next: Place | null): Page {
  if (found.length <= limit) return { builds: found, next };
  const builds = found.slice(0, limit);
  const last = builds.at(-1);
  return { builds, next: last === undefined ? null : last };
}
