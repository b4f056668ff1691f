/** A build as data: the fold of its log. */
import type { BuildOutcome, StageOutcome } from "../../../protocol/events.ts";
import type { Plan } from "../../../protocol/pipeline/plan.ts";
import type { BuildStatus } from "../../../protocol/states.ts";
import type { Artifact, CheckedSource, History, Push } from "../../../protocol/work.ts";

/** How one round of a stage ended. */
export interface Settled {
  readonly stage: string;
  readonly round: number;
  readonly outcome: StageOutcome;
  readonly message: string;
  readonly outputs: Readonly<Record<string, string>>;
}

/** An environment that somebody asked for, beyond what the plan does by itself. */
export interface Requested {
  readonly key: string;
  readonly environment: string;
  readonly round: number;
  readonly params: Readonly<Record<string, string>>;
  readonly by: string;
  readonly byScript: boolean;
  /** What was asked for: the stage after what it needs, or what was built, as it is. A rollback holds the lane. */
  readonly how: "request" | "promote" | "rollback";
  readonly why: string;
}

export interface Build {
  readonly status: BuildStatus;
  readonly push: Push | null;
  /** What its branch had become after it by the time that it was accepted; empty unless it came late. */
  readonly after: readonly string[];
  readonly by: string;
  readonly createdAtMs: number;
  readonly source: CheckedSource | null;
  readonly history: History | null;
  readonly plan: Plan | null;
  readonly settled: readonly Settled[];
  readonly requested: readonly Requested[];
  /** Keys of the retries that were taken in. */
  readonly retries: readonly string[];
  /** The round with which the plan goes on, of stages that were tried again; 1 of the others. */
  readonly planRounds: Readonly<Record<string, number>>;
  /** The attempt at making the plan that counts. */
  readonly planning: number;
  readonly artifact: Artifact | null;
  /** Number of the newer push of its branch that ends its build stages. */
  readonly supersededBy: number | null;
  readonly cancel: { readonly by: string; readonly why: string } | null;
  readonly outcome: BuildOutcome | null;
  readonly message: string;
  readonly finishedAtMs: number | null;
  readonly archivedAtMs: number | null;
}
