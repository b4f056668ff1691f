import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { StageSummary } from "../../protocol/summary.ts";
import type { BuildId } from "../live/api.ts";
import { type Attempt, fetchAttempts } from "../live/build-parts.ts";
import { useLoad } from "../live/load.ts";
import { Failure } from "./failure.tsx";
import { lookOfWord, State } from "./state.tsx";
import { Ago, Took } from "./time.tsx";

/** Who tried a stage, and how each try ended. */
export function Attempts({ id, stage }: { readonly id: BuildId; readonly stage: StageSummary }): JSX.Element {
  const [attempts, setAttempts] = useState<readonly Attempt[]>([]);
  const loading = useLoad(async () => setAttempts(await fetchAttempts(id, stage)), [stage.seq]);
  if (loading.state === "failed") return <Failure error={loading.error} />;
  return (
    <ol class="attempts">
      {attempts.map((one) => (
        <li key={`${one.attempt} ${one.claimedAtMs}`}>
          <State look={lookOfWord(one.ended ?? "running")} />
          <p>
            <b>
              {one.purpose === "check" ? "Check" : "Attempt"} {one.attempt}
            </b>{" "}
            on {one.executor}, <Ago atMs={one.claimedAtMs} />, <Took fromMs={one.claimedAtMs} toMs={one.endedAtMs} />
          </p>
          {one.message !== "" && (
            <p class="why">
              {one.message} {one.code !== null && <code>{one.code}</code>}
            </p>
          )}
          {one.tookOver !== null && <p class="why">It took over: {one.tookOver}</p>}
        </li>
      ))}
    </ol>
  );
}
