/** One at a time on this host, whatever process it is: who waits for another's image says so, and may give up. */
import { basename, dirname, join } from "node:path";
import { type Lock, takeLock } from "../../kit/lock.ts";

/** Held by who makes or removes what lies at `root` in a store. */
export function imageLock(root: string): string {
  return `image ${root}`;
}

/** Where `root` is made, or goes away: nobody else does either at the same time. */
export function draftOf(root: string): string {
  return join(dirname(root), `.draft-${basename(root)}`);
}

/**
 * @param waits called once when another has it
 * @throws the reason of `ends`
 */
export async function turnOf(name: string, ends: AbortSignal, waits: () => Promise<void>): Promise<Lock> {
  const lock = takeLock(name);
  const waiting = Promise.withResolvers<never>();
  const giveUp = (): void => {
    void lock.then((one) => one.release());
    waiting.reject(ends.reason);
  };
  if (ends.aborted) giveUp();
  ends.addEventListener("abort", giveUp, { once: true });
  try {
    const first = await Promise.race([lock, waiting.promise, turnOfEventLoop()]);
    if (first !== null) return first;
    await waits();
    return await Promise.race([lock, waiting.promise]);
  } finally {
    ends.removeEventListener("abort", giveUp);
  }
}

/** Null after everything that is ready by now. */
function turnOfEventLoop(): Promise<null> {
  return new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(null))));
}
