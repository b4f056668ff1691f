import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { BuildSummary } from "../../protocol/summary.ts";
import { type BuildId, cancelBuild, fetchBuild } from "../live/api.ts";
import { learnBuild, world } from "../live/connection.ts";
import { useLoad } from "../live/load.ts";
import { hrefOf } from "../live/location.ts";
import type { StageRef } from "../live/stage-ref.ts";
import { useStore } from "../live/store.ts";
import { useTitle } from "../live/title.ts";
import { buildKey } from "../live/world.ts";
import { refOf, titleOf } from "../parts/build-row.tsx";
import { Failure } from "../parts/failure.tsx";
import { Link } from "../parts/link.tsx";
import { LogView } from "../parts/log-view.tsx";
import { ProblemList } from "../parts/problem-list.tsx";
import { ReasonDialog } from "../parts/reason-dialog.tsx";
import { chosenStage } from "../parts/stage-choice.ts";
import { StageDetails } from "../parts/stage-details.tsx";
import { StagePicture } from "../parts/stage-picture.tsx";
import { lookOf, State } from "../parts/state.tsx";
import { Ago, Took } from "../parts/time.tsx";

interface Props {
  readonly id: BuildId;
  readonly chosen: StageRef | null;
}

/** One build: what it is of, its stages as a picture, and one of them with its log. */
export function BuildPage({ id, chosen }: Props): JSX.Element {
  const key = buildKey(id);
  const build = useStore(world).builds.get(key);
  const loading = useLoad(async () => learnBuild(await fetchBuild(id)), [key]);
  useTitle(
    build === undefined ? key : `${lookOf(build).word}: ${key}`,
    build === undefined ? "calm" : lookOf(build).tone,
  );

  if (build === undefined) {
    return (
      <>
        <h1>{key}</h1>
        {loading.state === "failed" ? <Failure error={loading.error} /> : <p>Loading…</p>}
      </>
    );
  }
  const stage = chosenStage(build, chosen);
  return (
    <>
      <Head build={build} />
      {loading.state === "failed" && <Failure error={loading.error} />}
      {build.problems.length > 0 && (
        <section aria-labelledby="problems">
          <h2 id="problems">What is wrong with the file</h2>
          <ProblemList problems={build.problems} />
        </section>
      )}
      {build.stages.length > 0 && (
        <section aria-labelledby="stages">
          <h2 id="stages">Stages</h2>
          <StagePicture build={build} chosen={stage} />
        </section>
      )}
      {build.template !== null && <Template text={build.template} />}
      {stage !== null && (
        <>
          <StageDetails stage={stage} />
          <LogView id={id} stage={stage} key={`${stage.name} ${stage.round} ${stage.attempt}`} />
        </>
      )}
    </>
  );
}

/** What a person who reads the log of an image has not written. */
function Template({ text }: { readonly text: string }): JSX.Element {
  return (
    <details class="template">
      <summary>
        The Packer template of its image, made of <code>.toroid.yml</code>
      </summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard */}
      <pre tabIndex={0}>{text}</pre>
    </details>
  );
}

/** What was baked, by region. */
function Amis({ build: { artifact } }: { readonly build: BuildSummary }): JSX.Element | null {
  if (artifact?.kind !== "ami") return null;
  return (
    <p class="from">
      AMI{" "}
      {Object.entries(artifact.amis).map(([region, id]) => (
        <span key={region}>
          <code>{id}</code> in {region}{" "}
        </span>
      ))}
    </p>
  );
}

function Head({ build }: { readonly build: BuildSummary }): JSX.Element {
  const [asking, setAsking] = useState(false);
  const { repository, number, commit, createdAtMs, finishedAtMs, archivedAtMs } = build;
  const name = buildKey(build);
  return (
    <header class="build-head">
      <h1>
        <Link to={hrefOf({ page: "builds", repository })}>{repository}</Link>#{number} <State look={lookOf(build)} />
      </h1>
      <p class="title">{titleOf(build)}</p>
      {build.message !== "" && <p class="message">{build.message}</p>}
      {build.waiting !== "" && <p class="message">Waits: {build.waiting}</p>}
      <p class="from">
        <span class="ref">{refOf(build)}</span> {commit !== null && <code title={commit}>{commit.slice(0, 12)}</code>}{" "}
        {build.author}, <Ago atMs={createdAtMs} />, {finishedAtMs === null ? "running for" : "took"}{" "}
        <Took fromMs={createdAtMs} toMs={finishedAtMs} />
      </p>
      <Amis build={build} />
      {archivedAtMs !== null && (
        <p class="message">
          Archived <Ago atMs={archivedAtMs} />: its plan and where its artifact is are known no more, so it cannot be
          retried, promoted or gone back to.
        </p>
      )}
      {build.status !== "finished" && (
        <button type="button" onClick={() => setAsking(true)} aria-haspopup="dialog">
          Cancel this build…
        </button>
      )}
      {asking && (
        <ReasonDialog
          title={`Cancel ${name}?`}
          explains="What waits is dropped, what runs is stopped."
          action="Cancel the build"
          required
          submit={async (reason) => learnBuild(await cancelBuild({ repository, number }, reason))}
          close={() => setAsking(false)}
        />
      )}
    </header>
  );
}
