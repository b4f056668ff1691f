/** What people do to environments, and to builds that are to go on. */
import type { BuildSummary, EnvironmentSummary, WaitingSummary } from "../../protocol/summary.ts";
import { ask, type BuildId, buildUrl, pathOf } from "./api.ts";

export interface PauseRequest {
  readonly reason: string;
  /** ISO 8601; left out: until somebody resumes. */
  readonly until?: string;
}

export function pauseEnvironment(e: EnvironmentSummary, request: PauseRequest): Promise<EnvironmentSummary> {
  return ask<EnvironmentSummary>(urlOf(e, "pause"), request);
}

export function resumeEnvironment(e: EnvironmentSummary, reason: string): Promise<EnvironmentSummary> {
  return ask<EnvironmentSummary>(urlOf(e, "resume"), { reason });
}

export function releaseEnvironment(e: EnvironmentSummary, reason: string): Promise<EnvironmentSummary> {
  return ask<EnvironmentSummary>(urlOf(e, "release"), { reason });
}

export interface Decision {
  readonly decision: "approve" | "reject";
  readonly reason: string;
}

export function decide(e: EnvironmentSummary, one: WaitingSummary, decision: Decision): Promise<EnvironmentSummary> {
  return ask<EnvironmentSummary>(urlOf(e, "approvals"), { build: one.number, round: one.round, ...decision });
}

/** Any build's artifact, as it is, to an environment. */
export async function promote(e: EnvironmentSummary, build: number, reason: string): Promise<void> {
  await ask(urlOf(e, "promote"), { build, reason });
}

export async function rollBack(e: EnvironmentSummary, build: number, reason: string): Promise<void> {
  await ask(urlOf(e, "rollback"), { build, reason });
}

/** What ended badly, and what comes after it. */
export function retryBuild(id: BuildId, reason: string): Promise<BuildSummary> {
  return ask<BuildSummary>(`${buildUrl(id)}/retry`, { reason });
}

/** One stage that ended badly, and what was left out because of it. */
export function retryStage(id: BuildId, stage: string, reason: string): Promise<BuildSummary> {
  return ask<BuildSummary>(`${buildUrl(id)}/stages/${encodeURIComponent(stage)}/retry`, { reason });
}

function urlOf({ repository, environment }: EnvironmentSummary, verb: string): string {
  return `/api/v1/environments/${pathOf(repository)}/${encodeURIComponent(environment)}/${verb}`;
}
