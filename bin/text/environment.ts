import { formatBuild } from "../../protocol/ids.ts";
import type { EnvironmentSummary } from "../../protocol/summary.ts";
import { oneLine } from "./output.ts";

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
  if (e.inFlight !== null) facts.push(`running ${numbered(e, e.inFlight.number)}`);
  if (e.waiting.length > 0) facts.push(`waiting ${e.waiting.map(({ number }) => `#${number}`).join(" ")}`);
  return facts;
}

/** `paused by ann until 2026-12-24T18:00:00.000Z: freeze` */
function pauseText({ by, why, untilMs }: NonNullable<EnvironmentSummary["paused"]>): string {
  const until = untilMs === null ? "" : ` until ${new Date(untilMs).toISOString()}`;
  return `paused by ${oneLine(by)}${until}: ${oneLine(why, 200)}`;
}

function numbered(e: EnvironmentSummary, number: number): string {
  return formatBuild({ repository: e.repository, number });
}
