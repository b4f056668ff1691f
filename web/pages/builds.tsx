import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { fetchBuilds, fetchRepositories } from "../live/api.ts";
import { expectEnvironments, learnBuild, world } from "../live/connection.ts";
import { asApiError, type Loading, useLoad } from "../live/load.ts";
import { hrefOf } from "../live/location.ts";
import { useStore } from "../live/store.ts";
import { useTitle } from "../live/title.ts";
import { buildKey, buildsOf, environmentKey, environmentsOf } from "../live/world.ts";
import { BuildRow } from "../parts/build-row.tsx";
import { EnvironmentRow } from "../parts/environment-row.tsx";
import { Failure } from "../parts/failure.tsx";
import { Link } from "../parts/link.tsx";

/** How far back the list goes without a hole; older builds are known only by accident. */
interface Reach {
  readonly sinceMs: number;
  readonly next: string | null;
}

/** Environments and builds, of one repository or of all, as they are now. */
export function BuildsPage({ repository }: { readonly repository: string | null }): JSX.Element {
  const known = useStore(world);
  const [reach, setReach] = useState<Reach>({ sinceMs: Number.POSITIVE_INFINITY, next: null });
  const [older, setOlder] = useState<Loading>({ state: "there" });
  useTitle(repository ?? "Builds", "calm");

  const loadBuilds = async (before: string | null): Promise<void> => {
    const { builds, next } = await fetchBuilds(repository, before);
    builds.forEach(learnBuild);
    const sinceMs = next === null ? 0 : (builds.at(-1)?.createdAtMs ?? 0);
    setReach({ sinceMs, next });
  };
  const loading = useLoad(async () => {
    const learn = expectEnvironments();
    const [{ repositories }] = await Promise.all([fetchRepositories(), loadBuilds(null)]);
    learn(repositories.flatMap((r) => r.environments));
  }, [repository]);

  const loadOlder = (): void => {
    setOlder({ state: "loading" });
    loadBuilds(reach.next).then(
      () => setOlder({ state: "there" }),
      (error: unknown) => setOlder({ state: "failed", error: asApiError(error) }),
    );
  };
  const builds = buildsOf(known, repository).filter((b) => b.createdAtMs >= reach.sinceMs);
  const environments = environmentsOf(known, repository);
  return (
    <>
      <h1>{repository ?? "All repositories"}</h1>
      {repository !== null && (
        <p>
          <Link to={hrefOf({ page: "builds", repository: null })}>All repositories</Link>
        </p>
      )}
      {loading.state === "failed" && <Failure error={loading.error} />}
      {environments.length > 0 && (
        <section aria-labelledby="environments">
          <h2 id="environments">Environments</h2>
          <ul class="rows">
            {environments.map((e) => (
              <EnvironmentRow environment={e} key={environmentKey(e)} />
            ))}
          </ul>
        </section>
      )}
      <section aria-labelledby="builds">
        <h2 id="builds">Builds</h2>
        {loading.state === "loading" && builds.length === 0 && <p>Loading…</p>}
        {loading.state === "there" && builds.length === 0 && (
          <p>Nothing has been built yet. The first push will show up here.</p>
        )}
        <ul class="rows">
          {builds.map((build) => (
            <BuildRow build={build} key={buildKey(build)} />
          ))}
        </ul>
        {older.state === "failed" && <Failure error={older.error} />}
        {reach.next !== null && (
          <button type="button" onClick={loadOlder} disabled={older.state === "loading"}>
            Older builds
          </button>
        )}
      </section>
    </>
  );
}
