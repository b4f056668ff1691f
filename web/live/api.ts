/**
 * The coordinator's HTTP API. The page and the API come from the same program, so answers are taken as what the types
 * of `protocol/summary.ts` say, without a second check.
 */
import type { BuildSummary, EnvironmentSummary } from "../../protocol/summary.ts";
import { type BuildFilter, withQuery } from "./location.ts";
import type { StageRef } from "./stage-ref.ts";
import { makeStore } from "./store.ts";

export interface BuildId {
  readonly repository: string;
  readonly number: number;
}

/** What the coordinator, or the way to it, said no with. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }
}

export interface BuildList {
  readonly builds: readonly BuildSummary[];
  readonly next: string | null;
}

export interface RepositoryList {
  readonly repositories: readonly {
    readonly repository: string;
    readonly latest: BuildSummary | null;
    readonly environments: readonly EnvironmentSummary[];
  }[];
}

export function fetchBuilds(filter: BuildFilter, before: string | null, limit = 30): Promise<BuildList> {
  const { repository, branch, state, author } = filter;
  return ask<BuildList>(
    withQuery("/api/v1/builds", { repository, branch, state, author, before, limit: String(limit) }),
  );
}

export function fetchRepositories(): Promise<RepositoryList> {
  return ask<RepositoryList>("/api/v1/repositories");
}

export function fetchBuild(id: BuildId): Promise<BuildSummary> {
  return ask<BuildSummary>(buildUrl(id));
}

export function cancelBuild(id: BuildId, reason: string): Promise<BuildSummary> {
  return ask<BuildSummary>(`${buildUrl(id)}/cancel`, { reason });
}

/** Of the log as plain text, and, by an EventSource, as events. */
export function logUrl(id: BuildId, { name, round }: StageRef, follow: boolean): string {
  const query = new URLSearchParams({ round: String(round), follow: follow ? "1" : "0" });
  return `${buildUrl(id)}/stages/${encodeURIComponent(name)}/log?${query.toString()}`;
}

export function buildUrl({ repository, number }: BuildId): string {
  return `/api/v1/builds/${pathOf(repository)}/${number}`;
}

export function pathOf(repository: string): string {
  return repository.split("/").map(encodeURIComponent).join("/");
}

/** The second says that it is our page that asks: no form, and no page of another origin, can send it. */
const OURS = { "content-type": "application/json", "toroid-csrf": "1" };

/** Asks with GET; with a body, even an empty one, by POST, or by `method`. */
export async function ask<T>(url: string, body?: unknown, method = "POST"): Promise<T> {
  const sent = { method, headers: OURS, body: JSON.stringify(body) };
  const response = await fetch(url, body === undefined ? {} : sent).catch(() => {
    throw new ApiError(0, "TOR_SERVER_UNREACHABLE", "the coordinator does not answer");
  });
  const answer: unknown = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return answer as T;
  if (response.status === 401) signedOut.set(signedOut.get() + 1);
  const { code = "", message = `the coordinator answered ${response.status}` } = (answer ?? {}) as Partial<ApiError>;
  throw new ApiError(response.status, code, message);
}

/** Grows with each answer that says that nobody is signed in any more. */
export const signedOut = makeStore(0);
