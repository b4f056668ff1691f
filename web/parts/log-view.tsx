import type { JSX } from "preact";
import type { StageSummary } from "../../protocol/summary.ts";
import type { BuildId } from "../live/api.ts";
import { useLog } from "../live/log-follow.ts";
import { LogBody } from "./log-body.tsx";
import { stageLabel } from "./stage-choice.ts";

interface Props {
  readonly id: BuildId;
  readonly stage: StageSummary;
}

/** The log of one attempt, as it grows. */
export function LogView({ id, stage }: Props): JSX.Element {
  const { buffer, state } = useLog(id, stage);
  return (
    <section class="log-section" aria-labelledby="log">
      <h2 id="log">Log of {stageLabel(stage)}</h2>
      {stage.attempt === 0 ? (
        <p class="soft">There is no log yet{stage.waiting === "" ? "." : `: ${stage.waiting}`}</p>
      ) : state === "ended" && buffer.sections.length === 0 ? (
        <p class="soft">Nothing was printed.</p>
      ) : (
        <LogBody id={id} stage={stage} buffer={buffer} state={state} />
      )}
    </section>
  );
}
