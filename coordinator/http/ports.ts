/** What the HTTP side needs of the rest. */
import type { KV } from "@nats-io/kv";
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import type { BuildSummary, StageSummary } from "../../protocol/summary.ts";
import type { AuditLog } from "../access/audit.ts";
import type { Sessions } from "../access/sessions.ts";
import type { Tokens } from "../access/tokens.ts";
import type { Gate } from "../artifacts/gate.ts";
import type { Keeper } from "../artifacts/keeper.ts";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import type { Durability } from "../durability.ts";
import type { Mailboxes } from "../mailboxes.ts";
import type { Counts } from "../metrics/counts.ts";
import type { Deliveries } from "../notify/deliveries.ts";
import type { Executors } from "../projections/executors.ts";
import type { History } from "../projections/history.ts";
import type { Lanes } from "../projections/lanes.ts";
import type { Letters } from "../projections/letters.ts";
import { explainBuild } from "../projections/waiting.ts";
import type { SettingsShown } from "./settings.ts";

export interface HttpParts {
  readonly jet: Jet;
  readonly actors: Mailboxes;
  readonly history: History;
  readonly lanes: Lanes;
  readonly gate: Gate;
  readonly keeper: Keeper;
  readonly deliveries: Deliveries;
  readonly executors: Executors;
  readonly letters: Letters;
  /** What executors are asked for from outside. */
  readonly drains: KV;
  /** What a loss of power would lose. */
  readonly durability: Durability;
  readonly dispatcher: Pick<Dispatcher, "before">;
  /** The record of changes. */
  readonly audit: AuditLog;
  /** What of the configuration people may see. */
  readonly settings: SettingsShown;
  /** What is counted as it happens. */
  readonly counts: Counts;
  readonly tokens: Tokens;
  readonly sessions: Sessions;
  readonly log: Logger;
  /** Streams to clients end when this aborts. */
  readonly stop: AbortSignal;
}

/** Makes builds say why they wait, by how everything is now. */
export function explainer({
  lanes,
  executors,
  dispatcher,
}: Pick<HttpParts, "lanes" | "executors" | "dispatcher">): (build: BuildSummary) => BuildSummary {
  return (build) => {
    const { repository, number, status } = build;
    if (status === "finished") return build;
    const before = ({ name, round }: StageSummary): number | null =>
      dispatcher.before({ repository, number, stage: name, round });
    return explainBuild(build, {
      environments: lanes.list(repository),
      executors: executors.alive(Date.now()),
      before,
    });
  };
}
