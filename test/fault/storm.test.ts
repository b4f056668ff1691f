/**
 * A thousand workspaces, fifty at a time, a third of them ended by force at a moment that a seed chooses: whoever is
 * killed, one `gc` later nothing of any of them is on the host.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NETWORK_NEEDS } from "../abuse/network-rig.ts";
import { percentile } from "../bench/statistics.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";
import { type Fate, fates } from "./storm-plan.ts";
import { descriptorsOf, NOTHING, RESOLVER, StormRig, sideBySide } from "./storm-rig.ts";
import { alone } from "./storm-run.ts";
import { served, startServe } from "./storm-serve.ts";

const SEED = 20_261_125;
const WORKSPACES = 1_000;
const AT_ONCE = 50;
const T = { timeout: 240_000 };
/** On a busy machine, what is deleted in the background takes a while. */
const REST = { withinMs: 30_000, everyMs: 50 };

/** A first wave, unharmed, tells how long one takes. What it answers runs the rest. */
async function storm(run: (fate: Fate, lane: number, usualMs: number) => Promise<void>): Promise<() => Promise<void>> {
  const took: number[] = [];
  const calm = fates(SEED, AT_ONCE).map((fate): Fate => ({ ...fate, end: "itself", endless: false }));
  await sideBySide(calm, AT_ONCE, async (fate, lane) => {
    const began = performance.now();
    await run(fate, lane, 0);
    took.push(performance.now() - began);
  });
  const usualMs = percentile(took, 0.5);
  return async () => {
    const all = fates(SEED, WORKSPACES).slice(AT_ONCE);
    assert.ok(new Set(all.map(({ end }) => end)).size === 5 && all.some(({ network }) => network === "full"));
    await sideBySide(all, AT_ONCE, (fate, lane) => run(fate, lane, usualMs));
  };
}

test("a thousand runs, a third killed, and one gc leave nothing", T, async (t) => {
  if (!needs(t, NETWORK_NEEDS)) return;
  await using rig = await StormRig.start();
  assert.deepEqual(await rig.count(), NOTHING);
  const up = ["net", "up", "--state", rig.net, "--slots", String(AT_ONCE), "--dns", RESOLVER, "--forward"];
  await rig.run(...up);

  const rest = await storm((fate, lane, usualMs) => alone(rig, fate, lane, usualMs));
  const descriptors = await descriptorsOf("self");
  await rest();
  await until("no process of any run", async () => (await rig.count()).processes.length === 0, REST);
  const left = await rig.count();
  assert.ok(left.scratches.length > 0 && left.namespaces === 0, "only what lies on a disk outlives a killed helper");
  await rig.run("gc", "--state", rig.state, "--net", rig.net, ...rig.cgroupOptions);

  assert.deepEqual(await rig.count(), NOTHING);
  assert.equal(await descriptorsOf("self"), descriptors, "descriptors of the process that started them");
});

test("a thousand runs of serve, a third killed, and one gc leave nothing", T, async (t) => {
  if (!needs(t, NETWORK_NEEDS)) return;
  await using rig = await StormRig.start();
  await using serve = await startServe(rig, AT_ONCE);
  const calm = () => until("serve to be at rest", async () => (await serve.busy()) === 0, REST);
  const rest = await storm((fate, lane, usualMs) => served(rig, serve, fate, lane, usualMs));
  await calm();
  const before = [await descriptorsOf("self"), await descriptorsOf(serve.pid)];
  await rest();
  await calm();
  assert.match(await serve.ask("gc"), /^\{"event":"done","removed":[1-9]\d*\}\n$/);
  await calm();
  assert.deepEqual([await descriptorsOf("self"), await descriptorsOf(serve.pid)], before, "descriptors");
  assert.deepEqual(
    (await rig.count()).processes.filter((line) => !line.includes("toroid-sandbox serve")),
    [],
  );
  rig.forgetUids();
  await serve[Symbol.asyncDispose]();
  assert.deepEqual(await rig.count(), NOTHING);
});
