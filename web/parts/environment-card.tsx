import type { JSX } from "preact";
import type { BuildSummary, EnvironmentSummary, WaitingSummary } from "../../protocol/summary.ts";
import { failureIn, type StageOfBuild, wordOf } from "../live/board.ts";
import { personOf } from "../live/build-filter.ts";
import { learnEnvironment } from "../live/connection.ts";
import { releaseEnvironment } from "../live/environments.ts";
import { hrefOf } from "../live/location.ts";
import { Act } from "./act.tsx";
import { ApprovalDialog } from "./approval-dialog.tsx";
import { BuildActions } from "./build-actions.tsx";
import { titleOf } from "./build-row.tsx";
import { PromoteDialog, RollbackDialog } from "./deploy-dialogs.tsx";
import { Link } from "./link.tsx";
import { PauseButton } from "./pause-button.tsx";
import { ReasonDialog } from "./reason-dialog.tsx";
import { lookOfWord, State } from "./state.tsx";
import { Ago, At, Took } from "./time.tsx";
import { Why } from "./why.tsx";

interface Props {
  readonly environment: EnvironmentSummary;
  /** Those of the repository that are known, newest first. */
  readonly builds: readonly BuildSummary[];
  /** Why this person may change nothing here; null: they may. */
  readonly whyNot: string | null;
}

/** What is live in an environment, what runs and waits there and why, who holds it, and all that can be done about it. */
export function EnvironmentCard({ environment: e, builds, whyNot }: Props): JSX.Element {
  const failure = failureIn(e, builds);
  const name = `${e.repository} ${e.environment}`;
  const word = wordOf(e, failure);
  return (
    <li class={`card card-${word}`}>
      <header>
        <h3 aria-label={name}>{e.environment}</h3>
        <State look={lookOfWord(word)} />
      </header>
      <LiveNow e={e} builds={builds} />
      {e.inFlight !== null && <InFlight e={e} builds={builds} />}
      {failure !== null && <Failed failure={failure} whyNot={whyNot} />}
      {e.paused !== null && <Paused e={e} />}
      {e.held !== null && (
        <div class="note note-held">
          <p>
            Held by <b>{e.held.by}</b> <Ago atMs={e.held.atMs} />, since the rollback to{" "}
            <BuildLink e={e} number={e.held.number} />: <q>{e.held.why}</q>
          </p>
          <Release e={e} name={name} whyNot={whyNot} />
        </div>
      )}
      {e.waiting.length > 0 && (
        <ul class="waiting" aria-label={`Waiting for ${name}`}>
          {e.waiting.map((one) => (
            <Waiting e={e} one={one} builds={builds} whyNot={whyNot} key={`${one.number} ${one.stage} ${one.round}`} />
          ))}
        </ul>
      )}
      <footer>
        <PauseButton environment={e} whyNot={whyNot} />
        <Act
          label={`Promote a build to ${name}`}
          whyNot={whyNot}
          dialog={(close) => <PromoteDialog environment={e} close={close} />}
        >
          Promote…
        </Act>
        <Act
          label={`Roll back ${name}`}
          whyNot={whyNot ?? (e.before.length === 0 ? "nothing else was live here before" : null)}
          dialog={(close) => <RollbackDialog environment={e} close={close} />}
        >
          Roll back…
        </Act>
      </footer>
    </li>
  );
}

interface Of {
  readonly e: EnvironmentSummary;
  readonly builds: readonly BuildSummary[];
}

function LiveNow({ e, builds }: Of): JSX.Element {
  if (e.live === null) return <p class="live soft">Nothing is live yet.</p>;
  const { number, commit, atMs, artifact, by } = e.live;
  const build = builds.find((one) => one.number === number);
  const author = by ?? build?.author ?? "";
  return (
    <div class="live">
      <p>
        <span class="soft">Live: </span>
        <BuildLink e={e} number={number} /> <code title={commit}>{commit.slice(0, 7)}</code>
        {build !== undefined && <span class="title"> {titleOf(build)}</span>}
      </p>
      {artifact?.kind === "ami" && (
        <p>
          {Object.entries(artifact.amis).map(([region, id]) => (
            <span class="ami" key={region}>
              <code>{id}</code> <span class="soft">{region}</span>
            </span>
          ))}
        </p>
      )}
      <p class="soft">
        <Ago atMs={atMs} />
        {author !== "" && ` by ${personOf(author)}`}
      </p>
    </div>
  );
}

function InFlight({ e, builds }: Of): JSX.Element | null {
  if (e.inFlight === null) return null;
  const { number, stage, round } = e.inFlight;
  const running = builds
    .find((one) => one.number === number)
    ?.stages.find((one) => one.name === stage && one.round === round);
  return (
    <p class="note note-running">
      Running: <BuildLink e={e} number={number} stage={e.inFlight} />
      {running?.startedAtMs !== undefined && running.startedAtMs !== null && (
        <>
          {" "}
          for <Took fromMs={running.startedAtMs} toMs={running.finishedAtMs} />
        </>
      )}
      {running !== undefined && running.waiting !== "" && <span class="why">{running.waiting}</span>}
    </p>
  );
}

function Failed({ failure: { build, stage }, whyNot }: { failure: StageOfBuild; whyNot: string | null }): JSX.Element {
  const to = hrefOf({
    page: "build",
    id: { repository: build.repository, number: build.number },
    stage: { name: stage.name, round: stage.round },
  });
  return (
    <div class="note note-failed">
      <p>
        <Link to={to} label={`${build.repository}#${build.number} ${stage.name}`}>
          #{build.number}
        </Link>{" "}
        {lookOfWord(stage.outcome ?? "").word} here {stage.finishedAtMs !== null && <Ago atMs={stage.finishedAtMs} />}
        {stage.message !== "" && <>: {stage.message}</>}
      </p>
      <BuildActions build={build} whyNot={whyNot} />
    </div>
  );
}

function Paused({ e: { paused } }: Pick<Of, "e">): JSX.Element | null {
  if (paused === null) return null;
  const { by, why, atMs, untilMs, of } = paused;
  return (
    <p class="note note-held paused">
      Paused by <b>{by}</b> <Ago atMs={atMs} />,{" "}
      {untilMs === null ? (
        "until somebody resumes it"
      ) : (
        <>
          until <At atMs={untilMs} />
        </>
      )}
      {of !== null && ` (with ${of.repository} ${of.environment})`}: <q>{why}</q>
    </p>
  );
}

function Release({ e, name, whyNot }: Pick<Of, "e"> & { name: string; whyNot: string | null }): JSX.Element {
  return (
    <Act
      label={`Release ${name}`}
      whyNot={whyNot}
      primary
      dialog={(close) => (
        <ReasonDialog
          title={`Release ${name}?`}
          explains="What waits there goes on, in its order: what was rolled back from may be live again soon."
          action="Release"
          required={false}
          submit={async (reason) => learnEnvironment(await releaseEnvironment(e, reason))}
          close={close}
        />
      )}
    >
      Release…
    </Act>
  );
}

function Waiting({ e, one, builds, whyNot }: Of & { one: WaitingSummary; whyNot: string | null }): JSX.Element {
  const build = builds.find(({ number }) => number === one.number);
  const target = `${e.repository}#${one.number} for ${e.environment}`;
  return (
    <li>
      <p>
        Waiting: <BuildLink e={e} number={one.number} stage={one} />
        {build !== undefined && <span class="title"> {titleOf(build)}</span>}
        {one.approvedBy !== null && <span class="soft"> (approved by {one.approvedBy})</span>}
      </p>
      {one.why !== "" && <Why text={one.why} />}
      {one.approval !== null && (
        <div class="decide">
          <Act
            label={`Approve ${target}`}
            whyNot={whyNot}
            primary
            dialog={(close) => <ApprovalDialog decision="approve" environment={e} waiting={one} close={close} />}
          >
            Approve…
          </Act>
          <Act
            label={`Reject ${target}`}
            whyNot={whyNot}
            dialog={(close) => <ApprovalDialog decision="reject" environment={e} waiting={one} close={close} />}
          >
            Reject…
          </Act>
        </div>
      )}
    </li>
  );
}

interface BuildLinkProps {
  readonly e: EnvironmentSummary;
  readonly number: number;
  readonly stage?: { readonly stage: string; readonly round: number };
}

function BuildLink({ e, number, stage }: BuildLinkProps): JSX.Element {
  const chosen = stage === undefined ? null : { name: stage.stage, round: stage.round };
  const to = hrefOf({ page: "build", id: { repository: e.repository, number }, stage: chosen });
  return (
    <Link to={to} label={`${e.repository}#${number}`}>
      #{number}
    </Link>
  );
}
