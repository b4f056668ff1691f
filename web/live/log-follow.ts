import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { StageSummary } from "../../protocol/summary.ts";
import { Finder } from "../parts/log-finder.ts";
import type { BuildId } from "./api.ts";
import { LogBuffer } from "./log-buffer.ts";
import { followLog, type LogState } from "./log-stream.ts";

/** More at once than this is no more to be read as it comes. */
const BULK_BYTES = 48 * 1024;
const BULK_REST_MS = 120;

/** The log of the attempt that is shown, as it grows. */
export function useLog(
  id: BuildId,
  { name, round, attempt }: StageSummary,
): { readonly buffer: LogBuffer; readonly state: LogState } {
  const buffer = useMemo(() => new LogBuffer(), [attempt]);
  const [{ state }, show] = useState<{ readonly state: LogState }>({ state: "open" });
  useEffect(() => {
    if (attempt === 0) return undefined;
    let [frame, rest] = [0, 0];
    let newest: LogState = "open";
    let shown = { end: buffer.end, atMs: 0 };
    const render = (): void => {
      frame = 0;
      shown = { end: buffer.end, atMs: performance.now() };
      show({ state: newest });
    };
    const later = (): void => {
      rest = 0;
      frame = requestAnimationFrame(render);
    };
    const stop = followLog(id, { name, round, attempt }, buffer, (now) => {
      newest = now;
      if (frame !== 0 || rest !== 0) return;
      // Once a frame, however fast it comes; seldomer while a long one comes in, which is there sooner then.
      const isBulk = buffer.end - shown.end > BULK_BYTES && now === "open";
      const waitMs = isBulk ? shown.atMs + BULK_REST_MS - performance.now() : 0;
      if (waitMs > 0) rest = window.setTimeout(later, waitMs);
      else later();
    });
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(rest);
      stop();
    };
  }, [attempt]);
  return { buffer, state };
}

/** Of each frame, this much is for finding. */
const FIND_MS = 5;
/** While much comes in, showing it goes first; but no longer than this. */
const YIELD_MS = 2_000;
/** What was found in a long log is told this often, until all of it is known. */
const TELL_MS = 100;

/** Finds in a log that grows, a little in each frame. null finds nothing. */
export function useFinder(buffer: LogBuffer, has: RegExp | null, isByRuns: boolean): Finder | null {
  const finder = useMemo(() => (has === null ? null : new Finder(has, isByRuns)), [buffer, has?.source]);
  const [, show] = useState({});
  const turn = useRef(0);
  // A turn that has been asked for is not put off by rendering again, or much scrolling would be no finding.
  useEffect(() => {
    if (finder === null || turn.current !== 0) return;
    let told = { count: finder.hits.length, atMs: performance.now() };
    const yieldsUntilMs = performance.now() + YIELD_MS;
    let { end } = buffer;
    const step = (): void => {
      if (buffer.end - end > BULK_BYTES && performance.now() < yieldsUntilMs) {
        end = buffer.end;
        turn.current = requestAnimationFrame(step);
        return;
      }
      const until = performance.now() + FIND_MS;
      const isMore = finder.look(buffer, () => performance.now() > until);
      turn.current = isMore ? requestAnimationFrame(step) : 0;
      if (finder.hits.length === told.count || (isMore && told.count > 0 && performance.now() < told.atMs + TELL_MS))
        return;
      told = { count: finder.hits.length, atMs: performance.now() };
      show({});
    };
    turn.current = requestAnimationFrame(step);
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
