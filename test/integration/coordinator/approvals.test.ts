import assert from "node:assert/strict";
import { test } from "node:test";
import type { Approval } from "../../../protocol/pipeline/plan.ts";
import { buildSummary, type EnvironmentSummary, environmentSummary } from "../../../protocol/summary.ts";
import { until } from "../../support/until.ts";
import { commitOf, REPOSITORY, target } from "../../unit/coordinator/samples.ts";
import { type Api, BUILDS, refusal, startApi, startBuild } from "./api-rig.ts";
import { runStage } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const HOUR_MS = 3_600_000;
const PROD = `/api/v1/environments/${REPOSITORY}/prod`;
const APPROVALS = `${PROD}/approvals`;
const ANYBODY: Approval = { from: [], self: false, expiresMs: HOUR_MS };

/** A build whose `prod` waits for approval. */
async function waiting(api: Api, number = 1, approval = ANYBODY): Promise<EnvironmentSummary> {
  await startBuild(api, [target("prod", ["build"], { approval })], number);
  await runStage(api.jet, api.actors, { repository: REPOSITORY, number, stage: "build", round: 1 });
  return until(`#${number} to wait`, async () => {
    const prod = await prodOf(api);
    return prod?.waiting.some((one) => one.number === number) === true ? prod : null;
  });
}

async function prodOf({ get }: Api): Promise<EnvironmentSummary | undefined> {
  const { repositories } = (await (await get("/api/v1/repositories")).json()) as {
    repositories: readonly { environments: readonly unknown[] }[];
  };
  return repositories
    .flatMap(({ environments }) => environments)
    .map((one) => environmentSummary.parse(one))
    .find(({ environment }) => environment === "prod");
}

async function ended({ get }: Api, number: number) {
  return until(`#${number} to end`, async () => {
    const build = buildSummary.parse(await (await get(`${BUILDS}/${REPOSITORY}/${number}`)).json());
    return build.status === "finished" ? build : null;
  });
}

test("a stage waits until somebody else approves it, and says what would change", LIMIT, async () => {
  await using api = await startApi();
  await waiting(api);
  const bob = { "toroid-user": "bob" };
  const approved = environmentSummary.parse(await (await api.post(APPROVALS, { build: 1 }, bob)).json());
  assert.equal(approved.environment, "prod");
  await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "prod", round: 1 });
  assert.equal((await ended(api, 1)).outcome, "passed");

  const second = await waiting(api, 2);
  const [one] = second.waiting;
  assert.deepEqual(one?.approval?.change, { from: commitOf(1), to: commitOf(2) });
  assert.deepEqual([one.approval.from, one.approval.self], [[], false]);
  assert.ok(one.approval.endsAtMs > Date.now() + HOUR_MS / 2);
});

test("whoever may not approve hears why, and nothing changes", LIMIT, async () => {
  await using api = await startApi();
  await waiting(api, 1, { ...ANYBODY, from: ["@acme/release"] });
  const refused = async (body: object, who?: string): Promise<string> =>
    refusal(await api.post(APPROVALS, body, who === undefined ? {} : { "toroid-user": who }));
  assert.match(await refused({ build: 1 }), /^403 TOR_NOT_ALLOWED: local may not decide this: the file names/);
  assert.match(await refused({ build: 1 }, "bob"), /^403 TOR_NOT_ALLOWED: bob may not decide this/);
  assert.match(
    await refused({ build: 1, team: "@acme/release" }, "Ada"),
    /^403 TOR_NOT_ALLOWED: Ada is behind this build/,
  );
  assert.match(await refused({ build: 7 }, "bob"), /^409 TOR_CONFLICT: #7 does not wait here for approval$/);
  assert.match(await refused({}, "bob"), /^400 TOR_INVALID_INPUT/);
  assert.match(await refused({ build: 1, decision: "perhaps" }, "bob"), /^400 TOR_INVALID_INPUT/);
  assert.match(await refused({ build: 1 }, "b\u0085b"), /^400 TOR_INVALID_INPUT: the header Toroid-User is no name/);
  assert.equal((await prodOf(api))?.waiting.length, 1);
  const name = Buffer.from("Žofie", "utf8").toString("latin1");
  const answer = await api.post(APPROVALS, { build: 1, team: "@acme/release" }, { "toroid-user": name });
  assert.equal(answer.status, 200);
  const lane = await api.actors.environment.load({ repository: REPOSITORY, environment: "prod" });
  const agreed = lane.state.inFlight?.approved ?? lane.state.waiting[0]?.approved;
  assert.deepEqual([agreed?.by, agreed?.team], ["Žofie", "@acme/release"]);
});

test("a rejected stage ends its build, with who and why", LIMIT, async () => {
  await using api = await startApi();
  await waiting(api);
  const body = { build: 1, decision: "reject", reason: "the migration is missing" };
  assert.equal((await api.post(APPROVALS, body, { "toroid-user": "bob" })).status, 200);
  const build = await ended(api, 1);
  assert.deepEqual(
    [build.outcome, build.message],
    ["cancelled", "prod was cancelled: rejected by bob: the migration is missing"],
  );
  assert.match(await refusal(await api.post(APPROVALS, body, { "toroid-user": "bob" })), /^409 TOR_CONFLICT/);
});

test("an approval that nobody gives in time ends the stage", LIMIT, async () => {
  await using api = await startApi();
  await waiting(api, 1, { ...ANYBODY, expiresMs: 1_500 });
  const build = await ended(api, 1);
  assert.equal(build.outcome, "cancelled");
  assert.equal(build.stages.find(({ name }) => name === "prod")?.message, "nobody approved it within 1s500ms");
});
