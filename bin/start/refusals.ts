/** What `toroid start` needs of the machine. Each lack is one sentence, and said before anything is started. */
import { statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { EXIT, Failure } from "../exit.ts";

const MIB = 1024 * 1024;
/** For the streams, the queue, the sample and its workspaces. */
const NEEDED_BYTES = 64 * MIB;
/** So little is left only where something wanted to write more. */
const FULL_BYTES = MIB;
const LOOK_MS = 500;

export function refuseWrongMachine(): void {
  if (process.platform !== "linux") {
    throw new Failure(
      EXIT.usage,
      "TOR_TOOL_MISSING",
      `builds run in Linux namespaces, and this is ${process.platform}: use a Linux machine`,
    );
  }
  if (process.getuid?.() !== 0) {
    throw new Failure(
      EXIT.usage,
      "TOR_NOT_ROOT",
      "toroid start must be root, because it makes workspaces out of namespaces and mounts: run it with sudo",
    );
  }
}

/** @param ports by the flag that names another; 0 is always free. */
export async function refuseTakenPorts(ports: Readonly<Record<string, number>>): Promise<void> {
  for (const [flag, port] of Object.entries(ports)) {
    if (port === 0 || (await isFree(port))) continue;
    const message = `port ${port} on 127.0.0.1 is in use, perhaps by another toroid start: stop what listens there, or choose another with ${flag}`;
    throw new Failure(EXIT.usage, "TOR_ADDRESS_IN_USE", message);
  }
}

export async function refuseFullDisk(dir: string): Promise<void> {
  const free = await freeBytes(dir);
  if (free < NEEDED_BYTES) throw diskFull(`${dir} (${Math.floor(free / MIB)} MiB are free, 64 MiB are needed)`);
}

/** `error`, or, where the disk is full by now, that: whichever part noticed it first says it in its own way. */
export async function plainly(error: unknown, dir: string): Promise<unknown> {
  if (error instanceof Failure && error.code === "TOR_INTERRUPTED") return error;
  return (await isFull(dir)) ? diskFull(dir, error) : error;
}

/** Rejects once the disk is full, until `signal`: every part tries again for a while, and nothing would come of it. */
export async function refuseOnceFull(dir: string, signal: AbortSignal): Promise<never> {
  for (;;) {
    await delay(LOOK_MS, undefined, { signal, ref: false });
    if (await isFull(dir)) throw diskFull(dir);
  }
}

async function isFull(dir: string): Promise<boolean> {
  return (await freeBytes(dir).catch(() => Number.POSITIVE_INFINITY)) < FULL_BYTES;
}

function diskFull(where: string, cause?: unknown): Failure {
  return new Failure(EXIT.server, "TOR_DISK_FULL", `no space left on the disk of ${where}`, { cause });
}

/** 0 as well where no file can be made any more. */
async function freeBytes(dir: string): Promise<number> {
  const { bavail, bsize, files, ffree } = await statfs(dir);
  return files > 0 && ffree === 0 ? 0 : bavail * bsize;
}

function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve, reject) => {
    probe.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
