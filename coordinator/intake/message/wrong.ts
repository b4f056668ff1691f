import type { z } from "zod";
import { pathText } from "../../../protocol/pipeline/problem.ts";

/** One sentence that names the field: "`repository.full_name` of the push is missing". */
export function whatIsWrong(what: string, error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return `the ${what} has not the shape it should`;
  const path = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
  const field = path.length === 0 ? `the ${what}` : `\`${pathText(path)}\` of the ${what}`;
  return `${field} ${complaint(issue)}`;
}

function complaint(issue: z.core.$ZodIssue): string {
  if (issue.code === "custom" || issue.code === "invalid_union") return `is ${issue.message}`;
  if (issue.code === "invalid_format") return "is not of the right form";
  if (issue.code !== "invalid_type") return `is wrong: ${issue.message}`;
  if (issue.message.endsWith("received undefined")) return "is missing";
  return `is not ${article(issue.expected)}`;
}

function article(type: string): string {
  return `${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
}
