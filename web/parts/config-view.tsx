import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Plan } from "../../protocol/pipeline/plan.ts";
import type { StageSummary } from "../../protocol/summary.ts";

import type { BuildId } from "../live/api.ts";
import { fetchConfig } from "../live/build-parts.ts";
import { useLoad } from "../live/load.ts";
import { Failure } from "./failure.tsx";
import { planText } from "./plan-text.ts";

/** What a stage was run with, all defaults and what a matrix makes of it included. */
export function ConfigView({ id, stage }: { readonly id: BuildId; readonly stage: StageSummary }): JSX.Element {
  const [plan, setPlan] = useState<Plan | null>(null);
  const loading = useLoad(async () => setPlan((await fetchConfig(id)).plan), [id.repository, id.number]);
  if (loading.state === "failed") return <Failure error={loading.error} />;
  const own = plan?.stages.find(({ name }) => name === stage.name);
  if (plan === null) return <p>Loading…</p>;
  if (own === undefined) return <p>The plan has no such stage any more.</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <pre class="config" tabIndex={0}>
      {planText(own)}
    </pre>
  );
}
