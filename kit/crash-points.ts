/** Every place where a death leaves a different state behind. The fault tests kill at each in turn. */
export const CRASH_POINTS = [
  "coordinator-after-accepted",
  "coordinator-after-append",
  "coordinator-after-effects",
  "executor-after-claim",
  "executor-after-started",
  "executor-before-finish",
  "executor-after-finish",
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

const [armed, nth = "1"] = process.env["TOROID_CRASH_AT"]?.split(":") ?? [];
let left = Number(nth);

/**
 * Dies as a lost machine would: no finally, no flush. Does nothing unless TOROID_CRASH_AT names this point; with
 * `NAME:3` it does so when it comes here for the third time.
 */
export function crashPoint(name: CrashPoint): void {
  if (armed !== name) return;
  left -= 1;
  if (left === 0) process.kill(process.pid, "SIGKILL");
}
