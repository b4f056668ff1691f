/** What several parts of the schema are made of. */
import { z } from "zod";
import { checkoutPathProblem } from "./text-rules.ts";

/** A string that passes `check`, which says what is wrong or null. */
export function checked(expected: string, check: (text: string) => string | null) {
  return z.string({ error: expected }).superRefine((text, context) => {
    const message = check(text);
    if (message !== null) context.addIssue({ code: "custom", message });
  });
}

/** One or several of `item`, always read as a list. */
export function oneOrMore<T extends z.ZodType<string, string>>(item: T, expected: string) {
  const list = z.array(item).min(1, { error: `expected ${expected}, found an empty list` });
  return z.union([item.transform((one) => [one]), list], { error: expected });
}

export const checkoutPath = checked("a path inside the checkout", checkoutPathProblem);
