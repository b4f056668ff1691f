/** What a size may look like, for messages. */
export const SIZE = "a size such as `512MiB` or `2GiB`";

const BINARY = { TiB: 2 ** 40, GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10, B: 1 } as const;
const UNITS: Readonly<Record<string, number>> = { ...BINARY, TB: 1e12, GB: 1e9, MB: 1e6, kB: 1e3, KB: 1e3 };

/** Bytes, or what is wrong with `text`: a number and `B`, `KiB`, `MiB`, `GiB`, `TiB` (1024) or `kB`, `MB`, `GB`, `TB`. */
export function parseSize(text: string): { readonly bytes: number } | { readonly problem: string } {
  const parts = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(text);
  const [, count, unit] = parts ?? [];
  if (count === undefined || unit === undefined) return { problem: explain(text) };
  const factor = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
  if (factor === undefined) return { problem: explain(text, count, unit) };
  const bytes = Math.round(Number(count) * factor);
  if (!Number.isSafeInteger(bytes)) return { problem: `\`${text.slice(0, 40)}\` is too large for a size` };
  return { bytes };
}

/** The shortest exact text that `parseSize` reads back as `bytes`; a whole number from 0. */
export function sizeText(bytes: number): string {
  for (const [unit, factor] of Object.entries(BINARY))
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  return "0B";
}

function explain(text: string, count?: string, unit?: string): string {
  const expected = `expected ${SIZE}`;
  if (/^\d+(?:\.\d+)?$/.test(text)) return `${expected}; \`${text.slice(0, 40)}\` has no unit`;
  const first = unit?.[0]?.toUpperCase();
  if (count !== undefined && first !== undefined && /^[kmgt](?:i?b?|bytes?)$/i.test(unit ?? ""))
    return `${expected}; write \`${count.slice(0, 40)}${first}iB\``;
  return `${expected}, found \`${text.slice(0, 40)}\``;
}
