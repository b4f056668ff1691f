import type { Presence } from "../../protocol/commands.ts";
import { ask } from "./api.ts";

interface ExecutorList {
  readonly executors: readonly Presence[];
}

export function fetchExecutors(): Promise<ExecutorList> {
  return ask<ExecutorList>("/api/v1/executors");
}

/** It takes nothing new from then on, and finishes what it has. */
export async function drainExecutor({ id }: Presence, reason: string): Promise<void> {
  await ask(`/api/v1/executors/${encodeURIComponent(id)}/drain`, { reason });
}

export async function undrainExecutor({ id }: Presence, reason: string): Promise<void> {
  await ask(`/api/v1/executors/${encodeURIComponent(id)}/undrain`, { reason });
}
