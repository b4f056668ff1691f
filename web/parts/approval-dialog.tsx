import type { JSX } from "preact";
import type { EnvironmentSummary, WaitingSummary } from "../../protocol/summary.ts";
import { fetchBuilds } from "../live/api.ts";
import { changesUpTo } from "../live/board.ts";
import { personOf } from "../live/build-filter.ts";
import { learnBuild, learnEnvironment, world } from "../live/connection.ts";
import { decide } from "../live/environments.ts";
import { useLoad } from "../live/load.ts";
import { useStore } from "../live/store.ts";
import { buildsOf } from "../live/world.ts";
import { titleOf } from "./build-row.tsx";
import { ReasonDialog } from "./reason-dialog.tsx";

interface Props {
  readonly decision: "approve" | "reject";
  readonly environment: EnvironmentSummary;
  readonly waiting: WaitingSummary;
  readonly close: () => void;
}

/** Asks whether a build may go, having shown what would change. */
export function ApprovalDialog({ decision, environment: e, waiting, close }: Props): JSX.Element {
  const approves = decision === "approve";
  const build = `${e.repository}#${waiting.number}`;
  return (
    <ReasonDialog
      title={`${approves ? "Approve" : "Reject"} ${build} for ${e.environment}?`}
      explains={
        approves
          ? `It goes to ${e.environment} as soon as its turn comes.`
          : `It does not go to ${e.environment}, and ends as rejected. What waits behind it goes on.`
      }
      action={approves ? "Approve" : "Reject"}
      required={!approves}
      submit={async (reason) => learnEnvironment(await decide(e, waiting, { decision, reason }))}
      close={close}
    >
      <Change environment={e} waiting={waiting} />
    </ReasonDialog>
  );
}

/** The commits between what is live and what waits, as far as pushes tell of them. */
function Change({ environment: e, waiting }: Pick<Props, "environment" | "waiting">): JSX.Element {
  const loading = useLoad(async () => {
    const { builds } = await fetchBuilds({ repository: e.repository }, String(waiting.number + 1));
    builds.forEach(learnBuild);
  }, [e.repository, waiting.number]);
  const builds = changesUpTo(buildsOf(useStore(world), e.repository), waiting.number, e.live?.number ?? null);
  const { from, to } = waiting.approval?.change ?? { from: null, to: null };
  return (
    <div class="change">
      <p>
        {from === null ? "Nothing is live there yet. It would become " : "What is live would change from "}
        {from !== null && (
          <>
            <code title={from}>{from.slice(0, 7)}</code> to{" "}
          </>
        )}
        {to !== null && <code title={to}>{to.slice(0, 7)}</code>}
        {builds.length > 0 ? ", by these pushes:" : "."}
      </p>
      {loading.state === "failed" && <p>What lies between could not be read: {loading.error.message}</p>}
      <ul>
        {builds.map((one) => (
          <li key={one.number}>
            <b>#{one.number}</b> {titleOf(one)} <span class="soft">{personOf(one.author)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
