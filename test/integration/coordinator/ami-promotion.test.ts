import assert from "node:assert/strict";
import { test } from "node:test";
import { DeregisterImageCommand } from "@aws-sdk/client-ec2";
import { environmentSummary } from "../../../protocol/summary.ts";
import { bakeAmi } from "../../support/baked.ts";
import { type Ec2Server, ec2ForAll } from "../../support/ec2.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { REPOSITORY, target } from "../../unit/coordinator/samples.ts";
import { bakedBuild, haveCredentials, isLive, startAmiApi } from "./ami-rig.ts";
import { type Api, refusal } from "./api-rig.ts";
import { runStage } from "./rig.ts";

const LIMIT = { timeout: 120_000 };
const PROD = `/api/v1/environments/${REPOSITORY}/prod`;
const NOT_THERE = "ami-00000000000000000";

haveCredentials();
let server: Ec2Server;
ec2ForAll((started) => {
  server = started;
});

test("an AMI goes into an environment when it is there, in each of its regions", LIMIT, async (t) => {
  if (!needs(t, { ec2: true })) return;
  await using api = await startAmiApi(server);
  const amis = {
    "us-east-1": (await bakeAmi(server, {})).id,
    "eu-west-1": (await bakeAmi(server, {}, { region: "eu-west-1" })).id,
  };
  await bakedBuild(api, 1, amis);
  await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "prod", round: 1 });
  await isLive(api, 1);
  // Each region once at least: who looks at all lanes may ask beside who heard of the event.
  const asked = api.proxy.calls.filter((call) => call === "DescribeImages").length;
  assert.ok(asked >= 2, `EC2 was asked ${asked} times`);
});

test("one that is not there in one region errors its stage, which names both; the next one goes", LIMIT, async (t) => {
  if (!needs(t, { ec2: true })) return;
  await using api = await startAmiApi(server);
  const { id } = await bakeAmi(server, {});
  await bakedBuild(api, 1, { "us-east-1": id, "eu-west-1": NOT_THERE });
  const result = await until("the stage to end", async () => {
    return (await api.actors.stage.load({ repository: REPOSITORY, number: 1, stage: "prod", round: 1 })).state.result;
  });
  assert.equal(result.outcome, "errored");
  assert.equal(result.message, `${NOT_THERE} is not there in eu-west-1: it was removed, or belongs to somebody else`);
  await bakedBuild(api, 2, { "us-east-1": id });
  await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 2, stage: "prod", round: 1 });
  await isLive(api, 2);
});

test("while EC2 does not answer nothing goes and it is said why; when it does, it goes", LIMIT, async (t) => {
  if (!needs(t, { ec2: true })) return;
  await using api = await startAmiApi(server);
  const { id } = await bakeAmi(server, {});
  api.proxy.fateOf = () => "lost";
  await bakedBuild(api, 1, { "us-east-1": id });
  const why = await until("the reason to be shown", async () => {
    const entry = (await prodOf(api))?.waiting.find(({ number }) => number === 1);
    return entry?.why.startsWith("EC2 in us-east-1 could not be asked") === true ? entry.why : null;
  });
  assert.match(why, new RegExp(`for ${id}: `));
  const { state } = await api.actors.stage.load({ repository: REPOSITORY, number: 1, stage: "prod", round: 1 });
  assert.equal(state.status, "absent");
  api.proxy.fateOf = () => "passes";
  await runStageLater(api, 1);
  await isLive(api, 1);
});

test("who promotes or rolls back to an AMI that is gone is refused, and told so; or to ask again", LIMIT, async (t) => {
  if (!needs(t, { ec2: true })) return;
  await using api = await startAmiApi(server);
  const first = await bakeAmi(server, {});
  const second = await bakeAmi(server, {});
  for (const [number, { id }] of [first, second].entries()) {
    await bakedBuild(api, number + 1, { "us-east-1": id }, [target("prod", ["build"])]);
    await runStageLater(api, number + 1);
    await isLive(api, number + 1);
  }
  await server.client().send(new DeregisterImageCommand({ ImageId: first.id }));
  const gone = `409 TOR_REFUSED: the AMI of #1 is of no use: ${first.id} is not there in us-east-1: it was removed, or belongs to somebody else`;
  assert.equal(await refusal(await api.post(`${PROD}/rollback`, { reason: "slow" })), gone);
  assert.equal(await refusal(await api.post(`${PROD}/promote`, { build: 1 })), gone);
  api.proxy.fateOf = () => "lost";
  const answer = await refusal(await api.post(`${PROD}/promote`, { build: 2 }));
  assert.match(answer, /^503 TOR_EC2_UNREACHABLE: EC2 in us-east-1 could not be asked for ami-.*; ask again$/);
  assert.deepEqual((await prodOf(api))?.waiting, []);
});

/** `runStage` waits for ten seconds, which EC2 may be away for longer. */
async function runStageLater(api: Api, number: number): Promise<void> {
  const id = { repository: REPOSITORY, number, stage: "prod", round: 1 };
  const isQueued = async (): Promise<boolean> => (await api.actors.stage.load(id)).state.status === "queued";
  await until("prod to be queued", isQueued, { withinMs: 60_000 });
  await runStage(api.jet, api.actors, id);
}

async function prodOf({ get }: Api) {
  const { repositories } = (await (await get("/api/v1/repositories")).json()) as {
    repositories: readonly { environments: readonly unknown[] }[];
  };
  return repositories
    .flatMap(({ environments }) => environments)
    .map((one) => environmentSummary.parse(one))
    .find(({ environment }) => environment === "prod");
}
