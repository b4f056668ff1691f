import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { StageSummary } from "../../protocol/summary.ts";
import { Finder } from "../parts/log-finder.ts";
import type { BuildId } from "./api.ts";
import { LogBuffer } from "./log-buffer.ts";
import { followLog, type LogState } from "./log-stream.ts";

/** The log of the attempt that is shown, as it grows. */
export function useLog(
  id: BuildId,
  { name, round, attempt }: StageSummary,
): { readonly buffer: LogBuffer; readonly state: LogState } {
  const buffer = useMemo(() => new LogBuffer(), [attempt]);
  const [{ state }, show] = useState<{ readonly state: LogState }>({ state: "open" });
  useEffect(() => {
    if (attempt === 0) return undefined;
    let frame = 0;
    const stop = followLog(id, { name, round, attempt }, buffer, (now) => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => show({ state: now })); // once a frame, however fast it comes
    });
    return () => {
      cancelAnimationFrame(frame);
      stop();
    };
  }, [attempt]);
  return { buffer, state };
}

/** Of each frame, this much is for finding. */
const FIND_MS = 6;

/** Finds in a log that grows, a little in each frame. null finds nothing. */
export function useFinder(buffer: LogBuffer, has: RegExp | null, isByRuns: boolean): Finder | null {
  const finder = useMemo(() => (has === null ? null : new Finder(has, isByRuns)), [buffer, has?.source]);
  const [, show] = useState({});
  const turn = useRef(0);
  // A turn that has been asked for is not put off by rendering again, or much scrolling would be no finding.
  useEffect(() => {
    if (finder === null || turn.current !== 0) return;
    turn.current = requestAnimationFrame(() => {
      turn.current = 0;
      const [until, known] = [performance.now() + FIND_MS, finder.hits.length];
      const isMore = finder.look(buffer, () => performance.now() > until);
      if (isMore || finder.hits.length !== known) show({});
    });
  });
  useEffect(
    () => () => {
      cancelAnimationFrame(turn.current);
      turn.current = 0;
    },
    [finder],
  );
  return finder;
}
