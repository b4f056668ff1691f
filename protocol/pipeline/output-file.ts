import { type LineProblem, linesOf, MAX_LINE_PROBLEMS } from "./foreign-lines.ts";
import { clip } from "./text-rules.ts";

/** What a stage wrote to `TOROID_OUTPUT`. */
export type Outputs =
  | { readonly kind: "outputs"; readonly outputs: Readonly<Record<string, string>> }
  | { readonly kind: "invalid"; readonly problems: readonly LineProblem[] };

export const MAX_OUTPUT_FILE_BYTES = 256 * 1024;
const MAX_VALUE_BYTES = 32 * 1024;
const MAX_OUTPUTS = 100;
const KEY = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

/**
 * `key=value` lines, the value as it stands; or `key<<END`, lines, `END`, for a value of several lines. A key that is
 * there twice has its last value. Empty lines mean nothing. 256 KiB, 100 keys and 32 KiB a value at most. Never throws.
 */
export function parseOutputFile(bytes: Uint8Array): Outputs {
  const lines = linesOf(bytes, MAX_OUTPUT_FILE_BYTES);
  if ("problem" in lines) return { kind: "invalid", problems: [lines.problem] };
  const outputs = new Map<string, string>();
  const problems: LineProblem[] = [];
  for (let i = 0; i < lines.length && problems.length < MAX_LINE_PROBLEMS; i++) {
    const line = i + 1;
    const text = lines[i] ?? "";
    if (text.trim() === "") continue;
    const [, key, operator, rest] = /^([^=<]*)(=|<<)(.*)$/su.exec(text) ?? [];
    if (key === undefined || rest === undefined) {
      problems.push({ line, message: `expected \`key=value\`, found \`${clip(text)}\`` });
      continue;
    }
    let value = rest;
    if (operator === "<<") {
      const end = rest === "" ? -1 : lines.indexOf(rest, i + 1);
      if (end < 0) {
        const message = rest === "" ? "expected a delimiter after `<<`" : `no line after this one is \`${clip(rest)}\``;
        problems.push({ line, message });
        break;
      }
      value = lines.slice(i + 1, end).join("\n");
      i = end;
    }
    const message = entryProblem(key, value);
    if (message === null) outputs.set(key, value);
    else problems.push({ line, message });
  }
  if (outputs.size > MAX_OUTPUTS)
    problems.push({ line: 1, message: `${outputs.size} outputs; ${MAX_OUTPUTS} is the most` });
  return problems.length > 0
    ? { kind: "invalid", problems }
    : { kind: "outputs", outputs: Object.fromEntries(outputs) };
}

/** The variable by which later stages see an output: `stage-eu`, `url` → `TOROID_OUTPUT_STAGE_EU_URL`. */
export function outputVariable(stage: string, key: string): string {
  return `TOROID_OUTPUT_${`${stage}_${key}`.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_")}`;
}

function entryProblem(key: string, value: string): string | null {
  if (!KEY.test(key)) return `\`${clip(key)}\` is no key: a letter, then letters, digits, \`_\` or \`-\`, 64 at most`;
  if (Buffer.byteLength(value) > MAX_VALUE_BYTES) return `the value of \`${key}\` is larger than 32 KiB`;
  return null;
}
