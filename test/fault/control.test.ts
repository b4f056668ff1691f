/** That the run of `random.test.ts` can fail: with nothing to fence executors, its own rules find what was done twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { needs } from "../support/skips.ts";
import { type Plan, planOf, type Who } from "./random/plan.ts";
import { runPlan } from "./random/run.ts";

const LIMIT = { timeout: 300_000 };
const UNFENCED = new URL("random/preload/unfenced.ts", import.meta.url).href;
/** With what is broken by design it never becomes quiet. */
const RESTLESS_MS = 45_000;
noLeaksAfterAll({ withinMs: 30_000 });

/** An executor that is stopped in the middle of a deployment until others have taken over, and nothing else. */
function zombies(): Plan {
  const plan = planOf(5, { pushes: 16, coordinators: 2, executors: 3 });
  return { ...plan, steps: [{ after: 1, mishap: { kind: "zombie", forMs: 11_000 } }] };
}

const say = (line: string): void => console.log(line);

test("a deployment whose host was stopped until others had taken it over ends once", LIMIT, async (t) => {
  if (!needs(t, { root: true })) return;
  const { faults, kept } = await runPlan(zombies(), { say });
  assert.deepEqual(faults, [], `logs and journal are in ${kept}`);
});

test("without the fence the same run ends a stage twice, and is found out", LIMIT, async (t) => {
  if (!needs(t, { root: true })) return;
  const env = ({ kind }: Who): Readonly<Record<string, string>> =>
    kind === "executor" ? { NODE_OPTIONS: `--import=${UNFENCED}` } : {};
  const { faults } = await runPlan(zombies(), { say, quietMs: RESTLESS_MS, env, keep: "never" });
  say(faults.join("\n"));
  assert.ok(
    faults.some((fault) => /finished [2-9] times$|cannot be: a stage that is finished cannot/.test(fault)),
    `it was found to be right:\n${faults.join("\n")}`,
  );
});
