import type { JSX } from "preact";
import { useNow } from "../live/clock.ts";
import { ago, took } from "./duration.ts";

/** `3m ago`, with the exact time for whoever points at it. */
export function Ago({ atMs }: { readonly atMs: number }): JSX.Element {
  const now = useNow();
  const at = new Date(atMs);
  return (
    <time dateTime={at.toISOString()} title={at.toLocaleString()}>
      {ago(now - atMs)}
    </time>
  );
}

/** An instant that people plan by: `18:00`, with its date when it is not today. */
export function At({ atMs }: { readonly atMs: number }): JSX.Element {
  const at = new Date(atMs);
  const today = at.toDateString() === new Date(useNow()).toDateString();
  const clock: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
  const text = at.toLocaleString(undefined, today ? clock : { ...clock, month: "short", day: "numeric" });
  return (
    <time dateTime={at.toISOString()} title={at.toLocaleString()}>
      {text}
    </time>
  );
}

/** How long something took, or has been taking. */
export function Took({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number | null }): JSX.Element {
  const now = useNow();
  return <>{took(Math.max(0, (toMs ?? now) - fromMs))}</>;
}
