/** Processes of two versions beside each other: one after the other is replaced while there is work, and nothing is lost. */
import "./random/preload/next-version.ts"; // what the newer ones store has to be read here, too
import assert from "node:assert/strict";
import { test } from "node:test";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { needs } from "../support/skips.ts";

const LIMIT = { timeout: 900_000 };
const NEXT = new URL("random/preload/next-version.ts", import.meta.url).href;
const PUSHES = 48;
noLeaksAfterAll({ withinMs: 30_000 });

test(
  "coordinator by coordinator and executor by executor, under load, nothing is lost or done twice",
  LIMIT,
  async (t) => {
    if (!needs(t, { root: true })) return;
    // Only now, for what is imported before knows no newer version.
    const [{ planOf }, { Fleet }, { faultsIn }] = await Promise.all([
      import("./random/plan.ts"),
      import("./random/fleet.ts"),
      import("./random/check.ts"),
    ]);
    const plan = planOf(9, { pushes: PUSHES, coordinators: 2, executors: 2 });
    await using fleet = await Fleet.start(plan);
    const pushes = plan.pushes.values();
    const push = async (count: number): Promise<void> => {
      for (let sent = 0; sent < count; sent += 1) {
        const { value } = pushes.next();
        if (value !== undefined) await fleet.push(value);
      }
    };
    const { members } = fleet;
    await push(PUSHES / (members.length + 2));
    for (const one of members) {
      fleet.note(`replaces ${one.name}`);
      await one.replace({ NODE_OPTIONS: `--import=${NEXT}` });
      // Half of the fleet is of either version now; both are given work.
      await push(PUSHES / (members.length + 2));
      await one.ready();
    }
    await push(PUSHES);
    const restless = await fleet.quiet();
    const ends = await fleet.leave();
    const truth = await fleet.truth();
    const faults = [restless, ...faultsIn({ truth, deeds: fleet.world.deeds, pushed: fleet.pushed }), ...ends];
    const found = faults.filter((fault) => fault !== null);
    if (found.length > 0) assert.fail(`${found.join("\n")}\nlogs and journal are in ${await fleet.keep()}`);
  },
);
