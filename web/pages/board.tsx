import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError, fetchBuild, fetchRepositories } from "../live/api.ts";
import { type BoardRow, boardOf, type Concern, concernsOf } from "../live/board.ts";
import { personOf } from "../live/build-filter.ts";
import { expectEnvironments, learnBuild, world } from "../live/connection.ts";
import { useLoad } from "../live/load.ts";
import { hrefOf } from "../live/location.ts";
import { useWhyNot } from "../live/me.ts";
import { useStore } from "../live/store.ts";
import { useTitle } from "../live/title.ts";
import { buildKey, environmentKey } from "../live/world.ts";
import { BuildActions } from "../parts/build-actions.tsx";
import { refOf, titleOf } from "../parts/build-row.tsx";
import { EnvironmentCard } from "../parts/environment-card.tsx";
import { Failure } from "../parts/failure.tsx";
import { Link } from "../parts/link.tsx";
import { lookOfBuild, State } from "../parts/state.tsx";
import { Ago, Took } from "../parts/time.tsx";
import { Why } from "../parts/why.tsx";

const CONCERNS: readonly (readonly [Concern, string])[] = [
  ["approval", "wait for approval"],
  ["paused", "paused or held"],
  ["failed", "failed"],
  ["running", "running"],
];

/** All repositories, each with its environments: how everything is, and what wants a person. */
export function BoardPage(): JSX.Element {
  const rows = boardOf(useStore(world));
  const [find, setFind] = useState("");
  const [only, setOnly] = useState<Concern | null>(null);
  const loading = useLoad(async () => {
    const learn = expectEnvironments();
    const { repositories } = await fetchRepositories();
    for (const { latest } of repositories) if (latest !== null) learnBuild(latest);
    learn(repositories.flatMap((one) => one.environments));
    await learnNamed();
  }, []);

  const concerns = new Map(rows.map((row) => [row.repository, concernsOf(row)]));
  const countOf = (concern: Concern): number => rows.filter((r) => concerns.get(r.repository)?.has(concern)).length;
  const shown = rows.filter(
    ({ repository }) =>
      repository.toLowerCase().includes(find.trim().toLowerCase()) &&
      (only === null || concerns.get(repository)?.has(only) === true),
  );
  useTitle("Board", toneOf(countOf));
  return (
    <>
      <div class="page-head">
        <h1>Board</h1>
        {rows.length > 0 && (
          <search class="filters" aria-label="Repositories">
            <input
              type="search"
              aria-label="Find a repository"
              placeholder="Find a repository"
              data-filter=""
              value={find}
              onInput={(event) => setFind(event.currentTarget.value)}
            />
            {CONCERNS.map(([concern, text]) => (
              <button
                type="button"
                class="chip"
                key={concern}
                aria-pressed={only === concern}
                onClick={() => setOnly(only === concern ? null : concern)}
              >
                <b>{countOf(concern)}</b> {text}
              </button>
            ))}
          </search>
        )}
      </div>
      {loading.state === "failed" && <Failure error={loading.error} />}
      {loading.state === "loading" && rows.length === 0 && <p>Loading…</p>}
      {loading.state === "there" && rows.length === 0 && <Nothing />}
      {rows.length > 0 && shown.length === 0 && <p>None of the {rows.length} repositories is like that.</p>}
      <ul class="board">
        {shown.map((row) => (
          <Repository row={row} key={row.repository} />
        ))}
      </ul>
    </>
  );
}

/** More of them keep their numbers alone: a coordinator answers only so often. */
const NAMED_AT_ONCE = 100;

/** What cards name beside the newest build of each repository. One that there is nothing left of keeps its number. */
async function learnNamed(): Promise<void> {
  const { builds, environments } = world.get();
  const named = [...environments.values()].flatMap(({ repository, live, inFlight, waiting }) =>
    [live, inFlight, ...waiting].flatMap((one) => (one === null ? [] : [{ repository, number: one.number }])),
  );
  const unknown = new Map(named.filter((id) => !builds.has(buildKey(id))).map((id) => [buildKey(id), id]));
  await Promise.all(
    [...unknown.values()].slice(0, NAMED_AT_ONCE).map((id) =>
      fetchBuild(id).then(learnBuild, (error: unknown) => {
        if (!(error instanceof ApiError) || error.status !== 404) throw error;
      }),
    ),
  );
}

/** Of the whole, for the icon in the tab. */
function toneOf(countOf: (concern: Concern) => number): string {
  if (countOf("failed") > 0) return "bad";
  if (countOf("approval") > 0) return "held";
  return countOf("running") > 0 ? "busy" : "good";
}

function Nothing(): JSX.Element {
  return (
    <p>
      Nothing has been built yet. The first push will show up here; <code>toroid trigger</code> makes a build without
      one.
    </p>
  );
}

function Repository({ row: { repository, builds, environments } }: { readonly row: BoardRow }): JSX.Element {
  const whyNot = useWhyNot("operate", repository);
  const [latest] = builds;
  return (
    <li class={environments.length === 0 ? "repository library" : "repository"} aria-label={repository}>
      <div class="summary">
        <h2>
          <Link class="name" to={hrefOf({ page: "builds", repository })}>
            {repository}
          </Link>
        </h2>
        {latest !== undefined && (
          <div class="latest">
            <p>
              <State look={lookOfBuild(latest)} />{" "}
              <Link
                to={hrefOf({ page: "build", id: { repository, number: latest.number }, stage: null })}
                label={`${repository}#${latest.number}`}
              >
                #{latest.number}
              </Link>{" "}
              <span class="title">{titleOf(latest)}</span>
            </p>
            <p class="from">
              <span class="ref">{refOf(latest)}</span> {personOf(latest.author)}, <Ago atMs={latest.createdAtMs} />,{" "}
              {latest.finishedAtMs === null ? "for" : "took"}{" "}
              <Took fromMs={latest.createdAtMs} toMs={latest.finishedAtMs} />
            </p>
            {latest.waiting !== "" && <Why text={latest.waiting} />}
            <BuildActions build={latest} whyNot={whyNot} />
          </div>
        )}
      </div>
      {environments.length > 0 && (
        <ol class="cards" aria-label={`Environments of ${repository}`}>
          {environments.map((e) => (
            <EnvironmentCard environment={e} builds={builds} whyNot={whyNot} key={environmentKey(e)} />
          ))}
        </ol>
      )}
    </li>
  );
}
