/** Processes are killed where it hurts; every push still has one build, every stage one end, every lane its order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CrashPoint } from "../../kit/crash-points.ts";
import { connectJet, readSubject } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import { stageEvent } from "../../protocol/events.ts";
import { RUN } from "../../protocol/streams.ts";
import { stageRunSubject } from "../../protocol/subjects.ts";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { Rig } from "../support/rig.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 120_000 };
/** A lost executor is noticed when its presence has run out, which takes this long at the default settings. */
const TAKEOVER_MS = 40_000;
noLeaksAfterAll({ withinMs: 10_000 });

const REPOSITORY = "acme/shop";
const FILES = {
  ".toroid.yml": `kind: application
script: echo "built by attempt $TOROID_ATTEMPT"
environments:
  stage: { run: 'echo "staged $TOROID_BUILD"', next: prod }
  prod: { run: 'echo "live $TOROID_BUILD"', idempotent: true }
`,
};

/** Types of the events of a stage, in order: the truth, not a projection of it. */
async function eventsOf(rig: Rig, number: number, stage: string): Promise<readonly string[]> {
  await using jet = await connectJet({ url: rig.nats.url, name: "test" });
  const subject = stageRunSubject({ repository: REPOSITORY, number, stage, round: 1 });
  return (await readSubject(jet, RUN.name, subject, 0)).map((one) => decode(stageEvent, one.data).type);
}

async function assertWentThrough(rig: Rig): Promise<void> {
  const build = await rig.ended(1, REPOSITORY, TAKEOVER_MS);
  assert.equal(build.outcome, "passed", JSON.stringify(build.stages, null, 1));
  assert.deepEqual(Rig.outcomes(build), { build: "passed", stage: "passed", prod: "passed" });
  for (const stage of ["_plan", "build", "stage", "prod"]) {
    const events = await eventsOf(rig, 1, stage);
    assert.equal(events.filter((type) => type === "finished").length, 1, `${stage}: ${events.join(" ")}`);
    assert.equal(events.at(-1), "finished");
  }
  assert.equal((await rig.builds(REPOSITORY)).length, 1);
}

const COORDINATOR_POINTS = [
  "coordinator-after-accepted",
  "coordinator-after-append",
  "coordinator-after-effects",
] as const satisfies readonly CrashPoint[];

for (const point of COORDINATOR_POINTS) {
  test(`a push goes through once when the coordinator dies at ${point}`, LIMIT, async () => {
    await using rig = await Rig.start({ visibilitySeconds: 2 });
    const repo = await rig.repo(FILES);
    const doomed = await rig.coordinator({ TOROID_CRASH_AT: point });
    rig.executor();
    await rig.push(repo);
    assert.equal((await doomed.exited).signal, "SIGKILL", "the crash point was never reached");
    await rig.coordinator();
    await until("the build to be there", () => rig.build(1), { withinMs: TAKEOVER_MS });
    await assertWentThrough(rig);
  });
}

test("a build goes on after the coordinator was killed in the middle of a stage", LIMIT, async () => {
  await using rig = await Rig.start({ visibilitySeconds: 2 });
  const repo = await rig.repo({
    ...FILES,
    ".toroid.yml": FILES[".toroid.yml"].replace("script:", "install: sleep 2\nscript:"),
  });
  const first = await rig.coordinator();
  rig.executor();
  await rig.push(repo);
  await until("the build stage to run", async () =>
    (await rig.build(1)).stages.some((one) => one.name === "build" && one.status === "running"),
  );
  await first.kill("SIGKILL");
  await rig.coordinator();
  await assertWentThrough(rig);
});

const EXECUTOR_POINTS = [
  "executor-after-claim",
  "executor-after-started",
  "executor-before-finish",
  "executor-after-finish",
] as const satisfies readonly CrashPoint[];

for (const point of EXECUTOR_POINTS) {
  test(`a push goes through once when the executor dies at ${point}`, LIMIT, async () => {
    await using rig = await Rig.start();
    await rig.coordinator();
    const repo = await rig.repo(FILES);
    // It dies with the first stage that reaches the point: the plan at most of them.
    const doomed = rig.executor({ TOROID_CRASH_AT: point });
    await rig.push(repo);
    assert.equal((await doomed.exited).signal, "SIGKILL", "the crash point was never reached");
    rig.executor();
    await assertWentThrough(rig);
  });
}

test("an executor killed while it runs a build stage is replaced, and the stage ends once", LIMIT, async () => {
  await using rig = await Rig.start();
  await rig.coordinator();
  const repo = await rig.repo({
    ".toroid.yml": FILES[".toroid.yml"].replace(
      "script:",
      'install: test "$TOROID_ATTEMPT" -gt 1 || sleep 600\nscript:',
    ),
  });
  const doomed = rig.executor();
  await rig.push(repo);
  await until("the build stage to run", async () =>
    (await rig.build(1)).stages.some((one) => one.name === "build" && one.status === "running"),
  );
  await doomed.kill("SIGKILL");
  rig.executor();
  await assertWentThrough(rig);
  assert.equal(await rig.log(1, "build"), "built by attempt 2\n");
  const events = await eventsOf(rig, 1, "build");
  assert.deepEqual(events.filter((type) => type === "claimed").length, 2);
});

test(
  "an environment whose executor was killed while it ran is not repeated: its lane stops and asks",
  LIMIT,
  async () => {
    await using rig = await Rig.start();
    await rig.coordinator();
    const repo = await rig.repo({
      ".toroid.yml": "script: echo built\nenvironments:\n  prod: { run: sleep 600 }\n",
    });
    const doomed = rig.executor();
    await rig.push(repo);
    await until("prod to run", async () =>
      (await rig.build(1)).stages.some((one) => one.name === "prod" && one.status === "running"),
    );
    await doomed.kill("SIGKILL");
    rig.executor();
    const build = await rig.ended(1, REPOSITORY, TAKEOVER_MS);
    assert.deepEqual(Rig.outcomes(build), { build: "passed", prod: "unknown" });
    const lane = await until("the lane to stop", async () => {
      const found = await rig.environment("prod");
      return found?.paused === null ? undefined : found;
    });
    assert.match(lane.paused?.why ?? "", /#1 ended in an unknown state/);
    assert.deepEqual([lane.inFlight, lane.live], [null, null]);
  },
);

test("nothing is lost when nats-server is killed and comes back", LIMIT, async () => {
  await using rig = await Rig.start({ visibilitySeconds: 2 });
  await rig.coordinator();
  rig.executor();
  const repo = await rig.repo({
    ...FILES,
    ".toroid.yml": FILES[".toroid.yml"].replace("script:", "install: sleep 3\nscript:"),
  });
  await rig.push(repo);
  await until("the build stage to run", async () =>
    (await rig.build(1)).stages.some((one) => one.name === "build" && one.status === "running"),
  );
  await rig.nats.kill("SIGKILL");
  await rig.nats.restart();
  await assertWentThrough(rig);
});

test("a build killed while it publishes does not publish twice", LIMIT, async () => {
  await using rig = await Rig.start();
  await rig.coordinator();
  const repo = await rig.repo({
    ".toroid.yml": "script: echo tested\npublish: { run: [echo published, sleep 600], on: { branches: [main] } }\n",
  });
  const doomed = rig.executor();
  await rig.push(repo);
  await until("it to publish", async () => (await rig.log(1, "build")).includes("published"), { withinMs: 20_000 });
  await doomed.kill("SIGKILL");
  rig.executor();
  const build = await rig.ended(1, REPOSITORY, TAKEOVER_MS);
  assert.deepEqual(Rig.outcomes(build), { build: "unknown" });
  assert.equal((await eventsOf(rig, 1, "build")).filter((type) => type === "claimed").length, 1);
});
