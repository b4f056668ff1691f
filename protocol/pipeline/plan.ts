import { placeFindings } from "./document.ts";
import { shouldPublish, skippedByMessage, skipReason } from "./filters.ts";
import { type Finding, wrongKey } from "./finding.ts";
import type { Plan, Planned, Source, Tree } from "./model.ts";
import { wishesOf } from "./notify.ts";
import { parse } from "./parse.ts";
import type { Problem } from "./problem.ts";
import type { Config } from "./schema.ts";
import { stagesOf } from "./stages.ts";
import { unsupportedIn } from "./support.ts";

export { shouldPublish, whyNotPublished } from "./filters.ts";
export type {
  AmiPlan,
  AmiSource,
  Approval,
  BaseImage,
  Image,
  Limits,
  Phases,
  Plan,
  Planned,
  Priority,
  PublishRefs,
  Retry,
  RunsOn,
  Source,
  StagePlan,
  Timeouts,
  Tree,
  Wish,
} from "./model.ts";
export type { Problem } from "./problem.ts";

/** A plan travels as one message; larger ones are refused. */
export const MAX_PLAN_BYTES = 512 * 1024;

/**
 * The whole way: text of the file → what this push runs. A file with problems is `invalid` whatever it filters; a commit
 * message that skips builds skips a broken file too, unless the file can say `skip: false`. Never throws.
 *
 * @param file the name shown in problems
 */
export function planOf(file: string, text: string, source: Source): Planned {
  const checked = check(file, text, source.tree);
  if ("problems" in checked) {
    const reason = checked.skip === false ? null : skippedByMessage(source.message);
    return reason === null ? { kind: "invalid", problems: checked.problems } : { kind: "skip", reason, stages: [] };
  }
  const { config, plan } = checked;
  const reason = skipReason(config, source);
  const built = plan.stages.filter(({ environment }) => environment === null);
  if (reason !== null) return { kind: "skip", reason, stages: built.map(({ name }) => name) };
  const stages = plan.stages.map((stage) =>
    stage.environment === null ? { ...stage, idempotent: !shouldPublish(stage, source) } : stage,
  );
  return { kind: "plan", plan: { ...plan, stages } };
}

/**
 * Everything wrong with a file, whatever push it is for; empty when it can run. Never throws.
 *
 * @param tree what is beside it; null when nobody knows
 */
export function lint(file: string, text: string, tree: Tree | null = null): readonly Problem[] {
  const checked = check(file, text, tree);
  return "problems" in checked ? checked.problems : [];
}

type Checked =
  | { readonly config: Config; readonly plan: Plan }
  /** `skip` as far as the file could be read. */
  | { readonly problems: readonly Problem[]; readonly skip: Config["skip"] };

function check(file: string, text: string, tree: Tree | null): Checked {
  const parsed = parse(file, text);
  if (!("config" in parsed)) return { problems: parsed, skip: undefined };
  const { config, document } = parsed;
  const { stages, findings } = stagesOf(parsed, tree);
  const kind = config.kind ?? (isApplication(config) ? "application" : "library");
  const cancelSuperseded = config.concurrency?.cancel_superseded ?? false;
  const plan: Plan = { kind, cancelSuperseded, stages, notify: wishesOf(config.notify) };
  const all = [...parsed.findings, ...findings, ...unsupportedIn(config)];
  if (all.length === 0) all.push(...tooLarge(plan, config));
  return all.length === 0 ? { config, plan } : { problems: placeFindings(document, all), skip: config.skip };
}

function isApplication({ environments, artifact }: Config): boolean {
  return environments !== undefined || artifact?.ami !== undefined;
}

function tooLarge(plan: Plan, { matrix }: Config): readonly Finding[] {
  const bytes = Buffer.byteLength(JSON.stringify(plan));
  if (bytes <= MAX_PLAN_BYTES) return [];
  const size = `${plan.stages.length} stages take ${Math.ceil(bytes / 1024)} KiB, 512 is the most`;
  const hint = "move long scripts into files of the repository";
  return [wrongKey([matrix === undefined ? "script" : "matrix"], `the plan of this file is too large: ${size}`, hint)];
}
