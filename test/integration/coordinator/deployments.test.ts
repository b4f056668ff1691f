import assert from "node:assert/strict";
import { test } from "node:test";
import { type EnvironmentSummary, environmentSummary } from "../../../protocol/summary.ts";
import { until } from "../../support/until.ts";
import { ARTIFACT, commitOf, REPOSITORY, target } from "../../unit/coordinator/samples.ts";
import { type Api, refusal, startApi, startBuild } from "./api-rig.ts";
import { runStage } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const PROD = `/api/v1/environments/${REPOSITORY}/prod`;
const LANE = { repository: REPOSITORY, environment: "prod" };

/** A build that was built and is not deployed anywhere; `prod` comes after `stage`, which nobody runs. */
async function built(api: Api, number: number): Promise<void> {
  await startBuild(api, [target("stage", ["build"]), target("prod", ["stage"])], number);
  await run(api, number, "build", 1);
}

async function run({ jet, actors }: Api, number: number, stage: string, round: number): Promise<void> {
  const artifact = stage === "build" ? { ...ARTIFACT, bytes: number } : null;
  await runStage(jet, actors, { repository: REPOSITORY, number, stage, round }, { artifact });
}

/** Waits until the build ended its stages so far, then asks. */
async function promote(api: Api, number: number): Promise<void> {
  await until(`#${number} to be built`, async () => {
    const { state } = await api.actors.build.load({ repository: REPOSITORY, number });
    return state.settled.length > 0;
  });
  const answer = await api.post(`${PROD}/promote`, { build: number });
  assert.equal(answer.status, 202, await answer.clone().text());
}

async function live(api: Api, number: number): Promise<void> {
  await until(`#${number} to be live`, async () => {
    return (await api.actors.environment.load(LANE)).state.live?.number === number;
  });
}

test("what a build made is promoted without a build, rolled back, and held until it is released", LIMIT, async () => {
  await using api = await startApi();
  for (const number of [1, 2]) {
    await built(api, number);
    await promote(api, number);
    await run(api, number, "prod", 1);
    await live(api, number);
  }

  const back = await api.post(`${PROD}/rollback`, { reason: "slow" }, { "toroid-user": "ada" });
  assert.deepEqual([back.status, await back.json()], [202, { ...LANE, number: 1, round: 2 }]);
  await run(api, 1, "prod", 2);
  await live(api, 1);
  const { state } = await api.actors.stage.load({ repository: REPOSITORY, number: 1, stage: "prod", round: 2 });
  assert.ok(state.work?.kind === "stage");
  assert.equal(state.work.context.artifact?.bytes, 1, "what was built then, as it was");
  assert.equal(state.work.context.previousCommit, commitOf(2));

  await built(api, 3);
  await promote(api, 3);
  const held = await until("#3 to wait", async () => {
    const now = await prodOf(api);
    return now?.waiting.some(({ number }) => number === 3) === true ? now : null;
  });
  assert.deepEqual([held.held?.number, held.held?.by, held.held?.why, held.inFlight], [1, "ada", "slow", null]);
  assert.deepEqual(held.before, []);
  const released = environmentSummary.parse(await (await api.post(`${PROD}/release`, {})).json());
  assert.equal(released.held, null);
  await run(api, 3, "prod", 1);
  await live(api, 3);
});

async function prodOf({ get }: Api): Promise<EnvironmentSummary | undefined> {
  const { repositories } = (await (await get("/api/v1/repositories")).json()) as {
    repositories: readonly { environments: readonly unknown[] }[];
  };
  return repositories
    .flatMap(({ environments }) => environments)
    .map((one) => environmentSummary.parse(one))
    .find(({ environment }) => environment === "prod");
}

test("a promotion or rollback that cannot be says why", LIMIT, async () => {
  await using api = await startApi();
  assert.match(await refusal(await api.post(`${PROD}/promote`, { build: 1 })), /^404 .* nothing was ever pushed/);
  await startBuild(api, [target("prod", ["build"])]);
  const asked = async (what: string, body: object): Promise<string> => refusal(await api.post(`${PROD}/${what}`, body));
  assert.match(await asked("promote", { build: 1 }), /^409 TOR_CONFLICT: build has not ended yet/);
  assert.match(await asked("promote", { build: 7 }), /^404 TOR_NOT_FOUND: there is no such build/);
  assert.match(await asked("promote", {}), /^400 TOR_INVALID_INPUT/);
  assert.match(await asked("promote", { build: 1, params: { TOROID_FENCE: "9" } }), /^400 .*`TOROID_FENCE` is set by/);
  assert.match(await asked("rollback", { reason: "slow" }), /^409 TOR_REFUSED: nothing else was live here before/);
  assert.match(await asked("rollback", { build: 1 }), /^400 TOR_INVALID_INPUT/);
  assert.match(await asked("rollback", { build: 1, reason: " " }), /^400 TOR_INVALID_INPUT/);
  await run(api, 1, "build", 1);
  await run(api, 1, "prod", 1);
  await live(api, 1);
  await built(api, 2);
  assert.match(
    await asked("rollback", { build: 2, reason: "slow" }),
    /^409 TOR_REFUSED: #2 is newer than #1, which is live: promote it$/,
  );
});

test("a promotion with the same key is the same one", LIMIT, async () => {
  await using api = await startApi();
  await built(api, 1);
  await until(
    "it to be built",
    async () => (await api.actors.build.load({ ...LANE, number: 1 })).state.settled.length > 0,
  );
  const rounds = [];
  for (let times = 0; times < 2; times += 1) {
    const answer = await api.post(`${PROD}/promote`, { build: 1, key: "mine" });
    rounds.push(((await answer.json()) as { round: number }).round);
  }
  assert.deepEqual(rounds, [1, 1]);
  const { state } = await api.actors.build.load({ repository: REPOSITORY, number: 1 });
  assert.equal(state.requested.length, 1);
});

test("what a rollback goes back to is older by its commit, whichever was accepted first", LIMIT, async () => {
  await using api = await startApi();
  // The push of commit 1 came after that of commit 2, and its build was the first to be deployed.
  const accepted = [
    { commit: 2, on: [1] },
    { commit: 1, on: [] },
  ];
  for (const [at, of] of accepted.entries()) {
    await startBuild(api, [target("prod", ["build"])], at + 1, of);
  }
  for (const number of [2, 1]) {
    await run(api, number, "build", 1);
    await run(api, number, "prod", 1);
    await live(api, number);
  }
  assert.equal((await api.post(`${PROD}/rollback`, { reason: "slow" })).status, 202);
  await run(api, 2, "prod", 2);
  await live(api, 2);
  assert.match(
    await refusal(await api.post(`${PROD}/rollback`, { build: 1, reason: "fast" })),
    /^409 TOR_REFUSED: #1 is newer than #2, which is live: promote it$/,
  );
});
