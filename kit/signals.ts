/** Two stages of ending. `stop`: take nothing new and finish what is in hand. `hard`: abandon what is in hand. */
export interface Signals {
  readonly stop: AbortSignal;
  readonly hard: AbortSignal;
}

/**
 * SIGTERM or SIGINT stops; a second one is hard. A parent that gave us a pipe as standard input and
 * TOROID_WITH_PARENT=1 is watched: when the pipe closes, the parent is gone, and we go at once.
 */
export function onSignals(): Signals {
  const stop = new AbortController();
  const hard = new AbortController();
  const ask = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) hard.abort(new Error(`second ${signal}`));
    stop.abort(new Error(signal));
  };
  process.on("SIGTERM", ask);
  process.on("SIGINT", ask);
  if (process.env["TOROID_WITH_PARENT"] === "1") {
    process.stdin.on("close", () => {
      stop.abort(new Error("the parent process is gone"));
      hard.abort(new Error("the parent process is gone"));
    });
    process.stdin.resume();
    process.stdin.unref();
  }
  return { stop: stop.signal, hard: hard.signal };
}

/** Resolves when `signal` aborts; at once if it has. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
