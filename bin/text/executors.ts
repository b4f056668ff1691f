import type { Presence } from "../../protocol/commands.ts";
import { oneLine, table } from "./output.ts";
import { age } from "./time.ts";

/** What it does now, in a word. */
function stateOf({ draining, busy }: Presence): string {
  if (draining) return busy > 0 ? "draining" : "drained";
  return busy > 0 ? "busy" : "idle";
}

export function executorTable(executors: readonly Presence[], nowMs: number): string {
  const rows = executors.map((e) => [
    e.id,
    oneLine(e.host, 40),
    oneLine(e.pool, 30),
    oneLine(e.labels.join(","), 40),
    stateOf(e),
    `${e.busy}/${e.slots}`,
    oneLine(e.version, 20),
    age(e.sinceMs, nowMs),
    oneLine(e.draining ? e.why : e.runs.join(", "), 200),
  ]);
  return table([["EXECUTOR", "HOST", "POOL", "LABELS", "STATE", "BUSY", "VERSION", "UP", "RUNS"], ...rows]);
}

/** `build-7-1f0c9a3e: draining, 2 of 4 slots busy; drained by ann: new kernel` */
export function executorLine(e: Presence): string {
  const why = e.why === "" ? "" : `; ${oneLine(e.why, 200)}`;
  return `${e.id}: ${stateOf(e)}, ${e.busy} of ${e.slots} slots busy${why}`;
}
