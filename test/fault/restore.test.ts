/** A backup of NATS is restored: sequences and numbers go back, and what processes remember is void. */
import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { type Daemon, Rig } from "../support/rig.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 180_000 };
const PATIENCE = { withinMs: 60_000 };
const REPOSITORY = "acme/shop";
const FILES = {
  ".toroid.yml": `kind: application
script: '[ "$(cat slow)" = no ] || sleep 100'
environments:
  prod: { run: 'echo "fence=$TOROID_FENCE" >> "$TOROID_OUTPUT"' }
`,
  slow: "no",
};
noLeaksAfterAll({ withinMs: 15_000 });

async function fenceOf(rig: Rig, number: number): Promise<number> {
  const build = await rig.ended(number, REPOSITORY, PATIENCE.withinMs);
  assert.equal(build.outcome, "passed", JSON.stringify(build.stages));
  return Number(build.stages.find(({ name }) => name === "prod")?.outputs["fence"]);
}

async function endedByItself(daemon: Daemon): Promise<void> {
  const { code, signal } = await daemon.exited;
  assert.ok(signal === null && code !== 0, daemon.log);
  assert.match(daemon.log, /TOR_STORE_OLDER/);
}

test(
  "after a restore everybody starts afresh, a fence is still higher than any before, and pushes go on",
  LIMIT,
  async () => {
    await using rig = await Rig.start({ visibilitySeconds: 2 });
    const backup = join(rig.dir.path, "backup");
    const repo = await rig.repo(FILES);
    const coordinators = [await rig.coordinator(), await rig.coordinator()];
    const executor = rig.executor();
    await rig.push(repo);
    await fenceOf(rig, 1);

    await rig.nats.whileStopped((store) => cp(store, backup, { recursive: true }));
    await repo.commit({ files: { more: "more" } });
    await rig.push(repo);
    const lost = await fenceOf(rig, 2);
    for (const daemon of [...coordinators, executor])
      assert.equal(daemon.child.exitCode, null, "a restart is no restore");
    // The executor holds an attempt that the backup knows nothing of.
    await repo.commit({ files: { slow: "yes" } });
    await rig.push(repo);
    await until(
      "#3 to run",
      async () => (await rig.build(3)).stages.some(({ name, status }) => name === "build" && status === "running"),
      PATIENCE,
    );

    await rig.nats.whileStopped(async (store) => {
      await rm(store, { recursive: true });
      await cp(backup, store, { recursive: true });
    });
    for (const daemon of [...coordinators, executor]) await endedByItself(daemon);

    // As whoever supervises them would.
    await rig.coordinator();
    rig.executor();
    await repo.commit({ files: { slow: "no" } });
    await rig.push(repo);
    const again = await fenceOf(rig, 2);
    assert.ok(again > lost, `${again} comes after ${lost}`);
    const builds = await rig.builds(REPOSITORY);
    const ends = builds.map(({ number, status }) => `#${number} ${status}`);
    assert.deepEqual(ends.sort(), ["#1 finished", "#2 finished"]);
  },
);
