import type { ComponentChildren, JSX } from "preact";
import type { StageSummary } from "../../protocol/summary.ts";
import type { BuildId } from "../live/api.ts";
import { Attempts } from "./attempts.tsx";
import { ConfigView } from "./config-view.tsx";
import { Disclosure } from "./disclosure.tsx";
import { stageLabel } from "./stage-choice.ts";
import { lookOf, State } from "./state.tsx";
import { Ago, Took } from "./time.tsx";
import { weaknessText } from "./weakness.ts";
import { Why } from "./why.tsx";

interface Props {
  readonly id: BuildId;
  readonly stage: StageSummary;
  /** What can be done with it. */
  readonly children?: ComponentChildren;
}

/** One stage: how it is and why, when what happened, what it left, and what it was run with. */
export function StageDetails({ id, stage, children }: Props): JSX.Element {
  const outputs = Object.entries(stage.outputs);
  const key = `${stage.name} ${stage.round}`;
  return (
    <section class="stage panel" aria-labelledby="stage">
      <header class="panel-head">
        <h2 id="stage">
          {stageLabel(stage)} <State look={lookOf(stage)} />
        </h2>
        <div class="actions">{children}</div>
      </header>
      {stage.waiting !== "" && <Why text={stage.waiting} />}
      {stage.message !== "" && <p class="message">{stage.message}</p>}
      <Facts stage={stage} />
      {outputs.length > 0 && (
        <div>
          <h3>Outputs</h3>
          <dl class="outputs">
            {outputs.map(([name, value]) => (
              <Fact name={name} key={name}>
                <code>{value}</code>
              </Fact>
            ))}
          </dl>
        </div>
      )}
      <div class="disclosures">
        {stage.attempt > 0 && (
          <Disclosure
            title={stage.attempt === 1 ? "Attempts" : `Attempts (${stage.attempt})`}
            opens={stage.attempt > 1}
            content={() => <Attempts id={id} stage={stage} />}
            key={`attempts ${key}`}
          />
        )}
        {stage.name !== "_plan" && (
          <Disclosure
            title="Configuration as run"
            content={() => <ConfigView id={id} stage={stage} />}
            key={`config ${key}`}
          />
        )}
        {stage.weak.length > 0 && (
          <Disclosure title="Weaker than it could be" content={() => <Weak names={stage.weak} />} key={`weak ${key}`} />
        )}
      </div>
    </section>
  );
}

function Facts({ stage }: { readonly stage: StageSummary }): JSX.Element {
  const { queuedAtMs, claimedAtMs, startedAtMs, finishedAtMs } = stage;
  return (
    <dl class="facts">
      {queuedAtMs !== null && (
        <Fact name="Queued">
          <Ago atMs={queuedAtMs} />
          {claimedAtMs !== null && (
            <>
              , waited <Took fromMs={queuedAtMs} toMs={claimedAtMs} />
            </>
          )}
        </Fact>
      )}
      {startedAtMs !== null && (
        <Fact name={finishedAtMs === null ? "Running for" : "Took"}>
          <Took fromMs={startedAtMs} toMs={finishedAtMs} />
        </Fact>
      )}
      {stage.executor !== null && <Fact name="Executor">{stage.executor}</Fact>}
      {stage.image !== null && (
        <Fact name="Image">
          <code>{stage.image}</code>
        </Fact>
      )}
      {stage.exitCode !== null && (
        <Fact name="Exit code">
          {stage.exitCode}
          {stage.phase !== null && ` in ${stage.phase}`}
        </Fact>
      )}
    </dl>
  );
}

/** Who trusts what the stage made should know what it was not kept from. */
function Weak({ names }: { readonly names: readonly string[] }): JSX.Element {
  return (
    <dl class="weak">
      {names.map((name) => (
        <Fact name={name} key={name}>
          {weaknessText(name)}
        </Fact>
      ))}
    </dl>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
