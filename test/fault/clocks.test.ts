/** Hosts whose clocks are ten minutes off, to either side: what ends after a time ends after that time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { Rig } from "../support/rig.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 480_000 };
const PATIENCE = { withinMs: 150_000 };
const PRELOAD = new URL("random/preload/skewed.ts", import.meta.url).href;
const TEN_MINUTES_MS = 600_000;
noLeaksAfterAll({ withinMs: 10_000 });

const skewed = (ms: number): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${PRELOAD}`,
  TOROID_TEST_SKEW_MS: String(ms),
});

const FILE = `kind: application
script: echo built
timeout: { queue: 2m, start: 2m }
environments:
  stage: { run: echo staged, next: prod }
  prod: { run: echo live, approval: { self: true, expires: 5m } }
`;

/** Whoever looks after time, and whoever wrote it down: each pair of clocks. */
for (const [first, second] of [
  [TEN_MINUTES_MS, -TEN_MINUTES_MS],
  [-TEN_MINUTES_MS, TEN_MINUTES_MS],
] as const) {
  test(`timeouts, a pause and an approval last as long as they should (${first / 60_000} min)`, LIMIT, async (t) => {
    if (!needs(t, { root: true })) return;
    await using rig = await Rig.start();
    // The first has the lease.
    await rig.coordinator(skewed(first));
    await rig.coordinator(skewed(second));
    const repo = await rig.repo({ ".toroid.yml": FILE });
    await rig.push(repo);
    await until("the build to be there", () => rig.build(1), PATIENCE);
    // The plan and each stage wait in the queue across the clocks; then they are claimed across them.
    for (const ms of [second, first]) rig.executor(skewed(ms));

    const passed = (name: string) => async (): Promise<boolean> =>
      (await rig.build(1)).stages.some((one) => one.name === name && one.outcome === "passed");
    await until("stage to pass", passed("stage"), PATIENCE);
    const waits = async () => (await rig.environment("prod"))?.waiting[0]?.approval;
    const { endsAtMs } = await until("prod to wait for approval", waits, PATIENCE);
    assert.ok(Math.abs(endsAtMs - Date.now() - 5 * 60_000) < 60_000, "by the clock of people");

    const untilMs = Date.now() + 4_000;
    const place = "/api/v1/environments/acme/shop/prod";
    const paused = { reason: "a moment", until: new Date(untilMs).toISOString() };
    await rig.post(`${place}/pause`, paused);
    await rig.post(`${place}/approvals`, { build: 1 });
    await until("prod to pass", passed("prod"), PATIENCE);
    assert.ok(Date.now() >= untilMs, "the pause ended before its time");

    const build = await rig.ended(1);
    assert.deepEqual(Rig.outcomes(build), { build: "passed", stage: "passed", prod: "passed" });
    for (const stage of build.stages) {
      const times = [stage.queuedAtMs, stage.claimedAtMs, stage.startedAtMs, stage.finishedAtMs].filter(
        (ms) => ms !== null,
      );
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
        `${stage.name} goes back in time`,
      );
      for (const ms of times) assert.ok(Math.abs(ms - Date.now()) < 3 * 60_000, `${stage.name} is at another time`);
    }
  });
}
