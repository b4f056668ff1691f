import { spawn } from "node:child_process";
import { once } from "node:events";
import { execa } from "execa";

/** A network and a mount namespace of a test's own. */
export interface Namespace extends AsyncDisposable {
  /** Of the process that holds it. */
  readonly pid: number;
  /** Words before a command that run it here. */
  readonly enter: readonly string[];
  sh(line: string): Promise<string>;
}

/** Lives as long as its input is open: not even a killed test leaves it behind. */
export async function namespace(): Promise<Namespace> {
  const holder = spawn("unshare", ["--net", "--mount", "sh", "-c", "ip link set lo up && echo ready && exec cat"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(holder, "exit");
  await once(holder.stdout, "data");
  const enter = ["nsenter", "-t", String(holder.pid), "-n", "-m", "--"];
  return {
    pid: holder.pid ?? 0,
    enter,
    sh: async (line) => (await execa("nsenter", [...enter.slice(1), "sh", "-ec", line])).stdout,
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await ended;
    },
  };
}
