import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";

/**
 * What is in use on this machine, by however many processes. A pin is a listening socket in Linux's abstract namespace,
 * as a lock is (`lock.ts`), with a name of its own behind the one of the thing: the kernel takes it away with its process,
 * and lists all there are. Elsewhere there is no such socket and nothing is ever in use.
 */
export interface Pin {
  release(): Promise<void>;
}

/** Says that `name` is in use, until it is released or we die. */
export async function pin(name: string): Promise<Pin> {
  if (process.platform !== "linux") return { release: () => Promise.resolve() };
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(`\0${markOf(name)}${randomBytes(8).toString("hex")}`, resolve);
  });
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** Tells of any name whether it is in use now. */
export async function pinned(): Promise<(name: string) => boolean> {
  if (process.platform !== "linux") return () => false;
  const sockets = await readFile("/proc/net/unix", "utf8");
  return (name) => sockets.includes(`@${markOf(name)}`);
}

function markOf(name: string): string {
  return `toroid-pin-${createHash("sha256").update(name).digest("hex").slice(0, 32)}-`;
}
