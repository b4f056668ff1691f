import { withoutMark } from "./document.ts";
import type { Problem } from "./problem.ts";
import { clip, printable } from "./text-rules.ts";

const WIDTH = 100;

/**
 * The problem as people read it: place and message, the line before, the line itself with a caret, and the hint. Plain
 * text, ends without a newline; control characters of the file are replaced, long lines cut around the caret.
 *
 * @param text the file that the problem was found in
 */
export function frame(problem: Problem, text: string): string {
  const { file, line, column, length, message, hint } = problem;
  const lines = withoutMark(text).split(/\r?\n/);
  const digits = String(line).length;
  const cut = column + Math.min(length, 20) <= WIDTH ? 0 : column - WIDTH / 2;
  const shown = (i: number) => `${String(i).padStart(digits)} | ${sourceLine(lines[i - 1] ?? "", cut)}`.trimEnd();
  const gutter = `${" ".repeat(digits)} | `;

  const out = [`${clip(file, 200)}:${line}:${column}: ${printable(message)}`];
  if (line > 1 && lines[line - 2]?.trim() !== "") out.push(`  ${shown(line - 1)}`);
  out.push(`  ${shown(line)}`);
  out.push(`  ${gutter}${indent(lines[line - 1] ?? "", column, cut)}${"^".repeat(Math.min(length, WIDTH / 2))}`);
  if (hint !== null) out.push(`  ${" ".repeat(digits)} = ${printable(hint)}`);
  return out.join("\n");
}

/** All frames, a blank line between them. */
export function frames(problems: readonly Problem[], text: string): string {
  return problems.map((problem) => frame(problem, text)).join("\n\n");
}

function sourceLine(line: string, cut: number): string {
  const rest = line.slice(cut);
  const body = rest.length > WIDTH ? `${rest.slice(0, WIDTH)}…` : rest;
  return printable(cut > 0 ? `…${body}` : body);
}

/** What stands under everything before the caret: tabs stay tabs, so that it lines up. */
function indent(line: string, column: number, cut: number): string {
  const before = line.slice(cut, column - 1).padEnd(Math.max(0, column - 1 - cut));
  return (cut > 0 ? " " : "") + before.replaceAll(/[^\t]/g, " ");
}
