/** Two stages of ending. `stop`: take nothing new and finish what is in hand. `hard`: abandon what is in hand. */
export interface Signals {
  readonly stop: AbortSignal;
  readonly hard: AbortSignal;
}

/** How long abandoning may take. What is still there then waits for something that will not come. */
const ABANDON_MS = 8_000;

/**
 * SIGTERM or SIGINT stops; a second one is hard, and so is the end of the time that finishing may take. A process that
 * was started with a channel to its parent watches it: when the channel closes, the parent is gone, and we go at once.
 */
export function onSignals(finishWithinMs: number | null = null): Signals {
  const stop = new AbortController();
  const hard = new AbortController();
  const ask = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) hard.abort(new Error(`second ${signal}`));
    stop.abort(new Error(signal));
  };
  stop.signal.addEventListener("abort", () => {
    if (finishWithinMs === null) return;
    const over = new Error(`what was in hand took longer than ${finishWithinMs / 1_000} s`);
    setTimeout(() => hard.abort(over), finishWithinMs).unref();
  });
  process.on("SIGTERM", ask);
  process.on("SIGINT", ask);
  if (process.connected) {
    process.on("disconnect", () => {
      stop.abort(new Error("the parent process is gone"));
      hard.abort(new Error("the parent process is gone"));
    });
    process.channel?.unref();
  }
  hard.signal.addEventListener("abort", () => {
    setTimeout(() => process.exit(1), ABANDON_MS).unref();
  });
  return { stop: stop.signal, hard: hard.signal };
}

/** Tells the parent, if there is one that listens, that this process is ready. */
export function tellParent(message: Readonly<Record<string, string>>): void {
  if (process.connected) process.send?.(message);
}

/** Resolves when `signal` aborts; at once if it has. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
