/** `runs_on` and `priority`: which executors may run a stage, and what goes before what. */
import { z } from "zod";
import { fillIn } from "./fill-in.ts";
import { type Finding, wrongValue } from "./finding.ts";
import type { RunsOn } from "./model.ts";
import type { Path } from "./problem.ts";
import { checked } from "./schema-parts.ts";
import { labelProblem, poolProblem } from "./text-rules.ts";

const MAX_LABELS = 8;
const RUNS_ON = "a label, a list of labels, or a mapping with `pool` or `labels`";

const label = checked("a label", labelProblem);
const labelList = z
  .array(label, { error: RUNS_ON })
  .min(1, { error: "expected a label or a list of labels, found an empty list" })
  .max(MAX_LABELS, { error: `a list can have ${MAX_LABELS} labels at most` });

export interface RunsOnConfig {
  readonly pool?: string | undefined;
  readonly labels?: readonly string[] | undefined;
}

export const runsOn = z
  .union(
    [
      label.transform((one): RunsOnConfig => ({ labels: [one] })),
      labelList.transform((labels): RunsOnConfig => ({ labels })),
      z
        .strictObject(
          {
            pool: checked("the name of a pool", poolProblem).optional(),
            labels: z
              .union([label.transform((one) => [one]), labelList], { error: "a label or a list of labels" })
              .optional(),
          },
          { error: RUNS_ON },
        )
        .refine((it) => it.pool !== undefined || it.labels !== undefined, { error: "expected `pool` or `labels`" }),
    ],
    { error: RUNS_ON },
  )
  .describe(
    "Which executors may run it: labels that they must all have, or a pool by name, or both. Without it, the pool that the operator chose. `${NAME}` is filled in from the matrix and `env`.",
  );

export const priority = z
  .enum(["normal", "low"], { error: "`normal` or `low`" })
  .describe("Of the build stages. `low` lets others go before it. Environments go before both.");

/** Anything that nothing is wished of. */
export const ANYWHERE: RunsOn = { pool: null, labels: [] };

/** What `config` at `path` means, with `${NAME}` filled in from `variables`, or what is wrong with it. */
export function runsOnOf(
  config: RunsOnConfig | undefined,
  path: Path,
  variables: Readonly<Record<string, string>>,
): { readonly runsOn: RunsOn } | { readonly findings: readonly Finding[] } {
  if (config === undefined) return { runsOn: ANYWHERE };
  const findings: Finding[] = [];
  const fill = (text: string, problemOf: (text: string) => string | null): string => {
    const filled = fillIn(text, path, variables, "`runs_on`");
    if (typeof filled !== "string") findings.push(...filled.findings);
    else {
      const problem = problemOf(filled);
      if (problem === null) return filled;
      findings.push(wrongValue(path, `${problem}; it is \`${filled}\` once filled in`));
    }
    return text;
  };
  const pool = config.pool === undefined ? null : fill(config.pool, poolProblem);
  const labels = (config.labels ?? []).map((one) => fill(one, labelProblem));
  return findings.length > 0 ? { findings } : { runsOn: { pool, labels: [...new Set(labels)].toSorted() } };
}
