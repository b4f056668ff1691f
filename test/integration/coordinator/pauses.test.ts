import assert from "node:assert/strict";
import { test } from "node:test";
import { openBucket } from "../../../kit/topology.ts";
import { encode } from "../../../protocol/codec.ts";
import { EXECUTORS } from "../../../protocol/streams.ts";
import { buildSummary, type EnvironmentSummary, environmentSummary } from "../../../protocol/summary.ts";
import { until } from "../../support/until.ts";
import { REPOSITORY, target } from "../../unit/coordinator/samples.ts";
import { type Api, refusal, startApi, startBuild } from "./api-rig.ts";
import { runStage, startCoordinator } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const ENVIRONMENTS = "/api/v1/environments";
const STAGES = [target("stage", ["build"]), target("prod", ["build"])];

async function shown({ get }: Api): Promise<readonly EnvironmentSummary[]> {
  const { repositories } = (await (await get("/api/v1/repositories")).json()) as {
    repositories: readonly { environments: readonly unknown[] }[];
  };
  return repositories.flatMap(({ environments }) => environments).map((one) => environmentSummary.parse(one));
}

/** Which environments of the build wait, and which are let go. */
async function lanes({ actors }: Api): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {};
  for (const { name } of STAGES) {
    const { state } = await actors.environment.load({ repository: REPOSITORY, environment: name });
    found[name] = state.inFlight !== null ? "goes" : state.waiting.length > 0 ? "waits" : "nothing";
  }
  return found;
}

const WIDER: readonly (readonly [string, string, Readonly<Record<string, string>>])[] = [
  ["all of a repository", `${REPOSITORY}/*`, { stage: "waits", prod: "waits" }],
  ["all of one name", "*/*/prod", { stage: "goes", prod: "waits" }],
  ["everything", "*/*/*", { stage: "waits", prod: "waits" }],
];

for (const [what, path, expected] of WIDER) {
  test(`a pause of ${what} holds those and no others, with who and why, until it is resumed`, LIMIT, async () => {
    await using api = await startApi();
    await startBuild(api, STAGES);
    const paused = await api.post(`${ENVIRONMENTS}/${path}/pause`, { reason: "audit" }, { "toroid-user": "ann" });
    assert.equal(environmentSummary.parse(await paused.json()).paused?.why, "audit");
    await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "build", round: 1 });
    const held = Object.entries(expected).filter(([, how]) => how === "waits");
    await until("them to be there", async () => {
      const now = await lanes(api);
      return Object.entries(expected).every(([name, how]) => now[name] === how);
    });
    const summaries = await until("them to be shown", async () => {
      const all = await shown(api);
      return all.filter(({ paused: pause }) => pause !== null).length === held.length ? all : null;
    });
    for (const { environment, paused: pause } of summaries) {
      if (expected[environment] !== "waits") continue;
      assert.deepEqual([pause?.by, pause?.why], ["ann", "audit"]);
      assert.ok(pause?.of?.repository === "*" || pause?.of?.environment === "*");
    }
    await api.post(`${ENVIRONMENTS}/${path}/resume`, {});
    await until("all to go", async () => Object.values(await lanes(api)).every((how) => how === "goes"));
  });
}

test("a wider pause runs out by itself, also when another coordinator has to notice", LIMIT, async () => {
  await using api = await startApi();
  await using _other = await startCoordinator(api.server.url);
  await startBuild(api, STAGES);
  const untilMs = Date.now() + 1_500;
  const body = { reason: "audit", until: new Date(untilMs).toISOString() };
  assert.equal((await api.post(`${ENVIRONMENTS}/*/*/*/pause`, body)).status, 200);
  await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "build", round: 1 });
  await until("all to go", async () => Object.values(await lanes(api)).every((how) => how === "goes"));
  assert.ok(Date.now() >= untilMs);
});

test("what runs is not touched by any pause", LIMIT, async () => {
  await using api = await startApi();
  await startBuild(api, STAGES);
  await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "build", round: 1 });
  await until("all to go", async () => Object.values(await lanes(api)).every((how) => how === "goes"));
  await api.post(`${ENVIRONMENTS}/*/*/*/pause`, { reason: "audit" });
  await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "prod", round: 1 });
  await until("it to be live", async () => {
    const { state } = await api.actors.environment.load({ repository: REPOSITORY, environment: "prod" });
    return state.live?.number === 1;
  });
});

test("an environment's own pause and a wider one both have to end", LIMIT, async () => {
  await using api = await startApi();
  await startBuild(api, STAGES);
  await api.post(`${ENVIRONMENTS}/${REPOSITORY}/prod/pause`, { reason: "mine" });
  await api.post(`${ENVIRONMENTS}/*/*/*/pause`, { reason: "all" });
  const answer = await api.post(`${ENVIRONMENTS}/${REPOSITORY}/prod/resume`, {});
  const still = environmentSummary.parse(await answer.json());
  assert.deepEqual([still.paused?.why, still.paused?.of], ["all", { repository: "*", environment: "*" }]);
});

test("only a pause can be of several environments", LIMIT, async () => {
  await using api = await startApi();
  await startBuild(api, STAGES);
  for (const [what, body] of [
    ["approvals", { build: 1 }],
    ["promote", { build: 1 }],
    ["rollback", { reason: "slow" }],
    ["release", {}],
  ] as const) {
    assert.match(
      await refusal(await api.post(`${ENVIRONMENTS}/${REPOSITORY}/*/${what}`, body)),
      /^400 TOR_INVALID_INPUT: name one environment/,
    );
  }
  assert.match(
    await refusal(await api.post(`${ENVIRONMENTS}/acme/nothing/*/pause`, { reason: "x" })),
    /^404 TOR_NOT_FOUND/,
  );
  assert.match(
    await refusal(await api.post(`${ENVIRONMENTS}/*/api/prod/pause`, { reason: "x" })),
    /^404 TOR_NOT_FOUND/,
  );
});

test("a build, its stage and its environment say why they wait, and hear of executors", LIMIT, async () => {
  await using api = await startApi();
  await startBuild(api, [target("prod", ["build"])]);
  const shownBuild = async () => buildSummary.parse(await (await api.get(`/api/v1/builds/${REPOSITORY}/1`)).json());
  assert.match((await shownBuild()).waiting, /^build: no executor of pool default is there/);
  const bucket = await openBucket(api.jet, EXECUTORS);
  const is = { id: "one", host: "h", version: "1", pool: "default", slots: 2, busy: 2, draining: false };
  await bucket.put("one", encode({ ...is, sinceMs: 0, tokens: [] }));
  await until("the executor to be heard of", async () => (await shownBuild()).waiting.includes("all 2 slots"));

  await api.post(`${ENVIRONMENTS}/${REPOSITORY}/prod/pause`, { reason: "audit" }, { "toroid-user": "ann" });
  await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "build", round: 1 });
  const why = "prod is paused by ann: audit";
  const build = await until("prod to wait", async () => {
    const now = await shownBuild();
    return now.waiting === `prod: ${why}` ? now : null;
  });
  assert.equal(build.stages.find(({ name }) => name === "prod")?.waiting, why);
  const [prod] = await shown(api);
  assert.deepEqual([prod?.why, prod?.waiting[0]?.why], [`#1: ${why}`, why]);
});
