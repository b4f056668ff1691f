/** Starts the sandbox helper itself, as root: for `toroid run`, and for what it answers at once. */
import { type ChildProcess, spawn } from "node:child_process";
import { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { execa } from "execa";
import { type Verdict, verdictOf } from "./verdict.ts";

export interface HelperRun {
  readonly binary: string;
  readonly options: readonly string[];
  readonly command: readonly string[];
  /** What becomes the command's standard input, output and error. */
  readonly stdio: readonly ["ignore" | number, number, number];
  /** Called once the child has it. */
  readonly taken: () => void;
  /** Ends the command in order: TERM, a time of grace, KILL. */
  readonly cancelled: AbortSignal;
  /** Ends everything at once. */
  readonly abandoned: AbortSignal;
}

/**
 * The verdict arrives on a descriptor of its own, so nothing that the command prints can forge it.
 *
 * By spawn and not by execa, whose types know no descriptor of ours as standard output, and which costs a millisecond.
 */
export async function runHelper(run: HelperRun): Promise<Verdict> {
  const args = ["--json-status-fd", "3", "--args", "4", "--parent-pid", String(process.pid)];
  const child = spawn(run.binary, ["run", ...args, "--", ...run.command], {
    stdio: [...run.stdio, "pipe", "pipe"],
    env: {},
  });
  run.taken();
  const signal = (name: NodeJS.Signals) => (): void => void child.kill(name);
  // A second signal ends the time of grace; two of one number could arrive as one.
  const [cancel, atOnce] = [signal("SIGTERM"), signal("SIGINT")];
  for (const one of [run.cancelled, run.abandoned]) listen(one, cancel);
  listen(run.abandoned, atOnce);
  try {
    // Each ended by NUL, over a descriptor: so no value shows in the list of processes.
    const bytes = Buffer.from(run.options.map((word) => `${word}\0`).join(""), "utf8");
    const [ended, said] = await Promise.all([endOf(child), feed(child, bytes)]);
    const verdict = verdictOf(said);
    return ended === null ? verdict : { ...verdict, message: `the sandbox helper cannot be run: ${ended}` };
  } finally {
    for (const one of [run.cancelled, run.abandoned]) one.removeEventListener("abort", cancel);
    run.abandoned.removeEventListener("abort", atOnce);
  }
}

function listen(signal: AbortSignal, act: () => void): void {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
}

/** Why it could not be started, or null once it is gone. */
function endOf(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", () => resolve(null));
  });
}

/** Gives it its options and collects what it says. */
async function feed(child: ChildProcess, options: Uint8Array): Promise<string> {
  const [, , , status, into] = child.stdio;
  if (!(status instanceof Readable) || !(into instanceof Writable)) return "";
  into.on("error", () => undefined); // a helper that is gone says so by its verdict
  into.end(options);
  return text(status).catch(() => "");
}

/** Runs a command of the helper that answers on standard output: `check`, `gc`. */
export async function askHelper(
  binary: string,
  args: readonly string[],
): Promise<{ readonly ok: boolean; readonly stdout: string; readonly stderr: string }> {
  const ended = await execa(binary, args, {
    stdin: "ignore",
    env: {},
    extendEnv: false,
    reject: false,
    timeout: 60_000,
  });
  const stderr = ended.stderr === "" || ended.stderr === undefined ? (ended.shortMessage ?? "") : ended.stderr;
  return { ok: ended.exitCode === 0, stdout: ended.stdout ?? "", stderr };
}
