import type { JSX } from "preact";
import type { Presence } from "../../protocol/commands.ts";
import { executors, learnExecutors } from "../live/connection.ts";
import { fetchExecutors } from "../live/executors.ts";
import { useLoad } from "../live/load.ts";
import { useStore } from "../live/store.ts";
import { useTitle } from "../live/title.ts";
import { ExecutorRow } from "../parts/executor-row.tsx";
import { Failure } from "../parts/failure.tsx";

/** Who is there to run stages, and who takes nothing new. */
export function ExecutorsPage(): JSX.Element {
  const known = useStore(executors);
  useTitle("Executors", "calm");
  const loading = useLoad(async () => learnExecutors((await fetchExecutors()).executors), []);
  const all = known === null ? null : [...known.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return (
    <>
      <div class="page-head">
        <h1>Executors</h1>
        {all !== null && all.length > 0 && <p class="soft">{summaryOf(all)}</p>}
      </div>
      {loading.state === "failed" && <Failure error={loading.error} />}
      {all === null && loading.state === "loading" && <p>Loading…</p>}
      {all?.length === 0 && <p>No executor is there: what is queued waits until one is started.</p>}
      <ul class="rows">
        {all?.map((executor) => (
          <ExecutorRow executor={executor} key={executor.id} />
        ))}
      </ul>
    </>
  );
}

/** Of each pool, how much of it is taken. */
function summaryOf(all: readonly Presence[]): string {
  const pools = Map.groupBy(all, ({ pool }) => pool);
  return [...pools]
    .map(([pool, members]) => {
      const [busy, slots] = [sum(members.map((one) => one.busy)), sum(members.map((one) => one.slots))];
      return `${pool}: ${members.length} there, ${busy} of ${slots} slots busy`;
    })
    .join("; ");
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}
