/** What a person adds to a stage for once. Pure. */
import type { StagePlan } from "../../protocol/pipeline/plan.ts";
import { entrypointText, quoted } from "../workspace/driver.ts";

/** `words` behind the last line of the script, as npm does it; of an entry point, behind its environment. */
export function withExtras(stage: StagePlan, words: readonly string[]): StagePlan {
  if (words.length === 0) return stage;
  const added = words.map(quoted).join(" ");
  const { script } = stage.phases;
  const last = script.at(-1);
  if (last !== undefined) {
    return { ...stage, phases: { ...stage.phases, script: [...script.slice(0, -1), `${last.trimEnd()} ${added}`] } };
  }
  if (stage.entrypoint === null) return stage;
  const text = `set -- ${added}\n${entrypointText(stage.entrypoint, stage.environment ?? "")}`;
  return { ...stage, entrypoint: null, phases: { ...stage.phases, script: [text] } };
}
