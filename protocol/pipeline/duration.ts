/** What a duration may look like, for messages. */
export const DURATION = "a duration such as `90s`, `30m` or `1h30m`";

const UNITS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
const WORDS = /^(\d+)(?:\s*)(hours?|hrs?|minutes?|mins?|seconds?|secs?|days?|d)$/i;

/** Milliseconds, or what is wrong with `text`: `30m`, `2h`, `90s`, `250ms`, `1h30m`; large units first, each once. */
export function parseDuration(text: string): { readonly ms: number } | { readonly problem: string } {
  const parts = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  if (parts === null || text === "") return { problem: explain(text) };
  const [, h, m, s, ms] = parts.map((part) => Number(part ?? 0));
  const total = (h ?? 0) * UNITS.h + (m ?? 0) * UNITS.m + (s ?? 0) * UNITS.s + (ms ?? 0);
  if (!Number.isSafeInteger(total)) return { problem: `\`${text.slice(0, 40)}\` is too long for a duration` };
  return { ms: total };
}

/** The shortest text that `parseDuration` reads back as `ms`; a whole number from 0. */
export function durationText(ms: number): string {
  let rest = ms;
  let text = "";
  for (const [unit, size] of Object.entries(UNITS)) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text === "" ? "0s" : text;
}

function explain(text: string): string {
  const expected = `expected ${DURATION}`;
  if (/^\d+$/.test(text)) return `${expected}; \`${text.slice(0, 40)}\` has no unit`;
  const words = WORDS.exec(text);
  if (words?.[1] !== undefined && words[2] !== undefined) {
    const unit = words[2][0]?.toLowerCase();
    const count = Number(words[1]);
    return `${expected}; write \`${unit === "d" ? `${count * 24}h` : `${count}${unit}`}\``;
  }
  return `${expected}, found \`${text.slice(0, 40)}\``;
}
