import assert from "node:assert/strict";
import { test } from "node:test";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import type { BuildSummary } from "../../../protocol/summary.ts";
import { buildSummary } from "../../../protocol/summary.ts";
import { shortOf } from "../../../protocol/work.ts";
import { until } from "../../support/until.ts";
import { commitOf, planWith, push, REPOSITORY, source, stagePlan, target } from "../../unit/coordinator/samples.ts";
import { type Api, BUILDS, startApi } from "./api-rig.ts";
import { claimStage, finishStage, runStage } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const PLAN = { ...planWith(stagePlan("a"), stagePlan("b"), target("prod", ["a", "b"])), cancelSuperseded: true };

/** Each push moves main by one commit, which has its number, as its build has when all are accepted in order. */
async function acceptCommit({ actors }: Api, commit: number): Promise<void> {
  const of = push({ commit: commitOf(commit), before: commit === 1 ? null : commitOf(commit - 1) });
  await actors.repository.tell(REPOSITORY, { kind: "accept", key: `k${commit}`, push: of, by: "queue" });
}

async function plan({ jet, actors }: Api, number: number, commit = number): Promise<void> {
  const ancestors = Array.from({ length: commit - 1 }, (_, at) => shortOf(commitOf(at + 1)));
  const history = { ancestors, tip: null, rewinds: false };
  const planned = { kind: "plan", source: source(commit), plan: PLAN, history } as const;
  await runStage(jet, actors, { repository: REPOSITORY, number, stage: PLAN_STAGE, round: 1 }, { planned });
}

async function ended({ get }: Api, number: number): Promise<BuildSummary> {
  return until(`#${number} to end`, async () => {
    const answer = await get(`${BUILDS}/${REPOSITORY}/${number}`);
    const build = buildSummary.safeParse(await answer.json()).data;
    const over = build?.status === "finished" && build.stages.every(({ status }) => status === "finished");
    return over ? build : null;
  });
}

test(
  "a push ends what older ones of its branch still build, queued and running, and what they plan",
  LIMIT,
  async () => {
    await using api = await startApi();
    for (const number of [1, 2, 3]) await acceptCommit(api, number);
    await plan(api, 1);
    const running = { repository: REPOSITORY, number: 1, stage: "a", round: 1 };
    const token = await claimStage(api.jet, api.actors, running);
    await plan(api, 3);
    await until("the executor to be asked", async () => (await api.actors.stage.load(running)).state.cancel !== null);
    const { seq } = await api.actors.stage.load(running);
    assert.ok(seq > token);
    await finishStage(api.jet, running, seq, { outcome: "cancelled", message: "as you wish" });
    for (const number of [1, 2]) {
      const build = await ended(api, number);
      assert.equal(build.outcome, "superseded", `#${number}: ${build.message}`);
    }
    const third = buildSummary.parse(await (await api.get(`${BUILDS}/${REPOSITORY}/3`)).json());
    assert.equal(third.outcome, null);
  },
);

test("pushes that arrive in the wrong order end the older, whichever of them is planned first", LIMIT, async () => {
  for (const order of [
    [2, 1],
    [1, 2],
  ]) {
    await using api = await startApi();
    await acceptCommit(api, 2);
    await acceptCommit(api, 1);
    for (const commit of order) await plan(api, 3 - commit, commit);
    const late = await ended(api, 2);
    const why = "#1, which is newer, was pushed to the same branch";
    assert.deepEqual([late.outcome, late.message], ["superseded", why], `planned in the order ${order.join()}`);
    const newer = { repository: REPOSITORY, number: 1, stage: "a", round: 1 };
    await until("the newer to build", async () => (await api.actors.stage.load(newer)).state.status === "queued");
    assert.equal((await api.actors.build.load({ repository: REPOSITORY, number: 1 })).state.supersededBy, null);
  }
});

test("an environment that an older push is in, is left to it", LIMIT, async () => {
  await using api = await startApi();
  for (const number of [1, 2]) await acceptCommit(api, number);
  await plan(api, 1);
  for (const stage of ["a", "b"]) {
    await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage, round: 1 });
  }
  const prod = { repository: REPOSITORY, number: 1, stage: "prod", round: 1 };
  const token = await claimStage(api.jet, api.actors, prod);
  await plan(api, 2);
  const next = { repository: REPOSITORY, number: 2, stage: "a", round: 1 };
  await until("#2 to build", async () => (await api.actors.stage.load(next)).state.status === "queued");
  await finishStage(api.jet, prod, token, {});
  assert.equal((await ended(api, 1)).outcome, "passed");
});
