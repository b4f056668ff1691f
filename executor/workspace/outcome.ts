/** From the helper's verdict to a stage's outcome. Pure. */
import type { StageOutcome } from "../../protocol/events.ts";
import type { FailedPhase } from "../log-stream.ts";
import type { Verdict } from "./verdict.ts";

/** What a script answers when it wants to be tried again. */
export const EX_TEMPFAIL = 75;

export type Ruling =
  | {
      readonly kind: "ended";
      readonly outcome: Extract<StageOutcome, "passed" | "failed" | "timedOut" | "cancelled">;
      readonly message: string;
      readonly exitCode: number | null;
      readonly signal: number | null;
      readonly phase: string | null;
    }
  /** We could not run it, or it asked to be tried again. */
  | { readonly kind: "errored"; readonly code: string; readonly message: string; readonly retryable: boolean };

export interface Circumstances {
  /** The phase that was running at the end. */
  readonly phase: string | null;
  readonly failed: FailedPhase | null;
  readonly timeoutMs: number;
  readonly silenceMs: number | null;
  /** Why a person ended it; null when nobody did. */
  readonly cancelled: string | null;
}

export function rulingOf(verdict: Verdict, at: Circumstances): Ruling {
  const phase = at.failed?.phase ?? at.phase;
  const inPhase = phase === null ? "" : ` in ${phase}`;
  const ended = { kind: "ended", exitCode: verdict.code, signal: verdict.signal, phase } as const;
  switch (verdict.reason) {
    case "setup":
      if (at.cancelled !== null) return { ...ended, outcome: "cancelled", message: at.cancelled };
      if (verdict.step === "allow-host") {
        const message = `\`network\` lists what no build reaches: ${verdict.message.replace("allow-host: ", "")}`;
        return { kind: "errored", code: "TOR_HOST_CLOSED", message, retryable: false };
      }
      return {
        kind: "errored",
        code: /No space left|ENOSPC|EDQUOT/.test(verdict.message) ? "TOR_DISK_FULL" : "TOR_SANDBOX_SETUP",
        message: `the workspace could not be set up: ${verdict.message}${leaveFor(verdict.lacks)}`,
        retryable: true,
      };
    case "cancelled":
      if (at.cancelled !== null) return { ...ended, outcome: "cancelled", message: at.cancelled };
      return {
        kind: "errored",
        code: "TOR_SANDBOX_SETUP",
        message: "the sandbox was ended from outside",
        retryable: true,
      };
    case "lease":
      return {
        kind: "errored",
        code: "TOR_SANDBOX_SETUP",
        message: "the executor stood still, and the sandbox was ended before another executor could begin",
        retryable: true,
      };
    case "timeout":
      return {
        ...ended,
        outcome: "timedOut",
        message: `it took longer than its timeout of ${durationText(at.timeoutMs)}${inPhase}`,
      };
    case "silence":
      return {
        ...ended,
        outcome: "timedOut",
        message: `it printed nothing for ${durationText(at.silenceMs ?? 0)}, its timeout of silence${inPhase}`,
      };
    case "exit":
      if (verdict.code === 0) return { ...ended, outcome: "passed", message: "" };
      if (verdict.code === EX_TEMPFAIL) {
        const message = `the script exited with ${EX_TEMPFAIL}${inPhase}, which asks for another attempt`;
        return { kind: "errored", code: "TOR_SCRIPT_TEMPFAIL", message, retryable: true };
      }
      return { ...ended, outcome: "failed", message: `exit code ${verdict.code ?? "unknown"}${inPhase}` };
    default:
      // oom, pids, disk, seccomp, signal, output: the helper's sentence says it.
      return { ...ended, outcome: "failed", message: `${verdict.message}${inPhase}` };
  }
}

/** The helper speaks of its own option; people set a variable. */
function leaveFor(lacks: readonly string[]): string {
  return lacks.length === 0 ? "" : `; TOROID_ALLOW_WEAK=${lacks.join(",")} does so`;
}

/** `90000` → `1m30s`, as people write it in the file. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${ms}ms`;
  const seconds = Math.round(ms / 1_000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 3_600), "h"],
    [Math.floor((seconds % 3_600) / 60), "m"],
    [seconds % 60, "s"],
  ];
  return parts.map(([count, unit]) => (count === 0 ? "" : `${count}${unit}`)).join("");
}
