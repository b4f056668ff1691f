/** Builds that want to live on, and keepers that die or are stopped: no hang, and nothing left. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";
import { compileAttempts, HELPER, NEEDS, type Outcome, type Rig, rig } from "./rig.ts";

const NEEDED = { ...NEEDS, program: "cc" } as const;
const SLOW = { timeout: 120_000 } as const;
const summary = ({ code, exit }: Outcome): unknown[] => [code, exit?.code, exit?.signal, exit?.reason];

describe("a build that wants to live", () => {
  let sandbox: Rig;
  let bind: readonly string[];
  before(async () => {
    sandbox = await rig();
    bind = ["--bind", `${await compileAttempts(sandbox.dir)}:/attempts:ro`];
  });
  after(() => sandbox[Symbol.asyncDispose]());
  const gc = async (): Promise<{ cgroups: number; scratches: number }> => {
    const where = sandbox.cgroup === null ? [] : ["--cgroup", sandbox.cgroup];
    return JSON.parse((await execa(HELPER, ["gc", "--state", sandbox.dir, ...where])).stdout);
  };

  test("by daemons that ignore TERM does not outlive its cancelling", async (t) => {
    if (!needs(t, NEEDED)) return;
    const words = ["/attempts/attempts", "escape_session", "escape_session", "zombies_kept"];
    await using running = await sandbox.start([...bind, "--grace-ms", "100"], words);
    await running.printed("up");
    running.kill("SIGTERM");
    assert.deepEqual(summary(await running.outcome), [143, null, 15, "cancelled"]);
    await sandbox.assertClean();
  });

  test("by hundreds of zombies that nobody reaps ends, and they are gone", async (t) => {
    if (!needs(t, NEEDED)) return;
    const outcome = await sandbox.run([...bind, "--wall-ms", "500"], ["/attempts/attempts", "zombies_kept"]);
    assert.deepEqual(summary(outcome), [124, null, 15, "timeout"]);
    await sandbox.assertClean();
  });

  for (const [how, options, end] of [
    ["it is out of time", ["--wall-ms", "3000"], undefined],
    ["it is cancelled", [], "SIGTERM"],
    ["the helper is killed", [], "SIGKILL"],
  ] as const) {
    test(`by cloning faster than it is killed is gone once ${how}`, SLOW, async (t) => {
      if (!needs(t, NEEDED)) return;
      const limits = ["--pids", "100", "--grace-ms", "200", ...(options.length > 0 ? options : ["--wall-ms", "20000"])];
      await using running = await sandbox.start([...bind, ...limits], ["/attempts/attempts", "storm"]);
      const { pid } = await running.heard("started");
      await running.printed("full");
      if (end !== undefined) running.kill(end);
      await running.outcome;
      await until("pid 1 to be dead, and all with it", () => !existsSync(`/proc/${pid}`));
      if (end === "SIGKILL") await gc();
      await sandbox.assertClean();
    });
  }

  test("while its supervisor is stopped is ended by its own pid 1, as out of time", SLOW, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using running = await sandbox.start(
      ["--wall-ms", "500", "--grace-ms", "100"],
      ["sh", "-c", "trap '' TERM; setsid sleep 1000 & echo up; while :; do sleep 1; done"],
    );
    const { pid } = await running.heard("started");
    await running.printed("up");
    running.kill("SIGSTOP");
    // It stays as a zombie until its parent goes on; all else inside is gone before it is one.
    await until("pid 1 to have ended", () => stateOf(pid) === "Z", { withinMs: 30_000 });
    running.kill("SIGCONT");
    assert.deepEqual(summary(await running.outcome), [124, null, 9, "timeout"]);
    await sandbox.assertClean();
  });

  test("is not begun, or not gone on with, when it is cancelled at any moment of its beginning", SLOW, async (t) => {
    if (!needs(t, NEEDS)) return;
    let begun = 0;
    for (let delayMs = 0; delayMs < 30; delayMs += 1) {
      await using running = await sandbox.start(["--grace-ms", "0"], ["sleep", "1000"]);
      await sleep(delayMs);
      running.kill("SIGTERM");
      const outcome = await running.outcome;
      begun += outcome.started === undefined ? 0 : 1;
      // One that is told before it can listen dies of that, and has made nothing.
      if (outcome.created !== undefined) assert.equal(outcome.exit?.reason, "cancelled", JSON.stringify(outcome));
      if (existsSync(running.scratch)) await sandbox.run([], ["true"], { scratch: running.scratch });
    }
    assert.ok(begun > 0, "the last ones were told too early as well");
    await sandbox.assertClean();
  });
});

function stateOf(pid: number): string {
  try {
    return / \(.*\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}
