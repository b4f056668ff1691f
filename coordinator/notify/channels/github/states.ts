/** How GitHub calls what Toroid knows; pure. What is skipped counts as passed there, so that nobody waits for it. */
import type { Notice, NoticeState } from "../../../../protocol/notice.ts";
import { cut, line } from "../../words.ts";

/** GitHub refuses longer ones. */
const DESCRIPTION_CHARACTERS = 140;

export type StatusState = "error" | "failure" | "pending" | "success";
export type Conclusion = "cancelled" | "failure" | "neutral" | "skipped" | "success" | "timed_out";
export type DeploymentState = "error" | "failure" | "in_progress" | "inactive" | "queued" | "success";

interface Row {
  readonly status: StatusState;
  /** null: it has none yet. */
  readonly conclusion: Conclusion | null;
  readonly deployment: DeploymentState;
  readonly words: string;
}

const ROWS: Readonly<Record<NoticeState, Row>> = {
  pending: { status: "pending", conclusion: null, deployment: "queued", words: "Waiting" },
  running: { status: "pending", conclusion: null, deployment: "in_progress", words: "Running" },
  passed: { status: "success", conclusion: "success", deployment: "success", words: "Passed" },
  failed: { status: "failure", conclusion: "failure", deployment: "failure", words: "Failed" },
  errored: { status: "error", conclusion: "failure", deployment: "error", words: "Could not be run" },
  timedOut: { status: "failure", conclusion: "timed_out", deployment: "failure", words: "Took too long" },
  unknown: { status: "error", conclusion: "failure", deployment: "error", words: "Ended, and nobody knows how" },
  cancelled: { status: "error", conclusion: "cancelled", deployment: "inactive", words: "Cancelled" },
  superseded: { status: "error", conclusion: "cancelled", deployment: "inactive", words: "Superseded" },
  skipped: { status: "success", conclusion: "skipped", deployment: "inactive", words: "Skipped" },
};

/** A stage that the file lets fail is shown as what it means for the commit. */
export function rowOf({ state, mayFail }: Notice): Row {
  const row = ROWS[state];
  const isForgiven = mayFail && row.conclusion !== null && row.status !== "success";
  if (!isForgiven) return row;
  return { ...row, status: "success", conclusion: "neutral", words: `${row.words}, which the file allows` };
}

export function descriptionOf(notice: Notice): string {
  const { words } = rowOf(notice);
  const why = line(notice.message);
  return cut(why === "" ? words : `${words}: ${why}`, DESCRIPTION_CHARACTERS);
}

/** `toroid` for a build as a whole, `toroid/build NODE=22` for one of its stages. */
export function contextOf({ kind, stage }: Notice): string {
  return kind === "stage" ? `toroid/${stage ?? ""}` : "toroid";
}
