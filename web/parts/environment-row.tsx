import type { JSX } from "preact";
import type { EnvironmentSummary } from "../../protocol/summary.ts";
import { hrefOf } from "../live/location.ts";
import { Link } from "./link.tsx";
import { PauseButton } from "./pause-button.tsx";
import { lookOfWord, State } from "./state.tsx";
import { Ago, At } from "./time.tsx";

/** What is live in an environment, what runs and waits there, and who holds it and why. */
export function EnvironmentRow({ environment: e }: { readonly environment: EnvironmentSummary }): JSX.Element {
  const word = e.paused !== null ? "paused" : e.held !== null ? "held" : e.inFlight === null ? "open" : "running";
  return (
    <li class="environment">
      <h3>
        <span class="repository">{e.repository}</span> {e.environment}
      </h3>
      <State look={lookOfWord(word)} />
      <div class="facts">
        <p>
          {e.live === null ? (
            "Nothing is live yet."
          ) : (
            <>
              Live: <BuildLink e={e} number={e.live.number} /> <code>{e.live.commit.slice(0, 7)}</code>,{" "}
              <Ago atMs={e.live.atMs} />
            </>
          )}
        </p>
        {e.inFlight !== null && (
          <p>
            Running: <BuildLink e={e} number={e.inFlight.number} stage={e.inFlight} />
          </p>
        )}
        {e.waiting.length > 0 && (
          <p>
            Waiting:{" "}
            {e.waiting.map((w) => (
              <span key={`${w.number} ${w.stage} ${w.round}`}>
                <BuildLink e={e} number={w.number} stage={w} />
                {w.approval !== null && " (for approval)"}{" "}
              </span>
            ))}
          </p>
        )}
        {e.why !== "" && e.paused === null && e.held === null && <p>{e.why}</p>}
        {e.held !== null && (
          <p class="paused">
            Held by <b>{e.held.by}</b> <Ago atMs={e.held.atMs} />, since the rollback to{" "}
            <BuildLink e={e} number={e.held.number} />: <q>{e.held.why}</q>
          </p>
        )}
        {e.paused !== null && (
          <p class="paused">
            Paused by <b>{e.paused.by}</b> <Ago atMs={e.paused.atMs} />,{" "}
            {e.paused.untilMs === null ? (
              "until somebody resumes it"
            ) : (
              <>
                until <At atMs={e.paused.untilMs} />
              </>
            )}
            {e.paused.of !== null && ` (with ${e.paused.of.repository} ${e.paused.of.environment})`}:{" "}
            <q>{e.paused.why}</q>
          </p>
        )}
      </div>
      <PauseButton environment={e} />
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
