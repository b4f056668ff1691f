import { formatBuild } from "../../protocol/ids.ts";
import type { BuildSummary, EnvironmentSummary, WaitingSummary } from "../../protocol/summary.ts";
import { oneLine, table } from "./output.ts";

/** `acme/api prod: paused by ann until …: freeze; live #41; running #42; 2 waiting` */
export function environmentLine(e: EnvironmentSummary): string {
  return `${e.repository} ${e.environment}: ${environmentFacts(e).join("; ")}`;
}

/** What there is to say of it, the most urgent first. */
export function environmentFacts(e: EnvironmentSummary): readonly string[] {
  const facts = [e.paused === null ? "open" : pauseText(e.paused)];
  facts.push(
    e.live === null ? "nothing live" : `live ${numbered(e, e.live.number)}, commit ${e.live.commit.slice(0, 7)}`,
  );
  if (e.held !== null) facts.push(heldText(e.held));
  if (e.inFlight !== null) facts.push(`running ${numbered(e, e.inFlight.number)}`);
  if (e.waiting.length > 0) facts.push(`waiting ${e.waiting.map(waitingText).join(" ")}`);
  // Pauses and holds are said already.
  if (e.why !== "" && e.paused === null && e.held === null) facts.push(oneLine(e.why, 200));
  return facts;
}

function waitingText({ number, approval, approvedBy }: WaitingSummary): string {
  if (approval !== null) return `#${number} (for approval)`;
  return approvedBy === null ? `#${number}` : `#${number} (approved by ${oneLine(approvedBy)})`;
}

/** What waits for approval, by whom it can be given, and what would change. */
export function approvalReport(
  e: EnvironmentSummary,
  waiting: WaitingSummary,
  builds: readonly BuildSummary[],
): string {
  const { number, approval } = waiting;
  if (approval === null) return "";
  const { from, self, change } = approval;
  const who = from.length === 0 ? "anybody" : from.map((name) => oneLine(name)).join(", ");
  const other = self ? "" : " but who caused it";
  const range =
    change.from === null ? change.to.slice(0, 12) : `${change.from.slice(0, 12)}...${change.to.slice(0, 12)}`;
  const rows = builds.map((b) => [
    `  #${b.number}`,
    b.commit?.slice(0, 7) ?? "",
    oneLine(b.author, 20),
    oneLine(b.commitMessage),
  ]);
  return [
    `${numbered(e, number)} waits for approval for ${e.environment}: by ${who}${other}, until ${new Date(approval.endsAtMs).toISOString()}\n`,
    `${e.live === null ? "nothing is live" : `live is ${numbered(e, e.live.number)}`}; commits ${range}\n`,
    table(rows),
  ].join("");
}

/** `paused by ann until 2026-12-24T18:00:00.000Z: freeze` */
function pauseText({ by, why, untilMs, of }: NonNullable<EnvironmentSummary["paused"]>): string {
  const until = untilMs === null ? "" : ` until ${new Date(untilMs).toISOString()}`;
  const what = of === null ? "" : ` (with ${oneLine(of.repository)} ${oneLine(of.environment)})`;
  return `paused by ${oneLine(by)}${until}${what}: ${oneLine(why, 200)}`;
}

/** `held by ann since #40 was rolled back to: it was slow` */
function heldText({ by, why, number }: NonNullable<EnvironmentSummary["held"]>): string {
  return `held by ${oneLine(by)} since the rollback to #${number}: ${oneLine(why, 200)}`;
}

function numbered(e: EnvironmentSummary, number: number): string {
  return formatBuild({ repository: e.repository, number });
}
