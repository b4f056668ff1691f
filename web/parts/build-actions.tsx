import type { JSX } from "preact";
import type { BuildSummary } from "../../protocol/summary.ts";
import { cancelBuild } from "../live/api.ts";
import { failedStage } from "../live/board.ts";
import { learnBuild } from "../live/connection.ts";
import { retryBuild } from "../live/environments.ts";
import { buildKey } from "../live/world.ts";
import { Act } from "./act.tsx";
import { ReasonDialog } from "./reason-dialog.tsx";
import { stageLabel } from "./stage-choice.ts";

interface Props {
  readonly build: BuildSummary;
  readonly whyNot: string | null;
}

/** What may be done with a build as it is now: cancelled while it runs, tried again when it ended badly. */
export function BuildActions({ build, whyNot }: Props): JSX.Element | null {
  const { repository, number, status, archivedAtMs } = build;
  const name = buildKey(build);
  if (status !== "finished") {
    return (
      <Act
        label={`Cancel ${name}`}
        whyNot={whyNot}
        dialog={(close) => (
          <ReasonDialog
            title={`Cancel ${name}?`}
            explains="What waits is dropped, what runs is stopped."
            action="Cancel the build"
            required
            submit={async (reason) => learnBuild(await cancelBuild({ repository, number }, reason))}
            close={close}
          />
        )}
      >
        Cancel…
      </Act>
    );
  }
  const failed = failedStage(build);
  if (failed === null || archivedAtMs !== null) return null;
  const from = stageLabel({ name: failed.name, round: 1 });
  return (
    <Act
      label={`Retry ${name} from ${from}`}
      whyNot={whyNot}
      dialog={(close) => (
        <ReasonDialog
          title={`Retry ${name} from ${from}?`}
          explains={`${from} runs again, with the same commit, and then what comes after it. What passed is not run again.`}
          action="Retry"
          required={false}
          submit={async (reason) => learnBuild(await retryBuild({ repository, number }, reason))}
          close={close}
        />
      )}
    >
      Retry…
    </Act>
  );
}
