/**
 * Hundreds of pushes while everything breaks, by a plan that a seed makes: never twice, never lost, never out of order.
 *
 *   TOROID_FAULT_SEED=7 TOROID_FAULT_PUSHES=6000 TOROID_FAULT_MINUTES=60 node test/support/run.ts test/fault/random.test.ts
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { needs } from "../support/skips.ts";
import { planOf } from "./random/plan.ts";
import { runPlan } from "./random/run.ts";

const SEED = Number(process.env["TOROID_FAULT_SEED"] ?? 20_261_125);
const PUSHES = Number(process.env["TOROID_FAULT_PUSHES"] ?? 500);
const MINUTES = Number(process.env["TOROID_FAULT_MINUTES"] ?? 0);
const KEEP = process.env["TOROID_FAULT_KEEP"] === "1" ? ({ keep: "always" } as const) : {};
const LIMIT = { timeout: (MINUTES + 15) * 60_000 };
noLeaksAfterAll({ withinMs: 30_000 });

const say = (line: string): void => console.log(line);

test("every push has one build, every stage one end, every lane its order, whatever breaks", LIMIT, async (t) => {
  if (!needs(t, { root: true })) return;
  const plan = planOf(SEED, { pushes: PUSHES, coordinators: 3, executors: 6 });
  const { faults, kept, told } = await runPlan(plan, { forMs: MINUTES * 60_000, say, ...KEEP });
  say(kept === null ? told : `${told}; logs and journal are in ${kept}`);
  assert.deepEqual(faults, [], `seed ${SEED}; logs and journal are in ${kept}`);
});
