import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** A process of a test's own, killed at the end of the block that holds it. */
export interface Child extends AsyncDisposable {
  readonly pid: number;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** The next line it prints; undefined once its output has ended. */
  line(): Promise<string | undefined>;
  kill(signal: NodeJS.Signals): void;
}

/** Runs a program; what it prints as errors goes to the test's own. */
export function program(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Child {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env } });
  const exited = exitOf(child);
  exited.catch(() => undefined); // a program that does not exist: whoever waits for it hears
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid ?? 0,
    exited,
    line: async () => {
      const next = await lines.next();
      return next.done === true ? undefined : next.value;
    },
    kill: (signal) => void child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exited.catch(() => undefined);
    },
  };
}

/** Runs a TypeScript file as a process. */
export function script(file: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Child {
  return program(process.execPath, [file, ...args], env);
}

/** True while the process runs; one that has ended and that nobody has waited for yet does not. */
export function isAlive(pid: number): boolean {
  try {
    // The state follows the name, which stands in brackets and may hold anything.
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

function exitOf(child: ChildProcess): Child["exited"] {
  return new Promise((resolve, reject) => {
    child.once("error", reject).once("exit", (code, signal) => resolve({ code, signal }));
  });
}
