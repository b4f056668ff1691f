/** What a notice says to people; pure. Foreign text in it is printable and of one line, and each channel escapes it. */
import { assertNever } from "../../protocol/errors.ts";
import { EVERY } from "../../protocol/ids.ts";
import type { Notice, NoticeState } from "../../protocol/notice.ts";
import { printable } from "../../protocol/pipeline/text-rules.ts";
import { isBad } from "./notices.ts";

const ENDS: Readonly<Record<NoticeState, string>> = {
  pending: "waits",
  running: "runs",
  passed: "passed",
  failed: "failed",
  errored: "could not be run",
  timedOut: "took too long",
  cancelled: "was cancelled",
  superseded: "was superseded",
  skipped: "was skipped",
  unknown: "ended, and nobody knows how",
};

/** `acme/api#42 failed on main` */
export function headline(notice: Notice): string {
  const { kind, state, repository, number, environment, ref } = notice;
  const build = `${repository}#${number ?? 0}`;
  const on = ref === "" ? "" : ` on ${refName(ref)}`;
  const to = environment ?? "";
  switch (kind) {
    case "build": {
      const again = notice.change && state === "passed" ? " again" : "";
      return line(`${build} ${ENDS[state]}${again}${on}`);
    }
    case "stage":
      return line(`${notice.stage ?? "a stage"} of ${build} ${ENDS[state]}${on}`);
    case "deployment":
      if (state === "passed") {
        if (notice.rollback) return line(`${to} of ${repository} was rolled back to #${number ?? 0}`);
        return line(`${build} is live in ${to}${notice.change ? " again" : ""}`);
      }
      return line(`${build} ${ENDS[state]} in ${to}`);
    case "paused":
      return line(`${place(notice)} is paused by ${notice.by}`);
    case "resumed":
      return line(`${place(notice)} goes on, by ${notice.by}`);
    case "approval":
      return line(`${build} waits for approval in ${to}`);
    case "test":
      return "a test: this is what a notification of Toroid looks like";
    default:
      return assertNever(kind, "kind of notice");
  }
}

/** What there is to know besides, a label and a text each. */
export function facts(notice: Notice): readonly (readonly [label: string, text: string])[] {
  const { kind, message, by, title, author, commit, untilMs } = notice;
  const until = untilMs === null ? "" : new Date(untilMs).toISOString();
  const all: readonly (readonly [string, string])[] = [
    ["why", message],
    ["until", until],
    ["commit", kind === "paused" || kind === "resumed" || commit === null ? "" : `${commit.slice(0, 12)} ${title}`],
    ["author", kind === "paused" || kind === "resumed" ? "" : author.replace(/ <[^>]*>$/, "")],
    ["by", by],
  ];
  return all.flatMap(([label, text]) => (line(text) === "" ? [] : [[label, line(text)] as const]));
}

/** The page that shows more of it; null when nobody said where pages are. */
export function pageOf({ repository, number }: Notice, publicUrl: string | null): string | null {
  if (publicUrl === null) return null;
  if (number === null) return publicUrl;
  return `${publicUrl}/builds/${repository.split("/").map(encodeURIComponent).join("/")}/${number}`;
}

/** The word for what happened, as programs are told: `build.failed`, `deployment.succeeded`. */
export function typeOf({ kind, state }: Notice): string {
  switch (kind) {
    case "paused":
    case "resumed":
      return `environment.${kind}`;
    case "approval":
      return "approval.requested";
    case "test":
      return "test";
    case "build":
    case "stage":
    case "deployment":
      return `${kind}.${state}`;
    default:
      return assertNever(kind, "kind of notice");
  }
}

/** In a word, for colours and icons. */
export function moodOf(notice: Notice): "good" | "bad" | "neutral" {
  if (notice.kind === "build" || notice.kind === "deployment" || notice.kind === "stage") {
    if (notice.state === "passed") return "good";
    return isBad(notice.state) ? "bad" : "neutral";
  }
  return "neutral";
}

export function refName(ref: string): string {
  return ref.replace(/^refs\/(heads|tags)\//, "");
}

/** One printable line, whatever was in it. */
export function line(text: string): string {
  return printable(text.replaceAll(/[\t\r\n]+/g, " ")).trim();
}

/** At most so many characters. */
export function cut(text: string, most: number): string {
  const characters = Array.from(text);
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("")}…`;
}

function place({ repository, environment }: Notice): string {
  const to = environment ?? EVERY;
  if (repository === EVERY) return to === EVERY ? "every environment of all repositories" : `${to} of all repositories`;
  return to === EVERY ? `every environment of ${repository}` : `${to} of ${repository}`;
}
