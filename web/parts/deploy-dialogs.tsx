import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { BuildSummary, EnvironmentSummary } from "../../protocol/summary.ts";
import { fetchBuilds } from "../live/api.ts";
import { learnBuild, world } from "../live/connection.ts";
import { promote, rollBack } from "../live/environments.ts";
import { type Loading, useLoad } from "../live/load.ts";
import { useStore } from "../live/store.ts";
import { buildKey, buildsOf } from "../live/world.ts";
import { refOf, titleOf } from "./build-row.tsx";
import { ago } from "./duration.ts";
import { ReasonDialog } from "./reason-dialog.tsx";

interface Props {
  readonly environment: EnvironmentSummary;
  readonly close: () => void;
}

const NEWEST = 50;

/** Numbers of the newest builds of a repository, which are known then. */
function useBuilds(repository: string): Loading & { readonly numbers: readonly number[] } {
  const [numbers, setNumbers] = useState<readonly number[]>([]);
  const loading = useLoad(async () => {
    const { builds } = await fetchBuilds({ repository }, null, NEWEST);
    builds.forEach(learnBuild);
    setNumbers(builds.map(({ number }) => number));
  }, [repository]);
  return { ...loading, numbers };
}

/** Any build's artifact, as it is, to this environment. */
export function PromoteDialog({ environment: e, close }: Props): JSX.Element {
  const { numbers, ...loading } = useBuilds(e.repository);
  const builds = buildsOf(useStore(world), e.repository).filter((one) => numbers.includes(one.number) && isWhole(one));
  const likely = builds.find(({ number }) => number !== e.live?.number);
  return (
    <ReasonDialog
      title={`Promote a build to ${e.repository} ${e.environment}?`}
      explains={`What the build made goes to ${e.environment} as it is, after what waits there already. Nothing is built again.`}
      action="Promote"
      required={false}
      submit={(reason, form) => promote(e, Number(form.get("build")), reason)}
      close={close}
    >
      {loading.state === "failed" && <p>The builds could not be read: {loading.error.message}</p>}
      {loading.state === "there" && builds.length === 0 && <p>No build of it has passed its own stages yet.</p>}
      <label>
        Build
        <select name="build" required key={likely?.number}>
          {builds.map((one) => (
            <option value={one.number} key={one.number} selected={one === likely}>
              {textOf(one, e)}
            </option>
          ))}
        </select>
      </label>
    </ReasonDialog>
  );
}

/** Its own stages passed, so there is something to take elsewhere. */
function isWhole({ stages, archivedAtMs }: BuildSummary): boolean {
  const own = stages.filter(({ environment }) => environment === null);
  return archivedAtMs === null && own.length > 1 && own.every(({ outcome }) => outcome === "passed");
}

function textOf(build: BuildSummary, { live }: EnvironmentSummary): string {
  const text = `#${build.number} ${titleOf(build)} (${refOf(build)}, ${ago(Date.now() - build.createdAtMs)})`;
  return live?.number === build.number ? `${text}, live now` : text;
}

/** To what was live before; the lane is held for everything else until somebody releases it. */
export function RollbackDialog({ environment: e, close }: Props): JSX.Element {
  const { numbers: _, ...loading } = useBuilds(e.repository);
  const known = useStore(world).builds;
  const titled = (number: number): string => {
    const build = known.get(buildKey({ repository: e.repository, number }));
    return build === undefined ? "" : ` ${titleOf(build)}`;
  };
  return (
    <ReasonDialog
      title={`Roll back ${e.repository} ${e.environment}?`}
      explains={`The chosen build goes there before everything that waits. Then ${e.environment} is held: nothing else goes there until somebody releases it.`}
      action="Roll back"
      required
      submit={(reason, form) => rollBack(e, Number(form.get("build")), reason)}
      close={close}
    >
      {loading.state === "failed" && <p>What the builds are of could not be read: {loading.error.message}</p>}
      <label>
        To
        <select name="build" required>
          {e.before.map(({ number, commit, atMs }) => (
            <option value={number} key={number}>
              #{number}
              {titled(number)} ({commit.slice(0, 7)}, live {ago(Date.now() - atMs)})
            </option>
          ))}
        </select>
      </label>
    </ReasonDialog>
  );
}
