import type { JSX } from "preact";
import type { BuildSummary, EnvironmentSummary } from "../../protocol/summary.ts";
import { personOf } from "../live/build-filter.ts";
import { hrefOf } from "../live/location.ts";
import { BuildActions } from "./build-actions.tsx";
import { choicesOf } from "./build-choices.ts";
import { refOf, titleOf } from "./build-row.tsx";
import { Link } from "./link.tsx";
import { ApprovalWanted } from "./stage-actions.tsx";
import { lookOf, State } from "./state.tsx";
import { Ago, Took } from "./time.tsx";
import { Why } from "./why.tsx";

interface Props {
  readonly build: BuildSummary;
  /** Of its repository, as far as they are known. */
  readonly environments: readonly EnvironmentSummary[];
  readonly whyNot: string | null;
}

/** What a build is of, how it is, why it waits, and what may be done with it as a whole. */
export function BuildHead({ build, environments, whyNot }: Props): JSX.Element {
  const { repository, number, createdAtMs, finishedAtMs, archivedAtMs } = build;
  const rest = build.commitMessage.split("\n").slice(1).join("\n").trim();
  return (
    <header class="build-head">
      <div class="build-name">
        <h1>
          <Link to={hrefOf({ page: "builds", repository })}>{repository}</Link>#{number} <State look={lookOf(build)} />
        </h1>
        <div class="actions">
          <BuildActions build={build} whyNot={whyNot} />
        </div>
      </div>
      <p class="title">{titleOf(build)}</p>
      {rest !== "" && <p class="rest">{rest}</p>}
      <p class="from">
        <span class="ref">{refOf(build)}</span> <Commit build={build} />
        <span title={build.author}>{personOf(build.author)}</span>
        <Ago atMs={createdAtMs} />
        <span>
          {finishedAtMs === null ? "running for" : "took"} <Took fromMs={createdAtMs} toMs={finishedAtMs} />
        </span>
      </p>
      {build.message !== "" && <p class="message">{build.message}</p>}
      {build.waiting !== "" && (
        <div class="waits">
          <Why text={`Waits: ${build.waiting}`} />
        </div>
      )}
      {environments.map((e) => {
        const { approval } = choicesOf(build, e);
        if (approval === null) return null;
        return <ApprovalWanted build={build} environment={e} waiting={approval} whyNot={whyNot} key={e.environment} />;
      })}
      <Amis build={build} />
      {archivedAtMs !== null && (
        <p class="message">
          Archived <Ago atMs={archivedAtMs} />: its plan and where its artifact is are known no more, so it cannot be
          retried, promoted or gone back to.
        </p>
      )}
    </header>
  );
}

/** Away from here: a forge need not know where its reader came from. */
const AWAY = "noreferrer noopener";

function Commit({ build: { commit, commitUrl, compareUrl } }: { readonly build: BuildSummary }): JSX.Element | null {
  if (commit === null) return null;
  const name = <code title={commit}>{commit.slice(0, 12)}</code>;
  return (
    <>
      {commitUrl === null ? (
        name
      ) : (
        <a href={commitUrl} rel={AWAY}>
          {name}
        </a>
      )}
      {compareUrl !== null && (
        <a href={compareUrl} rel={AWAY}>
          changes
        </a>
      )}
    </>
  );
}

/** What was baked, by region. */
function Amis({ build: { artifact } }: { readonly build: BuildSummary }): JSX.Element | null {
  if (artifact?.kind !== "ami") return null;
  return (
    <dl class="amis" aria-label="AMIs">
      {Object.entries(artifact.amis).map(([region, id]) => (
        <div key={region}>
          <dt>{region}</dt>
          <dd>
            <code>{id}</code>
          </dd>
        </div>
      ))}
    </dl>
  );
}
