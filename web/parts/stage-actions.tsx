import type { JSX } from "preact";
import type { BuildSummary, EnvironmentSummary, StageSummary, WaitingSummary } from "../../protocol/summary.ts";
import { learnBuild } from "../live/connection.ts";
import { promote, retryStage, rollBack } from "../live/environments.ts";
import { buildKey } from "../live/world.ts";
import { Act } from "./act.tsx";
import { ApprovalDialog } from "./approval-dialog.tsx";
import { canRetry, choicesOf } from "./build-choices.ts";
import { ReasonDialog } from "./reason-dialog.tsx";
import { stageLabel } from "./stage-choice.ts";

interface Props {
  readonly build: BuildSummary;
  readonly stage: StageSummary;
  /** That of the stage; null: it has none, or it is not known. */
  readonly environment: EnvironmentSummary | null;
  readonly whyNot: string | null;
}

/** What may be done with one stage of a build, and with the environment that it is for. */
export function StageActions({ build, stage, environment, whyNot }: Props): JSX.Element {
  const name = buildKey(build);
  const label = stageLabel({ name: stage.name, round: 1 });
  return (
    <>
      {canRetry(build, stage) && (
        <Act
          label={`Retry ${label} of ${name}`}
          whyNot={whyNot}
          dialog={(close) => (
            <ReasonDialog
              title={`Retry ${label} of ${name}?`}
              explains={`${label} runs again with the same commit, and then what was left out because of it. Nothing else of the build does.`}
              action="Retry"
              required={false}
              submit={async (reason) => learnBuild(await retryStage(build, stage.name, reason))}
              close={close}
            />
          )}
        >
          Retry this stage…
        </Act>
      )}
      {environment !== null && <Deploy build={build} environment={environment} whyNot={whyNot} />}
    </>
  );
}

function Deploy({
  build,
  environment: e,
  whyNot,
}: Pick<Props, "build" | "whyNot"> & { readonly environment: EnvironmentSummary }): JSX.Element {
  const { canPromote, canRollBack } = choicesOf(build, e);
  const name = buildKey(build);
  const now = e.live === null ? "Nothing is live there yet." : `Now #${e.live.number} is live there.`;
  return (
    <>
      {canPromote && (
        <Act
          label={`Promote ${name} to ${e.environment}`}
          whyNot={whyNot}
          dialog={(close) => (
            <ReasonDialog
              title={`Promote ${name} to ${e.environment}?`}
              explains={`What it made goes to ${e.environment} as it is, after what waits there already. Nothing is built again. ${now}`}
              action="Promote"
              required={false}
              submit={(reason) => promote(e, build.number, reason)}
              close={close}
            />
          )}
        >
          Promote to {e.environment}…
        </Act>
      )}
      {canRollBack && (
        <Act
          label={`Roll back ${e.environment} to ${name}`}
          whyNot={whyNot}
          dialog={(close) => (
            <ReasonDialog
              title={`Roll back ${e.environment} to ${name}?`}
              explains={`It goes there before everything that waits. Then ${e.environment} is held: nothing else goes there until somebody releases it. ${now}`}
              action="Roll back"
              required
              submit={(reason) => rollBack(e, build.number, reason)}
              close={close}
            />
          )}
        >
          Roll back to this…
        </Act>
      )}
    </>
  );
}

interface ApprovalProps {
  readonly build: BuildSummary;
  readonly environment: EnvironmentSummary;
  readonly waiting: WaitingSummary;
  readonly whyNot: string | null;
}

/** It waits for a person, who may be the one who looks. */
export function ApprovalWanted({ build, environment: e, waiting, whyNot }: ApprovalProps): JSX.Element {
  const target = `${buildKey(build)} for ${e.environment}`;
  return (
    <div class="decide">
      <Act
        label={`Approve ${target}`}
        whyNot={whyNot}
        primary
        dialog={(close) => <ApprovalDialog decision="approve" environment={e} waiting={waiting} close={close} />}
      >
        Approve…
      </Act>
      <Act
        label={`Reject ${target}`}
        whyNot={whyNot}
        dialog={(close) => <ApprovalDialog decision="reject" environment={e} waiting={waiting} close={close} />}
      >
        Reject…
      </Act>
    </div>
  );
}
