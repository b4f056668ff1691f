/** What of a build is looked at seldom, and asked for when it is. */
import type { Plan } from "../../protocol/pipeline/plan.ts";
import type { CheckedSource } from "../../protocol/work.ts";
import { ask, type BuildId, buildUrl } from "./api.ts";
import type { StageRef } from "./stage-ref.ts";

/** As `coordinator/http/build-parts.ts` answers. */
export interface Attempt {
  readonly attempt: number;
  readonly purpose: "run" | "check";
  readonly executor: string;
  readonly tookOver: string | null;
  readonly claimedAtMs: number;
  readonly endedAtMs: number | null;
  readonly ended: string | null;
  readonly code: string | null;
  readonly message: string;
}

export async function fetchAttempts(id: BuildId, { name, round }: StageRef): Promise<readonly Attempt[]> {
  const url = `${buildUrl(id)}/stages/${encodeURIComponent(name)}/attempts?round=${round}`;
  return (await ask<{ readonly attempts: readonly Attempt[] }>(url)).attempts;
}

export function fetchConfig(id: BuildId): Promise<{ readonly source: CheckedSource | null; readonly plan: Plan }> {
  return ask(`${buildUrl(id)}/config`);
}
