/** Every attempt at a stage, by its log; pure. */
import { z } from "zod";
import { assertNever } from "../../protocol/errors.ts";
import { purpose, type StageEvent } from "../../protocol/events.ts";

export const attemptSummary = z.object({
  attempt: z.number().int().positive(),
  /** `check`: whether an earlier one had gone. */
  purpose,
  executor: z.string(),
  /** Why it was taken from the executor before; null when it was not. */
  tookOver: z.string().nullable(),
  queuedAtMs: z.number().nullable(),
  claimedAtMs: z.number(),
  startedAtMs: z.number().nullable(),
  endedAtMs: z.number().nullable(),
  /** How it ended: the outcome of the stage, `errored`, or `lost` when another executor took over; null: it has not. */
  ended: z.string().nullable(),
  /** Of an error. */
  code: z.string().nullable(),
  message: z.string(),
  image: z.string().nullable(),
});
export type AttemptSummary = z.infer<typeof attemptSummary>;

export function attemptsIn(events: readonly StageEvent[]): readonly AttemptSummary[] {
  const attempts: AttemptSummary[] = [];
  let queuedAtMs: number | null = null;
  function change(changes: Partial<AttemptSummary>): void {
    const last = attempts.pop();
    if (last !== undefined) attempts.push(last.endedAtMs === null ? { ...last, ...changes } : last);
  }
  for (const event of events) {
    const { atMs } = event;
    switch (event.type) {
      case "queued":
        queuedAtMs = atMs;
        break;
      case "claimed": {
        const { attempt, executor, tookOver } = event;
        change({ endedAtMs: atMs, ended: "lost", message: tookOver ?? "" });
        const open = { startedAtMs: null, endedAtMs: null, ended: null, code: null, message: "", image: null };
        attempts.push({ attempt, purpose: event.purpose, executor, tookOver, queuedAtMs, claimedAtMs: atMs, ...open });
        break;
      }
      case "started":
        change({ startedAtMs: atMs, image: event.image ?? null });
        break;
      case "attemptErrored":
        change({ endedAtMs: atMs, ended: "errored", code: event.code, message: event.message });
        break;
      case "finished":
        change({ endedAtMs: atMs, ended: event.result.outcome, message: event.result.message });
        break;
      case "publishing":
      case "cancelRequested":
        break;
      default:
        assertNever(event, "stage event");
    }
  }
  return attempts;
}
