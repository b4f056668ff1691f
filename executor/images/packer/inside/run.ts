/**
 * What the workspace of Packer starts: the SSH server, and Packer as its client. Reads nothing but its arguments, and
 * runs with nothing of ours around it, for a template can run commands beside it.
 */
import { spawn } from "node:child_process";
import { chmod, writeFile } from "node:fs/promises";
import { makeSshServer } from "./server.ts";
import { Target } from "./target.ts";

export interface Inside {
  /** The directory that the workspace which becomes the image sees too. */
  readonly exchange: string;
  readonly port: number;
  /** Where Packer finds its key. */
  readonly keyFile: string;
  readonly packer: string;
  readonly words: readonly string[];
}

/** Runs Packer to its end and becomes its exit code. */
export async function runInside(o: Inside): Promise<void> {
  const target = new Target(o.exchange);
  // Packer's first command is not the first one of all: that a shell answers is known by now.
  await target.run(":");
  const server = makeSshServer(target);
  await writeFile(o.keyFile, server.clientKey, { mode: 0o600 });
  await chmod(o.keyFile, 0o600);
  await server.listen(o.port, "127.0.0.1");
  const packer = spawn(o.packer, o.words, { stdio: ["ignore", "inherit", "inherit"], detached: true });
  // To its process alone it would be ignored.
  process.on("SIGTERM", () => packer.pid !== undefined && process.kill(-packer.pid, "SIGINT"));
  const code = await new Promise<number>((resolve, reject) => {
    packer.once("error", reject);
    packer.once("close", (ended) => resolve(ended ?? 1));
  });
  server.close();
  target.close();
  process.exit(code);
}
