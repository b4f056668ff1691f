import assert from "node:assert/strict";
import { test } from "node:test";
import type { StageId } from "../../../protocol/ids.ts";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import type { Timeouts } from "../../../protocol/pipeline/plan.ts";
import { TIMER } from "../../../protocol/streams.ts";
import { until } from "../../support/until.ts";
import { planWith, push, REPOSITORY, source, stagePlan } from "../../unit/coordinator/samples.ts";
import { type Api, startApi } from "./api-rig.ts";
import { claimStage, runStage, startCoordinator } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const BUILD: StageId = { repository: REPOSITORY, number: 1, stage: "build", round: 1 };
const NONE: Timeouts = { queueMs: null, startMs: null, silenceMs: null };

async function planned({ actors, jet }: Api, timeouts: Partial<Timeouts>): Promise<void> {
  await actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
  const plan = planWith(stagePlan("build", { timeouts: { ...NONE, ...timeouts } }));
  await runStage(jet, actors, { ...BUILD, stage: PLAN_STAGE }, { planned: { kind: "plan", source: source(), plan } });
}

async function timersIn({ jet }: Api): Promise<number> {
  return (await jet.jsm.streams.info(TIMER.name)).state.messages;
}

test("a stage that nobody takes is timed out, its build fails, and no timer is left", LIMIT, async () => {
  await using api = await startApi();
  await planned(api, { queueMs: 1_000 });
  const result = await until("it to end", async () => (await api.actors.stage.load(BUILD)).state.result);
  assert.equal(result.outcome, "timedOut");
  const { repository, number } = BUILD;
  await until("the build to fail", async () => (await api.actors.build.load({ repository, number })).state.outcome);
  await until("the timer to be gone", async () => (await timersIn(api)) === 0);
});

test("an executor that does not begin is fenced, and the stage is queued again", LIMIT, async () => {
  await using api = await startApi();
  await planned(api, { startMs: 1_000 });
  const token = await claimStage(api.jet, api.actors, BUILD);
  const { state } = await until("another attempt", async () => {
    const loaded = await api.actors.stage.load(BUILD);
    return loaded.state.attempt === 2 ? loaded : null;
  });
  assert.equal(state.status, "queued");
  assert.notEqual(state.token, token);
  assert.equal(state.lastError?.code, "TOR_START_TIMEOUT");
});

test("a timer outlives the coordinator that set it", LIMIT, async () => {
  await using api = await startApi();
  await planned(api, { queueMs: 4_000 });
  await until("the timer to be set", async () => (await timersIn(api)) === 1);
  await api.stopCoordinator();
  await using _other = await startCoordinator(api.server.url);
  const result = await until("it to end", async () => (await api.actors.stage.load(BUILD)).state.result, {
    withinMs: 30_000,
  });
  assert.equal(result.outcome, "timedOut");
});

test("a stage without timeouts sets no timer", LIMIT, async () => {
  await using api = await startApi();
  await planned(api, {});
  await runStage(api.jet, api.actors, BUILD);
  const { repository, number } = BUILD;
  await until("the build to end", async () => (await api.actors.build.load({ repository, number })).state.outcome);
  assert.equal(await timersIn(api), 0);
});
