import type { JSX } from "preact";
import type { BuildSummary } from "../../protocol/summary.ts";
import { personOf } from "../live/build-filter.ts";
import { hrefOf } from "../live/location.ts";
import { useWhyNot } from "../live/me.ts";
import { BuildActions } from "./build-actions.tsx";
import { Link } from "./link.tsx";
import { lookOfBuild, State } from "./state.tsx";
import { Ago, Took } from "./time.tsx";
import { Why } from "./why.tsx";

/** One build in a list: what it is of, how it is, why it waits, and what may be done with it. */
export function BuildRow({ build }: { readonly build: BuildSummary }): JSX.Element {
  const { repository, number, commit, createdAtMs, finishedAtMs } = build;
  const whyNot = useWhyNot("operate", repository);
  return (
    <li class="build">
      <State look={lookOfBuild(build)} />
      <div class="what">
        <p>
          <Link class="name" to={hrefOf({ page: "build", id: { repository, number }, stage: null })}>
            {repository}#{number}
          </Link>{" "}
          <span class="title">{titleOf(build)}</span>
        </p>
        <p class="from">
          <span class="ref">{refOf(build)}</span> {commit !== null && <code>{commit.slice(0, 7)}</code>}{" "}
          {personOf(build.author)}
        </p>
        {build.waiting !== "" && <Why text={build.waiting} />}
      </div>
      <p class="when">
        <Ago atMs={createdAtMs} />, {finishedAtMs === null ? "for" : "took"}{" "}
        <Took fromMs={createdAtMs} toMs={finishedAtMs} />
      </p>
      <div class="acts">
        <BuildActions build={build} whyNot={whyNot} />
      </div>
    </li>
  );
}

/** First line of the commit message; without one, who asked. */
export function titleOf(build: BuildSummary): string {
  return build.commitMessage.split("\n")[0] || `by ${build.by}`;
}

export function refOf({ branch, tag, ref }: BuildSummary): string {
  return branch ?? tag ?? ref;
}
