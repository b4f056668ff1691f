import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Presence } from "../../protocol/commands.ts";
import { useNow } from "../live/clock.ts";
import { fetchExecutors } from "../live/executors.ts";
import { useLoad } from "../live/load.ts";
import { useTitle } from "../live/title.ts";
import { ExecutorRow } from "../parts/executor-row.tsx";
import { Failure } from "../parts/failure.tsx";

/** Executors are not in the stream of events; they say of themselves every two seconds how they are. */
const EVERY_MS = 3_000;

/** Who is there to run stages, and who takes nothing new. */
export function ExecutorsPage(): JSX.Element {
  const [executors, setExecutors] = useState<readonly Presence[] | null>(null);
  const turn = Math.floor(useNow() / EVERY_MS);
  useTitle("Executors", "calm");
  const loading = useLoad(async () => setExecutors((await fetchExecutors()).executors), [turn]);
  return (
    <>
      <h1>Executors</h1>
      {loading.state === "failed" && <Failure error={loading.error} />}
      {executors === null && loading.state === "loading" && <p>Loading…</p>}
      {executors?.length === 0 && <p>No executor is there: what is queued waits until one is started.</p>}
      <ul class="rows">
        {executors?.map((executor) => (
          <ExecutorRow executor={executor} key={executor.id} />
        ))}
      </ul>
    </>
  );
}
