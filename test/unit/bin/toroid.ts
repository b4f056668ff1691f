import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";

export const BIN = join(import.meta.dirname, "..", "..", "..", "bin", "toroid.ts");

export interface Ran {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ran>;
}

export interface Surroundings {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts the real command. */
export function start(args: readonly string[], { cwd, env = {} }: Surroundings = {}): Running {
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd,
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 30_000,
  });
  const exit = new Promise<number | null>((resolve) => {
    child.once("close", resolve);
  });
  const ended = Promise.all([exit, text(child.stdout), text(child.stderr)]).then(([code, out, err]) => ({
    exit: code,
    out,
    err,
  }));
  return { child, ended };
}

/** Runs it to its end. */
export function toroid(args: readonly string[], surroundings?: Surroundings): Promise<Ran> {
  return start(args, surroundings).ended;
}
