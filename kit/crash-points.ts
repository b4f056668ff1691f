/** Every place where a death leaves a different state behind. The fault tests kill at each in turn. */
export const CRASH_POINTS = [
  // The push is in the log, and its message in the queue.
  "coordinator-after-accepted",
  // An event, and nothing of what follows from it.
  "coordinator-after-append",
  // A stage is queued, and no executor told.
  "coordinator-before-dispatch",
  // It is told; that it was queued comes again.
  "coordinator-after-dispatch",
  // The same of one that had waited for its turn, and that is still held back.
  "coordinator-before-release",
  // The lane let a stage go that is not queued.
  "coordinator-after-admitted",
  // The stage left its lane, and its build does not know.
  "coordinator-after-leave",
  // The stage is told that its time is over, and its timer is there.
  "coordinator-after-overdue",
  // The stage of a dead command is told, and the command in the queue.
  "coordinator-before-bury",
  // All is done that follows from an event; it comes again.
  "coordinator-after-effects",
  // A command is in hand.
  "executor-before-claim",
  "executor-after-claim",
  "executor-after-started",
  // It is said that publishing begins, and nothing is published.
  "executor-after-publishing",
  "executor-before-finish",
  // The end is in the log, and the command in the queue.
  "executor-after-finish",
  // The same of a stage that it ended for another executor.
  "executor-after-give-up",
] as const;

/** The same of an executor that bakes an AMI, for which there has to be a cloud. */
export const BAKE_CRASH_POINTS = [
  // A key pair and a security group are there, and nothing that needs them.
  "executor-bake-door",
  // An instance runs.
  "executor-bake-launched",
  // An AMI is asked for, of an instance that is there.
  "executor-bake-imaging",
  // The AMI is there, and nobody knows.
  "executor-bake-made",
] as const;

/** The same of a coordinator that intake gives what nobody can read. */
export const LETTER_CRASH_POINTS = [
  // What was refused is a dead letter, and its message in the queue.
  "coordinator-after-letter",
  // A replay is done, and its letter does not say so.
  "coordinator-after-replay",
] as const;

/** The same of a coordinator that notifies, for which there has to be somebody to tell. */
export const NOTIFY_CRASH_POINTS = [
  // It is known what is to be said, and nothing written down.
  "coordinator-before-noted",
  // It is ruled whether it is a change, and nothing else written down.
  "coordinator-after-ruled",
  // All is written down; the event comes again.
  "coordinator-after-noted",
  // It is about to be sent.
  "coordinator-after-notice-claimed",
  // The other side has it, and nobody knows.
  "coordinator-after-notice-sent",
] as const;
export type CrashPoint =
  | (typeof CRASH_POINTS)[number]
  | (typeof BAKE_CRASH_POINTS)[number]
  | (typeof LETTER_CRASH_POINTS)[number]
  | (typeof NOTIFY_CRASH_POINTS)[number];

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
