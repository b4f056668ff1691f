import { type BuildId, EVERY, isRepositoryName, parseBuild } from "../../protocol/ids.ts";
import { parseDuration } from "../../protocol/pipeline/duration.ts";
import { variableProblem } from "../../protocol/pipeline/text-rules.ts";
import { usageError } from "../exit.ts";

/** `acme/api` */
export function repositoryOf(text: string | undefined): string {
  if (text === undefined || !isRepositoryName(text)) {
    throw usageError(`${JSON.stringify(text ?? "")} is not a repository: expected owner/name`);
  }
  return text;
}

/** `acme/api`, or `*` for all there are. */
export function repositoriesOf(text: string | undefined): string {
  return text === EVERY ? EVERY : repositoryOf(text);
}

/** `acme/api#42` */
export function buildOf(text: string | undefined): BuildId {
  const id = parseBuild(text ?? "");
  if (id === null) throw usageError(`${JSON.stringify(text ?? "")} is not a build: expected owner/name#number`);
  return id;
}

/** `acme/api#42`, or `42` of a repository that is known. */
export function numberIn(repository: string, what: string, text: string): number {
  const id = parseBuild(text);
  if (id === null) return countOf(what, text);
  if (id.repository !== repository) throw usageError(`${what} ${text} is not a build of ${repository}`);
  return id.number;
}

/** `1` and up. */
export function countOf(what: string, text: string): number {
  if (!/^[1-9][0-9]{0,14}$/.test(text))
    throw usageError(`${what} is ${JSON.stringify(text)}: expected a number from 1`);
  return Number(text);
}

/** `["REGION=eu-west-1"]` */
export function paramsOf(given: readonly string[]): Record<string, string> {
  const params: Record<string, string> = {};
  for (const text of given) {
    const at = text.indexOf("=");
    if (at < 1) throw usageError(`--param ${JSON.stringify(text)}: expected NAME=value`);
    const name = text.slice(0, at);
    const problem = variableProblem(name);
    if (problem !== null) throw usageError(`--param: ${problem}`);
    params[name] = text.slice(at + 1);
  }
  return params;
}

/** `2h`, in milliseconds. */
export function durationOf(what: string, text: string): number {
  const duration = parseDuration(text);
  if ("problem" in duration) throw usageError(`${what}: ${duration.problem}`);
  return duration.ms;
}

/** `2h` from now, or an instant such as `2026-12-24T18:00Z`; as ISO 8601. */
export function untilOf(text: string, nowMs: number): string {
  const duration = parseDuration(text);
  if ("ms" in duration) return new Date(nowMs + duration.ms).toISOString();
  const instant = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(instant)) throw usageError(`--until: ${duration.problem}, or an instant such as 2026-12-24T18:00Z`);
  if (instant <= nowMs) throw usageError(`--until ${text} is in the past`);
  return new Date(instant).toISOString();
}
