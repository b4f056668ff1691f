import assert from "node:assert/strict";
import { test } from "node:test";
import { framed, planned, stageOf } from "./support.ts";

const DAY_MS = 86_400_000;
const file = (approval: string): string =>
  `script: make\nenvironments: { prod: { run: ./deploy, approval: ${approval} } }\n`;
const approvalOf = (text: string) => stageOf(planned(file(text)), "prod").approval;

test("an approval has whom it may come from, whether from oneself, and an end", () => {
  assert.deepEqual(approvalOf("{}"), { from: [], self: false, expiresMs: 7 * DAY_MS });
  assert.deepEqual(approvalOf('{ from: ["@acme/release", ada], self: true, expires: 36h }'), {
    from: ["@acme/release", "ada"],
    self: true,
    expiresMs: 1.5 * DAY_MS,
  });
  assert.deepEqual(approvalOf("{ from: ada }")?.from, ["ada"]);
});

test("without one nobody has to agree", () => {
  const plan = planned("script: make\nenvironments: { prod: { run: ./deploy } }\n");
  assert.deepEqual(
    plan.stages.map(({ approval }) => approval),
    [null, null],
  );
});

const WRONG: readonly (readonly [string, RegExp])[] = [
  ["true", /expected a mapping with `from`, `self` or `expires`, found `true`/],
  ["{ form: [ada] }", /`form`.*\n(?:.*\n)*.*did you mean `from`/],
  ["{ from: [] }", /found an empty list/],
  ['{ from: [" "] }', /expected the name of a person or a team, such as `ada` or `@acme\/release`/],
  ["{ self: maybe }", /expected `true` or `false`/],
  ["{ expires: 5 }", /expected a duration/],
  ["{ expires: 30s }", /expected a duration from `1m` to `2160h`/],
];

for (const [approval, told] of WRONG) {
  test(`approval: ${approval} is told as a mistake`, () => assert.match(framed(file(approval)), told));
}
