/** What an executor does when what it stands on goes away. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { PRESENCE_TTL_MS } from "../../../protocol/streams.ts";
import { type Child, script } from "../../support/child.ts";
import { sandboxesOf } from "../../support/sandboxes.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { NEEDS, quiet, type Rig, rigForAll } from "./rig.ts";

const T = { timeout: 60_000 };
const run = promisify(execFile);

let rig: Rig;
rigForAll((made) => {
  rig = made;
});

function spawnExecutor(name: string): Child {
  const env = { ...rig.variables(name, { TOROID_POOL: name }), TOROID_LOG_LEVEL: quiet.level };
  return script(join(import.meta.dirname, "executor-process.ts"), [], env);
}

test("an executor that cannot renew its lease kills its sandbox before another may take the stage", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const lines = ["echo begun", '[ "$TOROID_ATTEMPT" = 2 ] || sleep 1000', "echo done"];
  await using executor = rig.executor("cut-off");
  const id = await rig.queue(
    await rig.stageWork({ phases: { install: [], script: lines, publish: [], after: ["echo no"] } }),
  );
  await until("the script to run", async () => (await rig.output(id)).includes("begun"));
  const sandboxes = async (): Promise<number> => (await sandboxesOf(executor.pid)).length;
  assert.equal(await sandboxes(), 1);
  await rig.server.kill("SIGSTOP");
  try {
    await until("the sandbox to be gone", async () => (await sandboxes()) === 0, { withinMs: PRESENCE_TTL_MS });
  } finally {
    await rig.server.kill("SIGCONT");
  }
  assert.equal((await rig.result(id, 30_000)).outcome, "passed");
  assert.equal((await rig.stage(id)).stage.attempt, 2);
  const why = "NATS was away, and another executor could have taken it over";
  assert.equal((await rig.output(id)).toString(), `begun\ntoroid: this attempt ends here: ${why}\n`);
});

test("an executor whose server is away ends in bounded time when it is told to twice", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await using child = spawnExecutor("alone");
  const id = await rig.queue(
    await rig.stageWork({ phases: { install: [], script: ["echo begun; sleep 1000"], publish: [], after: [] } }),
    "alone",
  );
  await until("the script to run", async () => (await rig.output(id)).includes("begun"));
  await rig.server.kill("SIGKILL");
  try {
    const began = performance.now();
    child.kill("SIGTERM");
    await new Promise((resolve) => void setTimeout(resolve, 200));
    child.kill("SIGTERM");
    await child.exited;
    assert.ok(performance.now() - began < 15_000, `it took ${performance.now() - began} ms`);
  } finally {
    await rig.server.restart();
  }
});

test("a full disk errors the attempt with a sentence, to be tried again", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const state = join(rig.dir.path, "tiny");
  await mkdir(state);
  await run("mount", ["-t", "tmpfs", "-o", "size=2m", "toroid-tiny", state]);
  try {
    // In a block of its own, so that the executor is gone before its disk is.
    await rig.repo.commit({ branch: "big", files: { big: randomBytes(4_000_000) } });
    await using _executor = rig.executor("tiny", { TOROID_POOL: "tiny" });
    const id = await rig.queue(await rig.stageWork(), "tiny");
    const error = await rig.error(id);
    assert.deepEqual(
      [error.code, error.message, error.retryable, error.acted],
      ["TOR_DISK_FULL", "the executor's disk is full", true, false],
    );
  } finally {
    await rig.repo.branch("main");
    await run("umount", [state]);
  }
});

test("an executor says in one sentence why it cannot start", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await assert.rejects(
    rig.executor("no-nats", { TOROID_NATS_URL: "nats://127.0.0.1:9" }).ended,
    /cannot connect to NATS at nats:\/\/127\.0\.0\.1:9/,
  );
  await assert.rejects(
    rig.executor("no-helper", { TOROID_SANDBOX: "/nonexistent" }).ended,
    /^Error: the sandbox's serve does not start: spawn \/nonexistent ENOENT$/,
  );
});
