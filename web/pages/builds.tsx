import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { fetchBuilds } from "../live/api.ts";
import { matching } from "../live/build-filter.ts";
import { learnBuild, world } from "../live/connection.ts";
import { asApiError, type Loading, useLoad } from "../live/load.ts";
import { amend, type BuildFilter, hrefOf } from "../live/location.ts";
import { useStore } from "../live/store.ts";
import { useTitle } from "../live/title.ts";
import { buildKey, buildsOf } from "../live/world.ts";
import { BuildFilters } from "../parts/build-filters.tsx";
import { BuildRow } from "../parts/build-row.tsx";
import { Failure } from "../parts/failure.tsx";
import { Link } from "../parts/link.tsx";

/** How far back the list goes without a hole; older builds are known only by accident. */
interface Reach {
  readonly sinceMs: number;
  readonly next: string | null;
}

/** Builds, of one repository or of all, as they are now. */
export function BuildsPage({ filter }: { readonly filter: BuildFilter }): JSX.Element {
  const { repository, branch, state, author } = filter;
  const known = useStore(world);
  const [reach, setReach] = useState<Reach>({ sinceMs: Number.POSITIVE_INFINITY, next: null });
  const [older, setOlder] = useState<Loading>({ state: "there" });
  useTitle(repository ?? "Builds", "calm");

  const load = async (before: string | null): Promise<void> => {
    const { builds, next } = await fetchBuilds(filter, before);
    builds.forEach(learnBuild);
    setReach({ sinceMs: next === null ? 0 : (builds.at(-1)?.createdAtMs ?? 0), next });
  };
  const loading = useLoad(() => load(null), [repository, branch, state, author]);
  const loadOlder = (): void => {
    setOlder({ state: "loading" });
    load(reach.next).then(
      () => setOlder({ state: "there" }),
      (error: unknown) => setOlder({ state: "failed", error: asApiError(error) }),
    );
  };
  const builds = matching(buildsOf(known, repository), filter).filter((b) => b.createdAtMs >= reach.sinceMs);
  const filtered = [branch, state, author].some(Boolean);
  return (
    <>
      <div class="page-head">
        <h1>{repository ?? "All builds"}</h1>
        {repository !== null && (
          <p>
            <Link to={hrefOf({ page: "builds", repository: null })}>All repositories</Link>
          </p>
        )}
        <BuildFilters filter={filter} change={(next) => amend(hrefOf({ page: "builds", ...next }))} />
      </div>
      {loading.state === "failed" && <Failure error={loading.error} />}
      {loading.state === "loading" && builds.length === 0 && <p>Loading…</p>}
      {loading.state === "there" && builds.length === 0 && (
        <p>{filtered ? "No build is like that." : "Nothing has been built yet. The first push will show up here."}</p>
      )}
      <ul class="rows">
        {builds.map((build) => (
          <BuildRow build={build} key={buildKey(build)} />
        ))}
      </ul>
      {older.state === "failed" && <Failure error={older.error} />}
      {reach.next !== null && (
        <p>
          <button type="button" onClick={loadOlder} disabled={older.state === "loading"}>
            Older builds
          </button>
        </p>
      )}
    </>
  );
}
