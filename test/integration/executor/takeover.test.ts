import assert from "node:assert/strict";
import { mkdtemp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Child, isAlive, script } from "../../support/child.ts";
import { sandboxesOf } from "../../support/sandboxes.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { NEEDS, quiet, type Rig, rigForAll } from "./rig.ts";

const T = { timeout: 180_000 };
/** For what a busy machine may take its time with. */
const LONG = { withinMs: 60_000 };
const PROCESS = join(import.meta.dirname, "executor-process.ts");

let rig: Rig;
rigForAll((made) => {
  rig = made;
});

/** An executor as a process, in a pool of its own name unless `more` says another. */
const spawnExecutor = (name: string, pool: string, more: Record<string, string> = {}): Child =>
  script(PROCESS, [], { ...rig.variables(name, { TOROID_POOL: pool, ...more }), TOROID_LOG_LEVEL: quiet.level });

const begun = (lines: string[]) => ({
  phases: { install: [], script: ["echo begun", ...lines], publish: [], after: [] },
});

describe("executors that go away", { concurrency: 4 }, () => {
  test("of two executors that are offered the same stage, one runs it", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using _one = rig.executor("race-one", { TOROID_POOL: "race" });
    await using _two = rig.executor("race-two", { TOROID_POOL: "race" });
    const work = await rig.stageWork(begun([]));
    const ids = await Promise.all(Array.from({ length: 4 }, async () => rig.queue(work, "race")));
    // The same hint again, as after a redelivery.
    for (const id of ids) {
      const [queued] = await rig.seqs(id);
      await rig.command({ ...id, queuedSeq: queued ?? 0, attempt: 1, purpose: "run", work }, "race");
    }
    for (const id of ids) assert.equal((await rig.result(id, 60_000)).outcome, "passed");
    await until("all commands to be settled", async () => (await rig.commandsLeft("race")) === 0, LONG);
    for (const id of ids) {
      const types = (await rig.events(id)).map(({ type }) => type);
      assert.deepEqual(types, ["queued", "claimed", "started", "finished"]);
    }
  });

  for (const point of [
    "executor-after-claim",
    "executor-after-started",
    "executor-before-finish",
    "executor-after-finish",
  ] as const) {
    test(`a stage whose executor dies at ${point} ends exactly once`, T, async (t) => {
      if (!needs(t, NEEDS)) return;
      const id = await rig.queue(await rig.stageWork(begun([])), `crash-${point}`);
      await using dying = spawnExecutor(`dying-${point}`, `crash-${point}`, { TOROID_CRASH_AT: point });
      assert.equal((await dying.exited).signal, "SIGKILL", "the crash point was never reached");
      await using _next = rig.executor(`next-${point}`, { TOROID_POOL: `crash-${point}` });
      const result = await rig.result(id, 60_000);
      assert.equal(result.outcome, "passed");
      await until("the command to be settled", async () => (await rig.commandsLeft(`crash-${point}`)) === 0, {
        withinMs: 60_000,
      });
      const types = (await rig.events(id)).map(({ type }) => type);
      assert.equal(types.filter((type) => type === "finished").length, 1);
    });
  }

  test("a build whose executor is killed is taken over as its next attempt, and its sandbox is gone", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const id = await rig.queue(await rig.stageWork(begun(["sleep 3"])), "killed");
    await using killed = spawnExecutor("killed", "killed");
    await until("the script to run", async () => (await rig.output(id)).includes("begun"), LONG);
    const sandboxes = await sandboxesOf(killed.pid);
    assert.ok(sandboxes.length > 0);
    killed.kill("SIGKILL");
    await killed.exited;
    await until("its sandbox to be gone", () => sandboxes.every((pid) => !isAlive(pid)), LONG);
    await using _next = rig.executor("successor", { TOROID_POOL: "killed" });
    const result = await rig.result(id, 60_000);
    assert.equal(result.outcome, "passed");
    const { stage } = await rig.stage(id);
    assert.equal(stage.attempt, 2);
    const claims = (await rig.events(id)).filter(({ type }) => type === "claimed");
    assert.equal(claims.length, 2);
  });

  test("a deployment whose executor is lost while it runs is not repeated: its outcome is unknown", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const stage = { ...begun(["sleep 100"]), name: "prod", environment: "prod", idempotent: false };
    const id = await rig.queue(await rig.stageWork(stage), "prod");
    await using killed = spawnExecutor("killed-in-prod", "prod");
    await until("the script to run", async () => (await rig.output(id)).includes("begun"), LONG);
    killed.kill("SIGKILL");
    await killed.exited;
    await using _next = rig.executor("successor-in-prod", { TOROID_POOL: "prod" });
    const result = await rig.result(id, 60_000);
    assert.equal(result.outcome, "unknown");
    assert.equal((await rig.events(id)).filter(({ type }) => type === "claimed").length, 1);
  });

  for (const [answer, outcome, attempts] of [
    ["0", "passed", ["run 1", "check 2"]],
    ["2", "unknown", ["run 1", "check 2"]],
  ] as const) {
    test(
      `a deployment whose executor is lost is checked by the next one: exit ${answer} is ${outcome}`,
      T,
      async (t) => {
        if (!needs(t, NEEDS)) return;
        const pool = `checked-${answer}`;
        const stage = { ...begun(["sleep 100"]), name: "prod", environment: "prod", idempotent: false };
        const id = await rig.queue(await rig.stageWork({ ...stage, check: ["echo looked", `exit ${answer}`] }), pool);
        await using killed = spawnExecutor(`killed-${pool}`, pool);
        await until("the script to run", async () => (await rig.output(id)).includes("begun"), LONG);
        killed.kill("SIGKILL");
        await killed.exited;
        await using _next = rig.executor(`next-${pool}`, { TOROID_POOL: pool });
        assert.equal((await rig.result(id, 60_000)).outcome, outcome);
        const claims = (await rig.events(id)).flatMap((event) =>
          event.type === "claimed" ? [`${event.purpose} ${event.attempt}`] : [],
        );
        assert.deepEqual(claims, attempts);
        assert.equal((await rig.output(id, 2)).toString(), "looked\n");
      },
    );
  }

  test("a check that says no leaves the attempt errored as one that had not acted", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const stage = { ...begun(["sleep 100"]), name: "prod", environment: "prod", idempotent: false };
    const id = await rig.queue(await rig.stageWork({ ...stage, check: ["exit 1"] }), "denied");
    await using killed = spawnExecutor("killed-denied", "denied");
    await until("the script to run", async () => (await rig.output(id)).includes("begun"), LONG);
    killed.kill("SIGKILL");
    await killed.exited;
    await using _next = rig.executor("next-denied", { TOROID_POOL: "denied" });
    const error = await rig.error(id, 60_000);
    assert.deepEqual([error.code, error.acted, error.retryable], ["TOR_CHECK_DENIES", false, true]);
  });

  test(
    "an executor that stands still has lost its sandbox before another takes over, and reports nothing",
    T,
    async (t) => {
      if (!needs(t, NEEDS)) return;
      const id = await rig.queue(await rig.stageWork(begun(["sleep 40", "echo done"])), "asleep");
      await using asleep = spawnExecutor("asleep", "asleep");
      await until("the script to run", async () => (await rig.output(id)).includes("begun"), LONG);
      const sandboxes = await sandboxesOf(asleep.pid);
      asleep.kill("SIGSTOP");
      await using _next = rig.executor("awake", { TOROID_POOL: "asleep" });
      await rig.stageThat(id, "taken over", (stage) => stage.attempt === 2 && stage.status === "running", 60_000);
      assert.ok(sandboxes.length > 0 && sandboxes.every((pid) => !isAlive(pid)));
      asleep.kill("SIGCONT");
      await rig.cancel(id);
      assert.equal((await rig.result(id, 60_000)).outcome, "cancelled");
      const types = (await rig.events(id)).map(({ type }) => type);
      assert.deepEqual(types, ["queued", "claimed", "started", "claimed", "started", "cancelRequested", "finished"]);
      asleep.kill("SIGTERM");
      assert.equal((await asleep.exited).code, 0);
    },
  );

  test("an executor that is told to stop finishes what runs, takes nothing new, and leaves nothing", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const id = await rig.queue(await rig.stageWork(begun(["sleep 1", "echo done"])), "draining");
    await using draining = spawnExecutor("draining", "draining");
    await until("the script to run", async () => (await rig.output(id)).includes("begun"), LONG);
    draining.kill("SIGTERM");
    await until("it to drain", () => isDraining("draining"), LONG);
    const later = await rig.queue(await rig.stageWork(begun([])), "draining");
    assert.equal((await draining.exited).code, 0);
    assert.equal((await rig.result(id, 60_000)).outcome, "passed");
    assert.equal((await rig.stage(later)).stage.status, "queued");
    assert.deepEqual(await readdir(join(rig.dir.path, "draining", "workspaces")), []);
    await using _next = rig.executor("after-draining", { TOROID_POOL: "draining" });
    assert.equal((await rig.result(later, 60_000)).outcome, "passed");
  });

  test("a second signal ends what runs and says so, so that it can be queued again", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const id = await rig.queue(await rig.stageWork(begun(["sleep 1000"])), "stopped");
    await using stopped = spawnExecutor("stopped", "stopped");
    await until("the script to run", async () => (await rig.output(id)).includes("begun"), LONG);
    stopped.kill("SIGTERM");
    await until("it to drain", () => isDraining("stopped"), LONG);
    stopped.kill("SIGTERM");
    assert.equal((await stopped.exited).code, 0);
    const error = await rig.error(id, 60_000);
    assert.deepEqual([error.code, error.acted, error.retryable], ["TOR_EXECUTOR_STOPPED", true, true]);
    assert.deepEqual(await readdir(join(rig.dir.path, "stopped", "workspaces")), []);
    assert.equal(await rig.commandsLeft("stopped"), 0);
  });

  test("two executors cannot use one state directory", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using first = rig.executor("shared", { TOROID_POOL: "shared" });
    await until("the first to be there", async () => (await idsIn("shared")).length > 0, LONG);
    await assert.rejects(
      rig.executor("shared", { TOROID_POOL: "shared" }).ended,
      /another executor runs on .*shared; give this one a directory of its own/,
    );
    first.stop();
    await first.ended;
  });

  test("what a killed executor left in its state directory is gone when it starts again", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const id = await rig.queue(await rig.stageWork(begun(["sleep 1000"])), "untidy");
    await using killed = spawnExecutor("untidy", "untidy");
    await until("the script to run", async () => (await rig.output(id)).includes("begun"), LONG);
    killed.kill("SIGKILL");
    await killed.exited;
    const workspaces = join(rig.dir.path, "untidy", "workspaces");
    await mkdtemp(join(workspaces, "left-"));
    const [earlier] = await idsIn("untidy");
    await using again = rig.executor("untidy", { TOROID_POOL: "untidy" });
    await until("a new presence", async () => (await idsIn("untidy")).some((one) => one !== earlier), LONG);
    const { stage } = await rig.stage(id);
    assert.equal(stage.status, "running");
    assert.ok(!(await readdir(workspaces)).some((name) => name.startsWith("left-")));
    await rig.cancel(id);
    assert.equal((await rig.result(id, 60_000)).outcome, "cancelled");
    again.stop();
    await again.ended;
  });
});

async function isDraining(pool: string): Promise<boolean> {
  return (await rig.presences()).some((one) => one.pool === pool && one.draining);
}

async function idsIn(pool: string): Promise<readonly string[]> {
  return (await rig.presences()).filter((one) => one.pool === pool).map(({ id }) => id);
}
