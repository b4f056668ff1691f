import assert from "node:assert/strict";
import { test } from "node:test";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import { type BuildSummary, buildSummary } from "../../../protocol/summary.ts";
import { until } from "../../support/until.ts";
import { planWith, push, REPOSITORY, source, stagePlan, target } from "../../unit/coordinator/samples.ts";
import { type Api, BUILDS, refusal, startApi, startBuild } from "./api-rig.ts";
import { runStage } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const BUILD = `${BUILDS}/${REPOSITORY}/1`;
const at = (stage: string, round: number) => ({ repository: REPOSITORY, number: 1, stage, round });

async function ended({ get }: Api): Promise<BuildSummary> {
  return until("the build to end", async () => {
    const build = buildSummary.safeParse(await (await get(BUILD)).json()).data;
    return build?.status === "finished" ? build : null;
  });
}

test("a stage that failed is built again by hand, and what comes after it goes on", LIMIT, async () => {
  await using api = await startApi();
  await startBuild(api, [target("prod", ["build"])]);
  await runStage(api.jet, api.actors, at("build", 1), { outcome: "failed" });
  assert.equal((await ended(api)).outcome, "failed");
  assert.equal((await api.post(`${BUILD}/stages/build/retry`, { reason: "flaky" })).status, 202);
  await runStage(api.jet, api.actors, at("build", 2));
  await runStage(api.jet, api.actors, at("prod", 2));
  const build = await until("it to have passed", async () => {
    const now = await ended(api);
    return now.outcome === "passed" ? now : null;
  });
  const rounds = build.stages.map(({ name, round, outcome }) => `${name}/${round} ${outcome}`).sort();
  assert.deepEqual(rounds, ["_plan/1 passed", "build/1 failed", "build/2 passed", "prod/1 skipped", "prod/2 passed"]);
});

test("without a stage all that ended badly is tried again, once for each key", LIMIT, async () => {
  await using api = await startApi();
  await startBuild(api, []);
  await runStage(api.jet, api.actors, at("build", 1), { outcome: "failed" });
  await ended(api);
  for (let times = 0; times < 2; times += 1) {
    assert.equal((await api.post(`${BUILD}/retry`, { key: "mine" })).status, 202);
  }
  const { state } = await api.actors.build.load({ repository: REPOSITORY, number: 1 });
  assert.deepEqual(state.planRounds, { build: 2 });
});

test("a plan that could not be made is made again", LIMIT, async () => {
  await using api = await startApi();
  await api.actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
  await runStage(api.jet, api.actors, at(PLAN_STAGE, 1), { outcome: "errored", message: "git is away" });
  assert.equal((await ended(api)).outcome, "failed");
  assert.equal((await api.post(`${BUILD}/retry`, {})).status, 202);
  const planned = { kind: "plan", source: source(), plan: planWith(stagePlan("build")) } as const;
  await runStage(api.jet, api.actors, at(PLAN_STAGE, 2), { planned });
  await runStage(api.jet, api.actors, at("build", 1));
  await until("it to have passed", async () => (await ended(api)).outcome === "passed");
});

test("a retry that cannot be says why", LIMIT, async () => {
  await using api = await startApi();
  assert.match(await refusal(await api.post(`${BUILD}/retry`, {})), /^404 TOR_NOT_FOUND/);
  await startBuild(api, []);
  assert.match(
    await refusal(await api.post(`${BUILD}/stages/build/retry`, {})),
    /^409 TOR_CONFLICT: build has not ended/,
  );
  assert.match(await refusal(await api.post(`${BUILD}/stages/biuld/retry`, {})), /^404 TOR_NOT_FOUND: .*it has build$/);
  await runStage(api.jet, api.actors, at("build", 1));
  await ended(api);
  assert.match(await refusal(await api.post(`${BUILD}/stages/build/retry`, {})), /^409 TOR_REFUSED: build passed/);
});
