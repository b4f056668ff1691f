/**
 * Approval: somebody whom the file names agrees that a stage goes, or says that it does not. Asked for on arrival, so
 * that it can be given while others are in flight.
 */
import type { LaneEntry, LaneEvent } from "../../../protocol/events.ts";
import { durationText } from "../../../protocol/pipeline/duration.ts";
import { listed } from "../../../protocol/pipeline/suggest.ts";
import { append, type Decision, type EventHead, nothing, refuse } from "../actor.ts";
import { approvalEndsAtMs, isAgreed, type Lane, staleness } from "./lane.ts";

/** Whoever acts and does not say who. */
export const NOBODY_IN_PARTICULAR = "local";

export interface ApprovalCommand {
  readonly kind: "approve" | "reject";
  readonly number: number;
  /** null: whichever round of the build waits for approval. */
  readonly round: number | null;
  readonly by: string;
  /** In whose name; null for one's own. */
  readonly team: string | null;
  readonly why: string;
}

export function decideApproval(lane: Lane, command: ApprovalCommand, head: EventHead): Decision<LaneEvent> {
  const { number, by, team, why } = command;
  const found = lane.waiting.filter(
    (one) => one.number === number && (command.round === null || one.round === command.round),
  );
  const entry = found.find((one) => !isAgreed(one)) ?? found.find((one) => one.approval !== null) ?? found[0];
  if (entry === undefined) return refuse("TOR_CONFLICT", `#${number} does not wait here ${whereInstead(lane, number)}`);
  if (entry.approval === null) return refuse("TOR_CONFLICT", `#${number} needs no approval here`);
  const forbidden = whyNot(entry, command);
  if (forbidden !== null) return refuse("TOR_NOT_ALLOWED", forbidden);
  const { stage, round } = entry;
  if (command.kind === "reject") {
    const said = why === "" ? "" : `: ${why}`;
    const rejected = { outcome: "cancelled", why: `rejected by ${nameOf(by, team)}${said}`, rejectedBy: by } as const;
    return append({ type: "withdrawn", ...head, number, stage, round, ...rejected });
  }
  if (entry.approved !== null) return nothing();
  const stale = staleness(lane, entry);
  if (stale !== null) return refuse("TOR_CONFLICT", `#${number} cannot go any more: ${stale}`);
  const agreement = { by, team, why, atMs: head.atMs };
  return append({ type: "approved", ...head, number, stage, round, agreement, liveCommit: lane.live?.commit ?? null });
}

/** An entry that has waited for approval for too long, with the sentence that says so. */
export function expiredApproval(lane: Lane, nowMs: number): { readonly entry: LaneEntry; readonly why: string } | null {
  for (const entry of lane.waiting) {
    const endsAtMs = approvalEndsAtMs(entry);
    if (endsAtMs === null || endsAtMs > nowMs || entry.approval === null) continue;
    return { entry, why: `nobody approved it within ${durationText(entry.approval.expiresMs)}` };
  }
  return null;
}

function whyNot({ approval, causedBy }: LaneEntry, { kind, by, team }: ApprovalCommand): string | null {
  if (approval === null) return null;
  const names = [by, ...(team === null ? [] : [team])];
  if (approval.from.length > 0 && !names.some((name) => isAmong(name, approval.from))) {
    return `${nameOf(by, team)} may not decide this: the file names ${listed(approval.from, "and")}`;
  }
  if (kind === "reject" || approval.self) return null;
  if (by === NOBODY_IN_PARTICULAR) {
    return "who caused a build may not approve it, so say who you are: `--as NAME`, or the header Toroid-User";
  }
  if (isAmong(by, causedBy)) return `${by} is behind this build, and the file lets nobody approve their own`;
  return null;
}

function isAmong(name: string, names: readonly string[]): boolean {
  return names.some((one) => one.toLowerCase() === name.toLowerCase());
}

function nameOf(by: string, team: string | null): string {
  return team === null ? by : `${by} of ${team}`;
}

function whereInstead(lane: Lane, number: number): string {
  if (lane.inFlight?.number === number) return "any more: it is under way";
  return lane.live?.number === number ? "any more: it is live" : "for approval";
}
