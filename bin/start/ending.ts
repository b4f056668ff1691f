import { EXIT, Failure } from "../exit.ts";

/** One Ctrl-C may come twice: from the terminal, and from the npm that runs us. */
const SAME_REQUEST_MS = 1_000;

const WHY = { SIGINT: "interrupted", SIGTERM: "terminated", SIGHUP: "the terminal is gone" } as const;

/**
 * Aborts when somebody asks us to end, so that everything is undone in order. Who asks again, having waited, is obeyed
 * at once: every part ends with this process.
 */
export function onEndRequest(): AbortSignal {
  const ending = new AbortController();
  let askedAtMs = 0;
  const ask = (why: string): void => {
    if (ending.signal.aborted) {
      if (performance.now() - askedAtMs > SAME_REQUEST_MS) process.exit(EXIT.interrupted);
      return;
    }
    askedAtMs = performance.now();
    ending.abort(new Failure(EXIT.interrupted, "TOR_INTERRUPTED", why));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ask(WHY[signal]));
  return ending.signal;
}

/** What `work` resolves with, unless `signal` aborts before: then rejects with its reason. */
export async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  work.catch(() => undefined); // nobody hears of it after the abort
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
