import type { JSX } from "preact";
import { type BuildId, fetchBuild, fetchRepositories } from "../live/api.ts";
import { expectEnvironments, learnBuild, world } from "../live/connection.ts";
import { useLoad } from "../live/load.ts";
import { useWhyNot } from "../live/me.ts";
import type { StageRef } from "../live/stage-ref.ts";
import { useStore } from "../live/store.ts";
import { useTitle } from "../live/title.ts";
import { buildKey, environmentsOf } from "../live/world.ts";
import { BuildHead } from "../parts/build-head.tsx";
import { BuildPicture } from "../parts/build-picture.tsx";
import { Failure } from "../parts/failure.tsx";
import { LogView } from "../parts/log-view.tsx";
import { ProblemList } from "../parts/problem-list.tsx";
import { StageActions } from "../parts/stage-actions.tsx";
import { chosenStage } from "../parts/stage-choice.ts";
import { StageDetails } from "../parts/stage-details.tsx";
import { lookOf } from "../parts/state.tsx";
import { WaterfallView } from "../parts/waterfall-view.tsx";

interface Props {
  readonly id: BuildId;
  readonly chosen: StageRef | null;
}

/** One build: what it is of, its way to the environments as a picture, where time went, and one stage with its log. */
export function BuildPage({ id, chosen }: Props): JSX.Element {
  const key = buildKey(id);
  const known = useStore(world);
  const build = known.builds.get(key);
  const environments = environmentsOf(known, id.repository);
  // Why it waits is told by what is around it, too.
  const reasons = build?.status === "finished" ? "" : JSON.stringify(environments);
  const loading = useLoad(async () => learnBuild(await fetchBuild(id)), [key, reasons]);
  const goesOn = build?.stages.some(({ environment }) => environment !== null) === true;
  const around = useLoad(async () => {
    if (!goesOn) return;
    const learn = expectEnvironments();
    const { repositories } = await fetchRepositories();
    learn(repositories.filter((one) => one.repository === id.repository).flatMap((one) => one.environments));
  }, [id.repository, goesOn]);
  const whyNot = useWhyNot("operate", id.repository);
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
  const place = environments.find(({ environment }) => environment === stage?.environment) ?? null;
  return (
    <>
      <BuildHead build={build} environments={environments} whyNot={whyNot} />
      {loading.state === "failed" && <Failure error={loading.error} />}
      {around.state === "failed" && <Failure error={around.error} />}
      {build.problems.length > 0 && (
        <section aria-labelledby="problems">
          <h2 id="problems">What is wrong with the file</h2>
          <ProblemList problems={build.problems} />
        </section>
      )}
      <BuildPicture build={build} chosen={stage} environments={environments} />
      <WaterfallView build={build} chosen={stage} />
      {build.template !== null && <Template text={build.template} />}
      {stage !== null && (
        <>
          <StageDetails id={id} stage={stage}>
            <StageActions build={build} stage={stage} environment={place} whyNot={whyNot} />
          </StageDetails>
          <LogView id={id} stage={stage} key={`${stage.name} ${stage.round} ${stage.attempt}`} />
        </>
      )}
    </>
  );
}

/** What a person who reads the log of an image has not written. */
function Template({ text }: { readonly text: string }): JSX.Element {
  return (
    <details class="disclosure template">
      <summary>
        The Packer template of its image, made of <code>.toroid.yml</code>
      </summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard */}
      <pre tabIndex={0}>{text}</pre>
    </details>
  );
}
