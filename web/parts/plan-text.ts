/** A stage's plan as people would have written it: what says nothing is left out. Pure. */
import { took } from "./duration.ts";

type Value = unknown;
const PLAIN_WORDS = /^[A-Za-z_./~$*][\w ./:@~$*+=-]*$/;
/** `2GiB`, `1h 30m` */
const AMOUNT = /^\d+(?:\.\d+)?(?:[KMG]iB|B|ms|[hms])(?: \d+[ms])*$/;
const AMBIGUOUS = /^(?:true|false|null|yes|no|on|off|~)$|: |:$| #| $/i;

/** Lines of YAML; empty when there is nothing to say. */
export function planText(value: Value): string {
  return linesOf(pruned(value)).join("\n");
}

function linesOf(value: Value): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((one: Value) => nested("-", one));
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([key, one]) => nested(`${scalar(key)}:`, one));
  }
  return [scalar(value)];
}

function nested(head: string, value: Value): readonly string[] {
  if (typeof value === "string" && value.includes("\n")) {
    return [
      `${head} |`,
      ...value
        .replace(/\n$/, "")
        .split("\n")
        .map((line) => `  ${line}`),
    ];
  }
  const lines = linesOf(value);
  if (typeof value !== "object" || value === null) return [`${head} ${lines[0] ?? ""}`];
  if (head === "-") return lines.map((line, i) => `${i === 0 ? "- " : "  "}${line}`);
  return [head, ...lines.map((line) => `  ${line}`)];
}

function scalar(value: Value): string {
  if (typeof value !== "string") return String(value);
  if (AMOUNT.test(value)) return value;
  return PLAIN_WORDS.test(value) && !AMBIGUOUS.test(value) ? value : JSON.stringify(value);
}

/** Without what is empty; sizes and times in words. */
function pruned(value: Value): Value {
  if (Array.isArray(value)) return value.map(pruned);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).flatMap(([key, one]): [string, Value][] => {
    if (typeof one === "number" && key.endsWith("Ms")) return one === 0 ? [] : [[key.slice(0, -2), took(one)]];
    if (typeof one === "number" && key.endsWith("Bytes")) return [[key.slice(0, -5), sizeText(one)]];
    const kept = pruned(one);
    return isEmpty(kept) ? [] : [[key, kept]];
  });
  return Object.fromEntries(entries);
}

function isEmpty(value: Value): boolean {
  if (value === null || value === undefined || value === "" || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function sizeText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${Number((bytes / 1_024 ** power).toFixed(1))}${units[power]}`;
}
