/** A build host that is lost while others stand by: what it ran goes on there, or is asked about, within seconds. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { connectJet, readSubject } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import { type StageEvent, stageEvent } from "../../protocol/events.ts";
import { RUN } from "../../protocol/streams.ts";
import { stageRunSubject } from "../../protocol/subjects.ts";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { type Daemon, Rig } from "../support/rig.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 120_000 };
/** What is promised is 15 seconds, on a machine that does nothing else; the figure is printed. */
const WITHIN_MS = 60_000;
const REPOSITORY = "acme/shop";
noLeaksAfterAll({ withinMs: 10_000 });

async function eventsOf(rig: Rig, stage: string): Promise<readonly StageEvent[]> {
  await using jet = await connectJet({ url: rig.nats.url, name: "test" });
  const subject = stageRunSubject({ repository: REPOSITORY, number: 1, stage, round: 1 });
  return (await readSubject(jet, RUN.name, subject, 0)).map(({ data }) => decode(stageEvent, data));
}

/** The file's stage runs on an executor; another stands by, and the first is killed. Answers when. */
async function loseWhile(rig: Rig, stage: string, file: string): Promise<number> {
  await rig.coordinator();
  const repo = await rig.repo({ ".toroid.yml": file });
  const doomed: Daemon = rig.executor();
  await rig.push(repo);
  const isRunning = async (): Promise<boolean> =>
    (await rig.build(1)).stages.some(({ name, status }) => name === stage && status === "running");
  await until(`${stage} to run`, isRunning, { withinMs: WITHIN_MS });
  rig.executor();
  const list = () => rig.get<{ readonly executors: readonly unknown[] }>("/api/v1/executors");
  await until("another to stand by", async () => (await list()).executors.length === 2, { withinMs: WITHIN_MS });
  const atMs = Date.now();
  await doomed.kill("SIGKILL");
  return atMs;
}

/** How its attempts were claimed; says how long the last took from `lostAtMs`. */
async function claimsOf(t: TestContext, rig: Rig, stage: string, lostAtMs: number): Promise<readonly string[]> {
  const claims = (await eventsOf(rig, stage)).filter((event) => event.type === "claimed");
  t.diagnostic(`${stage} was claimed again ${(claims.at(-1)?.atMs ?? 0) - lostAtMs} ms after its executor was killed`);
  return claims.map(({ purpose, attempt }) => `${purpose} ${attempt}`);
}

/** Does it for good the second time. */
const SECOND = 'test "$TOROID_ATTEMPT" -gt 1 || sleep 600';

test("a build stage of a lost host runs on another", LIMIT, async (t) => {
  await using rig = await Rig.start();
  const atMs = await loseWhile(rig, "build", `script:\n  - ${SECOND}\n  - echo "attempt $TOROID_ATTEMPT"\n`);
  assert.deepEqual(Rig.outcomes(await rig.ended(1, REPOSITORY, WITHIN_MS)), { build: "passed" });
  assert.deepEqual(await claimsOf(t, rig, "build", atMs), ["run 1", "run 2"]);
  assert.equal(await rig.log(1, "build"), "attempt 2\n");
});

test("a deployment of a lost host is repeated when its file says that it may be", LIMIT, async (t) => {
  await using rig = await Rig.start();
  const prod = `prod: { run: '${SECOND}', idempotent: true }`;
  const atMs = await loseWhile(rig, "prod", `script: echo built\nenvironments:\n  ${prod}\n`);
  assert.deepEqual(Rig.outcomes(await rig.ended(1, REPOSITORY, WITHIN_MS)), { build: "passed", prod: "passed" });
  assert.deepEqual(await claimsOf(t, rig, "prod", atMs), ["run 1", "run 2"]);
});

for (const [answer, outcome] of [
  [0, "passed"],
  [3, "unknown"],
] as const) {
  test(`a deployment of a lost host whose check answers ${answer} is ${outcome}`, LIMIT, async (t) => {
    await using rig = await Rig.start();
    const prod = `prod: { run: sleep 600, check: exit ${answer} }`;
    const atMs = await loseWhile(rig, "prod", `script: echo built\nenvironments:\n  ${prod}\n`);
    assert.deepEqual(Rig.outcomes(await rig.ended(1, REPOSITORY, WITHIN_MS)), { build: "passed", prod: outcome });
    assert.deepEqual(await claimsOf(t, rig, "prod", atMs), ["run 1", "check 2"]);
    const stops = async (): Promise<boolean> => (await rig.environment("prod"))?.paused !== null;
    assert.equal(await stops(), outcome === "unknown");
  });
}
