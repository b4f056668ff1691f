const LONG = new Intl.DurationFormat("en", { style: "narrow" });
const PAST = new Intl.RelativeTimeFormat("en", { style: "narrow" });

/** `0.4s`, `12s`, `3m 5s`, `1h 2m` */
export function took(ms: number): string {
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1_000);
  const parts = { hours: Math.floor(seconds / 3_600), minutes: Math.floor(seconds / 60) % 60, seconds: seconds % 60 };
  return LONG.format(parts.hours > 0 ? { ...parts, seconds: 0 } : parts);
}

/** `12s ago`, `3m ago`, `5h ago`, `2d ago` */
export function ago(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return PAST.format(-seconds, "second");
  if (seconds < 3_600) return PAST.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 2 * 86_400) return PAST.format(-Math.floor(seconds / 3_600), "hour");
  return PAST.format(-Math.floor(seconds / 86_400), "day");
}

/** As {@link took}, for what may be very short: `0.4ms`, `32ms`. */
export function exact(ms: number): string {
  if (ms < 10) return `${Math.round(ms * 10) / 10}ms`;
  return ms < 1_000 ? `${Math.round(ms)}ms` : took(ms);
}
