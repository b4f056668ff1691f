import type { ComponentChildren, JSX } from "preact";
import type { StageSummary } from "../../protocol/summary.ts";
import { took } from "./duration.ts";
import { stageLabel } from "./stage-choice.ts";
import { lookOf, State } from "./state.tsx";
import { Ago, Took } from "./time.tsx";
import { weaknessText } from "./weakness.ts";

/** One stage: how it is and why, when what happened, and what it left. */
export function StageDetails({ stage }: { readonly stage: StageSummary }): JSX.Element {
  const { queuedAtMs, claimedAtMs, startedAtMs, finishedAtMs } = stage;
  const outputs = Object.entries(stage.outputs);
  return (
    <section class="stage" aria-labelledby="stage">
      <h2 id="stage">
        {stageLabel(stage)} <State look={lookOf(stage)} />
      </h2>
      {stage.waiting !== "" && <p>{stage.waiting}</p>}
      {stage.message !== "" && <p class="message">{stage.message}</p>}
      <dl>
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
        {stage.attempt > 1 && <Fact name="Attempt">{stage.attempt}</Fact>}
        {stage.exitCode !== null && (
          <Fact name="Exit code">
            {stage.exitCode}
            {stage.phase !== null && ` in ${stage.phase}`}
          </Fact>
        )}
      </dl>
      <Weak names={stage.weak} />
      <Steps steps={stage.stepsMs} />
      {outputs.length > 0 && (
        <>
          <h3>Outputs</h3>
          <dl class="outputs">
            {outputs.map(([key, value]) => (
              <Fact name={key} key={key}>
                <code>{value}</code>
              </Fact>
            ))}
          </dl>
        </>
      )}
    </section>
  );
}

/** Who trusts what the stage made should know what it was not kept from. */
function Weak({ names }: { readonly names: readonly string[] }): JSX.Element | null {
  if (names.length === 0) return null;
  return (
    <>
      <h3>Weaker than it could be</h3>
      <dl class="weak">
        {names.map((name) => (
          <Fact name={name} key={name}>
            {weaknessText(name)}
          </Fact>
        ))}
      </dl>
    </>
  );
}

/** Where the time went, each step after the other. */
function Steps({ steps }: { readonly steps: StageSummary["stepsMs"] }): JSX.Element | null {
  const entries = Object.entries(steps);
  if (entries.length === 0) return null;
  const total = Math.max(
    1,
    entries.reduce((sum, [, ms]) => sum + ms, 0),
  );
  return (
    <>
      <h3>Steps</h3>
      <ol class="steps">
        {entries.map(([name, ms]) => (
          <li key={name}>
            <span>{name}</span>
            <progress max={total} value={ms} aria-hidden="true" />
            <span>{took(ms)}</span>
          </li>
        ))}
      </ol>
    </>
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
