import { createHash } from "node:crypto";
import { connect, createServer, type Server } from "node:net";

/**
 * A lock among the processes of one machine that its holder cannot leave behind: a listening socket in Linux's
 * abstract namespace, which the kernel takes away with the process, whatever it died of. Elsewhere there is no such
 * socket and the lock is always granted.
 */
export interface Lock extends AsyncDisposable {
  release(): Promise<void>;
}

/** The lock called `name`, or undefined when another process (or another part of this one) holds it. */
export async function tryLock(name: string): Promise<Lock | undefined> {
  if (process.platform !== "linux") return lockOf(undefined);
  const server = createServer((waiter) => waiter.on("error", () => waiter.destroy()).resume());
  const waiting = new Set<{ destroy(): void }>();
  server.on("connection", (waiter) => {
    waiting.add(waiter);
    waiter.once("close", () => waiting.delete(waiter)).unref();
  });
  const held = await new Promise<boolean>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    server.listen(addressOf(name), () => resolve(true));
  });
  server.unref();
  return held ? lockOf(server, waiting) : undefined;
}

/** Waits until the lock called `name` is ours. */
export async function takeLock(name: string): Promise<Lock> {
  for (;;) {
    const lock = await tryLock(name);
    if (lock !== undefined) return lock;
    await holderGone(name);
  }
}

function lockOf(server: Server | undefined, waiting: Iterable<{ destroy(): void }> = []): Lock {
  const release = async (): Promise<void> => {
    if (server?.listening !== true) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const waiter of waiting) waiter.destroy();
    await closed;
  };
  return { release, [Symbol.asyncDispose]: release };
}

/** Resolves when the holder's end of a connection closes, which its death does as well. */
function holderGone(name: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(addressOf(name));
    socket.once("error", () => socket.destroy());
    socket.once("close", () => resolve());
    socket.resume();
  });
}

/** Socket addresses hold about 100 bytes, paths are longer: so the name goes in as its hash. */
function addressOf(name: string): string {
  return `\0toroid-lock-${createHash("sha256").update(name).digest("hex").slice(0, 32)}`;
}
