/** A push, all the way, on real parts: nats-server, an SQS-compatible server, git, the sandbox. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rig, systemForAll } from "../support/rig.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 90_000 };
let rig: Rig;
systemForAll((made) => {
  rig = made;
});

const APPLICATION = {
  ".toroid.yml": `kind: application
env: { COLOUR: blue }
install: echo installing
script:
  - echo "colour $COLOUR in $TOROID_STAGE of $TOROID_REPOSITORY#$TOROID_BUILD"
  - mkdir -p out && echo made > out/thing
  - echo version=1.2 >> "$TOROID_OUTPUT"
artifact: { files: ["out/**"] }
entrypoint: deploy
environments:
  stage: { next: prod }
  prod: { params: { REGION: eu-west-1 } }
`,
  "deploy*": `#!/bin/sh
set -eu
echo "to $1 in \${REGION:-nowhere}: $(cat "$TOROID_ARTIFACT/out/thing") $TOROID_OUTPUT_BUILD_VERSION"
echo "env $TOROID_ENVIRONMENT was \${TOROID_PREVIOUS_COMMIT:-empty} fence $TOROID_FENCE"
`,
};

test("a push runs through build, stage and prod, and the message is deleted", LIMIT, async () => {
  const repo = await rig.repo(APPLICATION);
  const fullName = "acme/through";
  const commit = await rig.push(repo, { fullName });
  const build = await until("the build to be there", () => rig.build(1, fullName));
  assert.equal(build.commit, commit);
  const ended = await rig.ended(1, fullName);
  assert.deepEqual([ended.outcome, ended.message], ["passed", ""]);
  assert.deepEqual(Rig.outcomes(ended), { build: "passed", stage: "passed", prod: "passed" });
  assert.match(await rig.log(1, "build", "", fullName), /^installing\ncolour blue in build of acme\/through#1\n$/);
  assert.match(
    await rig.log(1, "prod", "", fullName),
    /^to prod in eu-west-1: made 1\.2\nenv prod was empty fence [0-9]+\n$/,
  );
  assert.deepEqual(ended.stages.find((one) => one.name === "build")?.outputs, { version: "1.2" });
  await until("the queue to be empty", async () => {
    const { waiting, inFlight } = await rig.queue.counts();
    return waiting + inFlight === 0;
  });
});

test("the next push knows what was live, and its fence is higher", LIMIT, async () => {
  const repo = await rig.repo(APPLICATION);
  const fullName = "acme/twice";
  const first = await rig.push(repo, { fullName });
  await rig.ended(await numberOf(fullName, first), fullName);
  const second = await repo.commit({ files: { more: "1" } });
  await rig.push(repo, { fullName });
  await rig.ended(await numberOf(fullName, second), fullName);
  const fenceOf = (log: string): number => Number(/fence ([0-9]+)/.exec(log)?.[1]);
  const [one, two] = [await rig.log(1, "stage", "", fullName), await rig.log(2, "stage", "", fullName)];
  assert.match(two, new RegExp(`env stage was ${first}`));
  assert.ok(fenceOf(two) > fenceOf(one), `${fenceOf(two)} after ${fenceOf(one)}`);
  assert.equal((await rig.environment("prod", fullName))?.live?.commit, second);
});

test("the same delivery twice makes one build", LIMIT, async () => {
  const repo = await rig.repo({ ".toroid.yml": "script: echo once\n" });
  const fullName = "acme/once";
  await rig.push(repo, { fullName, delivery: "the-same" });
  await rig.push(repo, { fullName, delivery: "the-same" });
  await rig.ended(1, fullName);
  await until("both messages to be handled", async () => {
    const { waiting, inFlight } = await rig.queue.counts();
    return waiting + inFlight === 0;
  });
  assert.equal((await rig.builds(fullName)).length, 1);
});

test("a library publishes a tag, and ends there", LIMIT, async () => {
  const repo = await rig.repo({
    ".toroid.yml": `script: echo testing\npublish: { run: 'echo "publishing $TOROID_TAG"', on: { tags: ["v*"] } }\nafter: echo after\n`,
  });
  const fullName = "acme/gem";
  await rig.push(repo, { fullName });
  await rig.ended(1, fullName);
  const tagged = await repo.tag("v1", true);
  await rig.push(repo, { fullName, ref: "refs/tags/v1", after: tagged });
  const ended = await rig.ended(2, fullName);
  assert.deepEqual(Rig.outcomes(ended), { build: "passed" });
  assert.match(await rig.log(1, "build", "", fullName), /^testing\n(?!publishing)[^]*after\n$/);
  assert.equal(await rig.log(2, "build", "", fullName), "testing\npublishing v1\nafter\n");
});

test("a failing script fails the build, says where, and nothing follows", LIMIT, async () => {
  const repo = await rig.repo({
    ...APPLICATION,
    ".toroid.yml": APPLICATION[".toroid.yml"].replace("- mkdir", "- exit 3\n  - mkdir"),
  });
  const fullName = "acme/failing";
  await rig.push(repo, { fullName });
  const ended = await rig.ended(1, fullName);
  assert.deepEqual([ended.outcome, ended.message], ["failed", "build failed"]);
  assert.deepEqual(Rig.outcomes(ended), { build: "failed", stage: "skipped", prod: "skipped" });
  const build = ended.stages.find((one) => one.name === "build");
  assert.deepEqual([build?.exitCode, build?.phase], [3, "script"]);
});

test("a paused environment holds its lane; resume lets it go on", LIMIT, async () => {
  const repo = await rig.repo(APPLICATION);
  const fullName = "acme/paused";
  await rig.push(repo, { fullName });
  await rig.ended(1, fullName);
  await rig.post(`/api/v1/environments/${fullName}/prod/pause`, { reason: "a release is on" });
  await repo.commit({ files: { more: "1" } });
  await rig.push(repo, { fullName });
  const lane = await until("prod to have one waiting", async () => {
    const found = await rig.environment("prod", fullName);
    return found?.waiting.length === 1 ? found : undefined;
  });
  assert.deepEqual([lane.paused?.why, lane.inFlight, lane.live?.number], ["a release is on", null, 1]);
  await until("its stage before that to be shown as passed", async () => {
    const { stages } = await rig.build(2, fullName);
    return stages.find((one) => one.name === "stage")?.outcome === "passed";
  });
  await rig.post(`/api/v1/environments/${fullName}/prod/resume`, {});
  assert.equal((await rig.ended(2, fullName)).outcome, "passed");
  assert.equal((await rig.environment("prod", fullName))?.live?.number, 2);
});

test("of what waits, the newest goes and the older is superseded, visibly", LIMIT, async () => {
  const repo = await rig.repo(APPLICATION);
  const fullName = "acme/newest";
  await rig.push(repo, { fullName });
  await rig.ended(1, fullName);
  await rig.post(`/api/v1/environments/${fullName}/prod/pause`, { reason: "hold" });
  for (const n of [2, 3]) {
    await repo.commit({ files: { more: `${n}` } });
    await rig.push(repo, { fullName });
    await until(`#${n} to wait for prod`, async () =>
      (await rig.environment("prod", fullName))?.waiting.some((one) => one.number === n),
    );
  }
  const older = await rig.ended(2, fullName);
  assert.equal(older.outcome, "superseded");
  assert.match(older.stages.find((one) => one.name === "prod")?.message ?? "", /#3, which contains its commit/);
  await rig.post(`/api/v1/environments/${fullName}/prod/resume`, {});
  assert.equal((await rig.ended(3, fullName)).outcome, "passed");
});

test(
  "somebody who asks for an older build in an environment gets it, and the next push goes on from there",
  LIMIT,
  async () => {
    const repo = await rig.repo(APPLICATION);
    const fullName = "acme/back";
    const first = await rig.push(repo, { fullName });
    await rig.ended(await numberOf(fullName, first), fullName);
    const second = await repo.commit({ files: { more: "1" } });
    await rig.push(repo, { fullName });
    await rig.ended(await numberOf(fullName, second), fullName);
    await rig.post(`/api/v1/builds/${fullName}/1/environments/prod`, { params: { WHY: "it broke" } });
    await until(
      "the old build to be live again",
      async () => (await rig.environment("prod", fullName))?.live?.number === 1,
    );
    const back = await rig.ended(1, fullName);
    assert.deepEqual(Rig.outcomes(back), { build: "passed", stage: "passed", prod: "passed", "prod (2)": "passed" });
    const third = await repo.commit({ files: { more: "2" } });
    await rig.push(repo, { fullName });
    assert.equal((await rig.ended(await numberOf(fullName, third), fullName)).outcome, "passed");
    assert.equal((await rig.environment("prod", fullName))?.live?.number, 3);
  },
);

test("a script asks for an environment through TOROID_QUEUE, with parameters", LIMIT, async () => {
  const repo = await rig.repo({
    ".toroid.yml": `kind: application
script: echo 'canary WEIGHT="5 percent"' >> "$TOROID_QUEUE"
next: stage
environments:
  stage: { run: echo staged }
  canary: { run: 'echo "canary at $WEIGHT"' }
`,
  });
  const fullName = "acme/asking";
  await rig.push(repo, { fullName });
  const ended = await rig.ended(1, fullName);
  assert.deepEqual(Rig.outcomes(ended), { build: "passed", stage: "passed", canary: "passed" });
  assert.equal(await rig.log(1, "canary", "", fullName), "canary at 5 percent\n");
});

test("the log streams while the build runs, and is the same afterwards from any offset", LIMIT, async () => {
  const repo = await rig.repo({
    ".toroid.yml": "script:\n  - echo begun\n  - seq 1 5000\n  - printf '\\377\\000end'\n",
  });
  const fullName = "acme/logs";
  await rig.push(repo, { fullName });
  await until("the build to be there", () => rig.build(1, fullName));
  const url = new URL(`/api/v1/builds/${fullName}/1/stages/build/log?follow=1`, rig.url);
  // The stage is known once the plan is; until then the log is a 404.
  await until("the stage to be planned", async () => (await rig.build(1, fullName)).stages.length > 1);
  const live = Buffer.from(await (await fetch(url)).arrayBuffer());
  await rig.ended(1, fullName);
  const later = Buffer.from(await (await fetch(url)).arrayBuffer());
  assert.deepEqual(later, live);
  assert.ok(live.toString("latin1").startsWith("begun\n1\n2\n"));
  assert.ok(live.subarray(-5).equals(Buffer.from([0xff, 0, 0x65, 0x6e, 0x64])));
  url.searchParams.set("offset", "1000");
  assert.deepEqual(Buffer.from(await (await fetch(url)).arrayBuffer()), live.subarray(1000));
});

test("a build can be cancelled while it runs, and what it started is gone", LIMIT, async () => {
  const repo = await rig.repo({ ".toroid.yml": "script:\n  - echo running\n  - sleep 600\n" });
  const fullName = "acme/cancelled";
  await rig.push(repo, { fullName });
  await until("it to run", async () => (await rig.build(1, fullName)).stages.some((one) => one.status === "running"), {
    withinMs: 20_000,
  });
  await rig.post(`/api/v1/builds/${fullName}/1/cancel`, { reason: "not today" });
  const ended = await rig.ended(1, fullName);
  assert.deepEqual([ended.outcome, ended.message], ["cancelled", "not today"]);
  assert.deepEqual(Rig.outcomes(ended), { build: "cancelled" });
});

test("everything can be read with the plain nats command", LIMIT, async (t) => {
  if (!needs(t, { program: "nats" })) return;
  const { execa } = await import("execa");
  const { programPath } = await import("../support/programs.ts");
  const nats = execa(
    programPath("nats") ?? "nats",
    ["-s", rig.nats.url, "sub", "--raw", "toroid.events.acme__seen.>"],
    {
      reject: false,
      cancelSignal: t.signal,
    },
  );
  let seen = "";
  nats.stdout.setEncoding("utf8").on("data", (text: string) => (seen += text));
  nats.stderr.setEncoding("utf8").on("data", (text: string) => (seen += text));
  // A subscription says nothing in raw mode: a probe that comes back shows that it is there.
  const { connectJet } = await import("../../kit/jetstream.ts");
  await using jet = await connectJet({ url: rig.nats.url, name: "probe" });
  await until("the subscription", () => {
    jet.nc.publish("toroid.events.acme__seen.probe", '{"type":"probe"}');
    return seen.includes("probe");
  });
  const repo = await rig.repo(APPLICATION);
  await rig.push(repo, { fullName: "acme/seen" });
  await rig.ended(1, "acme/seen");
  const finished = '"dev.cdevents.pipelinerun.finished"';
  await until("the last event", () => seen.includes(finished));
  nats.kill("SIGTERM");
  await nats;
  const types = seen
    .split("\n")
    .filter((line) => line.startsWith("{") && !line.includes("probe"))
    .map((line) => (JSON.parse(line) as { type: string }).type);
  assert.equal(types[0], "dev.cdevents.pipelinerun.queued");
  for (const type of ["dev.toroid.stage.claimed", "dev.cdevents.artifact.packaged", "dev.cdevents.service.deployed"]) {
    assert.ok(types.includes(type), `${type} in ${types.join(" ")}`);
  }
});

async function numberOf(fullName: string, commit: string): Promise<number> {
  const build = await until("the build to be there", async () =>
    (await rig.builds(fullName)).find((one) => one.commit === commit),
  );
  return build.number;
}
