import { z } from "zod";
import { patternProblem } from "./glob.ts";
import type { Wish } from "./model.ts";
import { checked, oneOrMore } from "./schema-parts.ts";

const MOST = 32;
const TARGET = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/;

/** Of a target, in the operator's configuration and in files that name it. */
export function targetProblem(name: string): string | null {
  if (TARGET.test(name)) return null;
  return "expected the name of a target that the operator configured: 40 letters, digits, `-` and `_` at most";
}

const WHOM = "the name of a target, a mapping with `to`, or a list of them";
const target = checked("the name of a target", targetProblem);
const wish = z.strictObject(
  {
    to: target,
    on: z
      .enum(["change", "always", "never"], { error: "`change`, `always` or `never`" })
      .optional()
      .describe("`change`: the first failure, and the first pass after one. Without it, as the operator says."),
    branches: oneOrMore(checked("a pattern", patternProblem), "a pattern or a list of patterns")
      .optional()
      .describe("Of which branches; without it of all, and of tags."),
  },
  { error: WHOM },
);

const name = target.transform((to): z.output<typeof wish> => ({ to }));
const list = z
  .array(z.union([name, wish], { error: WHOM }))
  .max(MOST, { error: `a list can have ${MOST} targets at most` })
  .superRefine((wishes, context) => {
    for (const [at, { to }] of wishes.entries()) {
      if (!wishes.slice(0, at).some((other) => other.to === to)) continue;
      context.addIssue({ code: "custom", path: [at], message: `\`${to}\` is named twice` });
    }
  });

export const notify = z
  .union([name.transform((one) => [one]), list, wish.transform((one) => [one])], { error: WHOM })
  .describe("Targets of the operator's that are told how builds and deployments end, of pauses and of approvals.");

export function wishesOf(said: z.output<typeof notify> | undefined): readonly Wish[] {
  return (said ?? []).map(({ to, on, branches }) => ({ to, on: on ?? null, branches: branches ?? null }));
}
