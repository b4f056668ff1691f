import type { JSX } from "preact";
import type { BuildSummary } from "../../protocol/summary.ts";
import { hrefOf } from "../live/location.ts";
import { Link } from "./link.tsx";
import { lookOf, State } from "./state.tsx";
import { Ago, Took } from "./time.tsx";

/** One build in a list. */
export function BuildRow({ build }: { readonly build: BuildSummary }): JSX.Element {
  const { repository, number, commit, createdAtMs, finishedAtMs } = build;
  return (
    <li class="build">
      <State look={lookOf(build)} />
      <div class="what">
        <Link class="name" to={hrefOf({ page: "build", id: { repository, number }, stage: null })}>
          {repository}#{number}
        </Link>{" "}
        <span class="title">{titleOf(build)}</span>
      </div>
      <p class="from">
        <span class="ref">{refOf(build)}</span> {commit !== null && <code>{commit.slice(0, 7)}</code>} {build.author}
      </p>
      <p class="when">
        <Ago atMs={createdAtMs} />, <Took fromMs={createdAtMs} toMs={finishedAtMs} />
      </p>
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
