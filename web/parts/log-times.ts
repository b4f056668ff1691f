/** When a line was printed, in one of the ways that a person chose. Pure but for the time zone. */

export const TIME_WAYS = ["none", "since", "clock"] as const;
export type TimeWay = (typeof TIME_WAYS)[number];

export const TIME_WORDS: Readonly<Record<TimeWay, string>> = {
  none: "no times",
  since: "since the start",
  clock: "clock times",
};

const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

/** `1:02.345` since `beganAtMs`, `14:03:09.120` by the clock; empty where it is not known or not wanted. */
export function timeText(way: TimeWay, atMs: number | null, beganAtMs: number | null): string {
  if (atMs === null || way === "none") return "";
  if (way === "clock") return CLOCK.format(atMs);
  const ms = Math.max(0, Math.round(atMs - (beganAtMs ?? atMs)));
  const [hours, minutes] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60];
  const seconds = ((ms % 60_000) / 1_000).toFixed(3).padStart(6, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}
