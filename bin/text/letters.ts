import { formatBuild } from "../../protocol/ids.ts";
import type { LetterDeed, LetterSummary } from "../../protocol/letter.ts";
import { printable } from "../../protocol/pipeline/text-rules.ts";
import { asLines, oneLine, table } from "./output.ts";
import { age } from "./time.ts";

export function letterTable(letters: readonly LetterSummary[], nowMs: number): string {
  const rows = letters.map((letter) => [
    letter.id,
    letter.kind,
    letter.state,
    age(letter.atMs, nowMs),
    oneLine(letter.body, 40),
    oneLine(letter.why, 200),
  ]);
  return table([["DEAD LETTER", "KIND", "STATE", "AGE", "WHAT", "WHY"], ...rows]);
}

/** What is known of one, what was done about it, and then what is in it. */
export function letterReport(letter: LetterSummary): string {
  const build = letter.build === null ? "" : `, ${formatBuild(letter.build)}`;
  const cut = letter.whole ? "" : "; its end is missing";
  const attributes = Object.entries(letter.attributes).map(([name, value]) => `  ${oneLine(`${name}: ${value}`, 200)}`);
  return [
    `${letter.id}: ${letter.kind}, ${letter.state}${build}`,
    ...letter.history.map((deed) => `  ${deedLine(deed)}`),
    ...(attributes.length === 0 ? [] : ["attributes:", ...attributes]),
    `body, ${letter.bytes} bytes${cut}:`,
    ...asLines(letter.body).map(printable),
    "",
  ].join("\n");
}

function deedLine({ atMs, what, by, why }: LetterDeed): string {
  return `${new Date(atMs).toISOString()} ${what}${by === null ? "" : ` by ${oneLine(by)}`}: ${oneLine(why, 200)}`;
}
