import { formatBuild } from "../../protocol/ids.ts";
import { printable } from "../../protocol/pipeline/text-rules.ts";
import type { BuildSummary, EnvironmentSummary, StageSummary } from "../../protocol/summary.ts";
import { environmentFacts } from "./environment.ts";
import { asLines, coloured, oneLine, table } from "./output.ts";
import { age, took } from "./time.ts";

/** One word: how it ended, or how far it is. */
export function stateOf(o: { readonly status: string; readonly outcome: string | null }): string {
  return o.outcome ?? o.status;
}

export function buildTable(builds: readonly BuildSummary[], nowMs: number, colours: boolean): string {
  const rows = builds.map((b) => [
    formatBuild(b),
    coloured(stateOf(b), colours),
    oneLine(b.branch ?? b.tag ?? b.ref, 30),
    b.commit?.slice(0, 7) ?? "",
    age(b.createdAtMs, nowMs),
    oneLine(b.author, 20),
    b.waiting === "" ? oneLine(b.commitMessage) : `${oneLine(b.commitMessage, 30)}  waits: ${oneLine(b.waiting, 200)}`,
  ]);
  return table([["BUILD", "STATE", "REF", "COMMIT", "AGE", "AUTHOR", "MESSAGE"], ...rows]);
}

/** `acme/api#42 passed main 199eddf`, for a list that grows. */
export function buildLine(b: BuildSummary, colours: boolean): string {
  const why = b.waiting === "" ? "" : `  waits: ${oneLine(b.waiting, 200)}`;
  const facts = [oneLine(b.branch ?? b.tag ?? b.ref, 30), b.commit?.slice(0, 7) ?? "", oneLine(b.commitMessage)];
  return `${formatBuild(b)} ${coloured(stateOf(b), colours)} ${facts.filter((fact) => fact !== "").join(" ")}${why}\n`;
}

export function environmentTable(environments: readonly EnvironmentSummary[], colours: boolean): string {
  const rows = environments.map((e) => [
    e.repository,
    e.environment,
    coloured(e.paused !== null ? "paused" : e.held !== null ? "held" : "open", colours),
    environmentFacts(e)
      .filter((fact) => fact !== "open")
      .join("; "),
  ]);
  return table([["REPOSITORY", "ENVIRONMENT", "STATE", ""], ...rows]);
}

/** One build with its stages, what each waits for, and the problems of its file. */
export function buildReport(build: BuildSummary, nowMs: number, colours: boolean): string {
  const facts = [
    oneLine(build.branch ?? build.tag ?? build.ref),
    build.commit?.slice(0, 12) ?? "",
    oneLine(build.author),
    `${age(build.createdAtMs, nowMs)} ago`,
  ];
  const head = [
    `${formatBuild(build)} ${coloured(stateOf(build), colours)}${build.message === "" ? "" : `: ${oneLine(build.message, 200)}`}`,
    `${facts.filter((fact) => fact !== "").join("  ")}  ${oneLine(build.commitMessage)}`.trimEnd(),
  ];
  if (build.waiting !== "") head.push(`waits: ${oneLine(build.waiting, 200)}`);
  const amis = build.artifact?.kind === "ami" ? Object.entries(build.artifact.amis) : [];
  if (amis.length > 0) head.push(`ami: ${amis.map(([region, id]) => `${id} in ${region}`).join(", ")}`);
  const problems = build.problems.flatMap(({ file, line, column, message, hint, frame }) => {
    if (frame !== "") return ["", ...asLines(frame).map(printable)];
    const place = `${oneLine(file)}:${line}:${column}: ${oneLine(message, 200)}`;
    return hint === null ? [place] : [place, `  = ${oneLine(hint, 200)}`];
  });
  const stages = build.stages.map((stage) => [
    oneLine(stage.round === 1 ? stage.name : `${stage.name} (${stage.round})`),
    coloured(stateOf(stage), colours),
    timeOf(stage, nowMs),
    oneLine(stage.executor ?? "", 30),
    oneLine(stage.message || stage.waiting, 200),
  ]);
  const list = stages.length === 0 ? "" : `\n${table([["STAGE", "STATE", "TIME", "EXECUTOR", ""], ...stages])}`;
  return `${[...head, ...problems].join("\n")}\n${list}`;
}

function timeOf(stage: StageSummary, nowMs: number): string {
  const from = stage.startedAtMs ?? stage.claimedAtMs;
  return from === null ? "" : took((stage.finishedAtMs ?? nowMs) - from);
}
