/** Executors that are taken out of service: what they hold ends or goes to others at once, and none of it is lost. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { execa } from "execa";
import { connectJet, readSubject } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import { stageEvent } from "../../protocol/events.ts";
import { RUN } from "../../protocol/streams.ts";
import { stageRunSubject } from "../../protocol/subjects.ts";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { Rig } from "../support/rig.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 120_000 };
const REPOSITORY = "acme/shop";
const TOROID = join(import.meta.dirname, "..", "..", "bin", "toroid.ts");
noLeaksAfterAll({ withinMs: 10_000 });

interface Shown {
  readonly id: string;
  readonly draining: boolean;
  readonly busy: number;
  readonly why: string;
  readonly version: string;
}

async function executorsOf(rig: Rig): Promise<readonly Shown[]> {
  return (await rig.get<{ readonly executors: readonly Shown[] }>("/api/v1/executors")).executors;
}

async function toroid(rig: Rig, ...args: readonly string[]): Promise<string> {
  const { stdout } = await execa(process.execPath, [TOROID, "--server", rig.url, "--as", "ann", ...args]);
  return stdout;
}

const runs = (rig: Rig, name: string) => async (): Promise<boolean> =>
  (await rig.build(1)).stages.some((one) => one.name === name && one.status === "running");

/** What the attempts of a stage were told by, the last first. */
async function endsOf(rig: Rig, stage: string): Promise<readonly string[]> {
  await using jet = await connectJet({ url: rig.nats.url, name: "test" });
  const subject = stageRunSubject({ repository: REPOSITORY, number: 1, stage, round: 1 });
  return (await readSubject(jet, RUN.name, subject, 0)).flatMap(({ data }) => {
    const event = decode(stageEvent, data);
    return event.type === "attemptErrored" ? [event.code] : event.type === "finished" ? [event.result.outcome] : [];
  });
}

test("a drained executor finishes what it has, takes nothing new and stays; taken back it goes on", LIMIT, async () => {
  await using rig = await Rig.start();
  await rig.coordinator();
  const repo = await rig.repo({ ".toroid.yml": "script: sleep 3\n" });
  const executor = rig.executor();
  const [{ id } = { id: "" }] = await until("the executor to be listed", async () => {
    const list = await executorsOf(rig);
    return list.length === 1 ? list : undefined;
  });
  await rig.push(repo);
  await until("the build stage to run", runs(rig, "build"));
  assert.match(
    await toroid(rig, "drain", id, "--reason", "new kernel"),
    /: drain(ing|ed), .*drained by ann: new kernel/,
  );
  assert.match(await toroid(rig, "executors"), /drain(ing|ed) .*drained by ann: new kernel/);
  assert.equal((await rig.ended(1)).outcome, "passed");
  await rig.push(repo);
  await until("the second build to be there", async () => (await rig.builds()).length === 2);
  const states = async (): Promise<string> =>
    (await rig.build(2)).stages.map(({ name, status, executor: by }) => `${name} ${status} ${by}`).join();
  await until("its plan to be queued", async () => (await states()) === "_plan queued null");
  await until("the executor to have nothing", async () => (await executorsOf(rig))[0]?.busy === 0);
  assert.equal(await states(), "_plan queued null");
  assert.match(await toroid(rig, "drain", id, "--undo"), /: (idle|busy), /);
  assert.equal((await rig.ended(2)).outcome, "passed");
  assert.equal(executor.child.exitCode, null);
});

test("an executor that nobody knows cannot be drained", LIMIT, async () => {
  await using rig = await Rig.start();
  await rig.coordinator();
  await assert.rejects(toroid(rig, "drain", "nobody"), /there is no executor nobody: `toroid executors` lists/);
  assert.deepEqual(await executorsOf(rig), []);
});

test("what takes longer than the executor may drain goes to another at once, and does not count", LIMIT, async () => {
  await using rig = await Rig.start();
  await rig.coordinator();
  const script = 'test "$TOROID_ATTEMPT" -gt 1 || sleep 600';
  const repo = await rig.repo({
    ".toroid.yml": `retry: 0\nscript:\n  - ${script}\n  - echo "attempt $TOROID_ATTEMPT"\n`,
  });
  const first = rig.executor({ TOROID_DRAIN_SECONDS: "1" });
  await rig.push(repo);
  await until("the build stage to run", runs(rig, "build"));
  rig.executor();
  await until("another executor to be there", async () => (await executorsOf(rig)).length === 2);
  await first.kill("SIGTERM");
  assert.equal(first.child.exitCode, 0, first.log);
  const build = await rig.ended(1);
  assert.deepEqual(Rig.outcomes(build), { build: "passed" });
  assert.equal(await rig.log(1, "build"), "attempt 2\n");
  assert.deepEqual(await endsOf(rig, "build"), ["TOR_EXECUTOR_STOPPED", "passed"]);
});

test("an environment that its executor cannot finish in time is unknown, and its lane stops", LIMIT, async () => {
  await using rig = await Rig.start();
  await rig.coordinator();
  const repo = await rig.repo({ ".toroid.yml": "script: echo built\nenvironments:\n  prod: { run: sleep 600 }\n" });
  const executor = rig.executor({ TOROID_DRAIN_SECONDS: "0" });
  await rig.push(repo);
  await until("prod to run", runs(rig, "prod"));
  await executor.kill("SIGTERM");
  assert.deepEqual(Rig.outcomes(await rig.ended(1)), { build: "passed", prod: "unknown" });
  assert.deepEqual(await endsOf(rig, "prod"), ["TOR_EXECUTOR_STOPPED", "unknown"]);
  await until("the lane to stop", async () => (await rig.environment("prod"))?.paused !== null);
});
