import assert from "node:assert/strict";
import { test } from "node:test";
import { bakeTags } from "../../../protocol/ami.ts";
import { type Clearing, clearing } from "../../../protocol/ami-summary.ts";
import { PLAN_STAGE, type StageId } from "../../../protocol/ids.ts";
import { bakeAmi, beginBake } from "../../support/baked.ts";
import { type Ec2Server, ec2ForAll, NOTHING_IN_EC2 } from "../../support/ec2.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { toroid } from "../../unit/bin/toroid.ts";
import { commitOf, REPOSITORY, target } from "../../unit/coordinator/samples.ts";
import { bakedBuild, haveCredentials, isLive, KEY, startAmiApi } from "./ami-rig.ts";
import { type Api, refusal, startBuild } from "./api-rig.ts";
import { claimStage, finishStage, runStage } from "./rig.ts";

const LIMIT = { timeout: 180_000 };
const REGIONS = ["us-east-1", "eu-west-1"];
/** Nothing has to be old. */
const AT_ONCE = {
  TOROID_AMI_REGIONS: REGIONS.join(","),
  TOROID_AMI_SWEEP_AFTER_MINUTES: "0",
  TOROID_AMI_EVERY_MINUTES: "0",
};
const MUTATING = /^(Create|Delete|Deregister|Terminate)/;

haveCredentials();
let server: Ec2Server;
ec2ForAll((started) => {
  server = started;
});

/** The tags of build `number`'s bake by the attempt with this token. */
function tagsOf(number: number, token: number, system = "toroid"): Readonly<Record<string, string>> {
  const commit = commitOf(number);
  return bakeTags({ system, repository: REPOSITORY, commit, number, stage: "build", round: 1, key: KEY, token });
}

async function clear(api: Api, dryRun = false): Promise<Clearing> {
  const answer = await api.post("/api/v1/amis/gc", { dryRun });
  assert.equal(answer.status, 200, await answer.clone().text());
  return clearing.parse(await answer.json());
}

/** #1, whose stage an executor has claimed. */
async function beginBuild(api: Api): Promise<{ readonly id: StageId; readonly token: number }> {
  await startBuild(api);
  const id = { repository: REPOSITORY, number: 1, stage: "build", round: 1 };
  return { id, token: await claimStage(api.jet, api.actors, id) };
}

test("what a bake left goes when its attempt has ended, and nothing else does", LIMIT, async (t) => {
  if (!needs(t, { ec2: true })) return;
  await server.reset();
  await using api = await startAmiApi(server, AT_ONCE);
  const { id, token } = await beginBuild(api);
  const instance = await beginBake(server, tagsOf(1, token));
  const stranger = await beginBake(server, tagsOf(1, token, "another"));
  await beginBake(server, { Name: "somebody's own" });
  const others = await server.things();
  const under = await clear(api);
  assert.deepEqual([under.gone, under.failed], [[], []]);
  assert.deepEqual(
    under.stays.map(({ kind, why }) => `${kind}: ${why}`).sort(),
    ["instance", "key pair", "security group", "volume"].map((kind) => `${kind}: it is being baked with`),
  );
  await finishStage(api.jet, id, token, { outcome: "failed" });
  await ended(api, 1);
  assert.deepEqual(await clear(api, true).then(({ dryRun, gone }) => [dryRun, gone.length]), [true, 4]);
  assert.deepEqual(await server.things(), others);
  assert.deepEqual((await clear(api)).failed, []);
  const left = await server.things();
  assert.ok(!left.instances.includes(instance) && left.instances.includes(stranger));
  assert.deepEqual(
    [left.instances, left.volumes, left.keyPairs, left.securityGroups].map(({ length }) => length),
    [2, 2, 2, 2],
  );
});

test("a coordinator clears by itself what nobody knows of; an image of it that can be used stays", LIMIT, async (t) => {
  if (!needs(t, { ec2: true })) return;
  await server.reset();
  await beginBake(server, tagsOf(7, 1), "eu-west-1");
  const { id } = await bakeAmi(server, tagsOf(7, 1));
  await using api = await startAmiApi(server, { ...AT_ONCE, TOROID_AMI_EVERY_MINUTES: "5" });
  // The key pair goes last.
  const hasNone = async (): Promise<boolean> => (await server.things("eu-west-1")).keyPairs.length === 0;
  await until("nothing to be left", hasNone, { withinMs: 60_000 });
  assert.deepEqual(await server.things("eu-west-1"), NOTHING_IN_EC2);
  const { stays } = await clear(api);
  assert.deepEqual(
    stays.map((one) => [one.id, one.why]),
    [[id, "its build is not known here: if it is nobody else's, remove it by hand"]],
  );
});

test("wherever it dies while it removes, the next time nothing is left", LIMIT, async (t) => {
  if (!needs(t, { ec2: true })) return;
  await using api = await startAmiApi(server, AT_ONCE);
  const { id: stage, token } = await beginBuild(api);
  await finishStage(api.jet, stage, token, { outcome: "failed" });
  await ended(api, 1);
  let points = 0;
  for (const fate of ["lost", "unheard"] as const) {
    for (let at = 1; ; at += 1) {
      await server.reset();
      await beginBake(server, tagsOf(1, token));
      await bakeAmi(server, tagsOf(1, token), { snapshots: false });
      let calls = 0;
      api.proxy.fateOf = (action) => {
        if (calls >= at) return "lost";
        if (MUTATING.test(action)) calls += 1;
        return calls >= at ? fate : "passes";
      };
      await api.post("/api/v1/amis/gc", {});
      api.proxy.fateOf = () => "passes";
      if (calls < at) break;
      points += 1;
      await clear(api);
      assert.deepEqual(await server.things(), NOTHING_IN_EC2, `after call ${at} was ${fate}`);
    }
  }
  // Instance, volume, security group, key pair; tags, image, snapshot.
  assert.ok(points >= 12, `${points} points`);
});

test("an AMI goes when it is neither kept, needed nor lately used; each other says why it stays", LIMIT, async (t) => {
  if (!needs(t, { ec2: true })) return;
  await server.reset();
  await using api = await startAmiApi(server, { ...AT_ONCE, TOROID_AMI_KEEP: "2" });
  const by = new Map<number, { readonly id: string; readonly copy: string }>();
  for (const number of [1, 2, 3, 4, 5, 6]) {
    // The fifth finds that of the first and takes it over.
    const { id } = number === 5 ? { id: by.get(1)?.id ?? "" } : await bakeAmi(server, tagsOf(number, number));
    const copy =
      number === 5
        ? (by.get(1)?.copy ?? "")
        : (await bakeAmi(server, tagsOf(number, number), { region: "eu-west-1", snapshots: false })).id;
    by.set(number, { id, copy });
    await bakedBuild(api, number, { "us-east-1": id, "eu-west-1": copy }, [
      target("prod", ["build"], { automatic: false }),
    ]);
    await ended(api, number);
  }
  for (const number of [2, 3]) {
    const prod = `/api/v1/environments/${REPOSITORY}/prod`;
    assert.equal((await api.post(`${prod}/promote`, { build: number })).status, 202);
    await runStage(api.jet, api.actors, { repository: REPOSITORY, number, stage: "prod", round: 1 });
    await isLive(api, number);
    await ended(api, number);
  }
  const idOf = (number: number): string => by.get(number)?.id ?? "";
  const expected = {
    [idOf(6)]: `it is among the newest 2 of ${REPOSITORY}`,
    [idOf(1)]: `it is among the newest 2 of ${REPOSITORY}`,
    [idOf(4)]: "not among the newest 2, and nothing needs it",
    [idOf(3)]: "it is live in prod",
    [idOf(2)]: "prod can go back to it",
  };
  const whole = await server.things();
  const dry = await clear(api, true);
  const said = [...dry.gone, ...dry.stays].filter(({ region, kind }) => region === "us-east-1" && kind === "image");
  assert.deepEqual(Object.fromEntries(said.map(({ id, why }) => [id, why])), expected);
  assert.deepEqual(await server.things(), whole);

  const server_ = ["--server", api.url];
  const shown = await toroid(["ami", "show", idOf(1), ...server_]);
  assert.equal(shown.exit, 0, shown.err);
  assert.match(shown.out, new RegExp(`build +${REPOSITORY}#1 \\(and #5\\)\n`));
  assert.match(shown.out, new RegExp(`image +${by.get(1)?.copy ?? ""} in eu-west-1, available, of snap-`));
  const listed = JSON.parse((await toroid(["ami", "ls", REPOSITORY, "--json", ...server_])).out) as {
    amis: readonly { number: number; live: readonly string[]; goes: boolean }[];
  };
  assert.deepEqual(
    listed.amis.map((one) => [one.number, one.live, one.goes]),
    [
      [6, [], false],
      [4, [], true],
      [3, ["prod"], false],
      [2, [], false],
      [1, [], false],
    ],
  );
  const cleared = await toroid(["ami", "gc", ...server_]);
  assert.equal(cleared.exit, 0, cleared.err);
  assert.match(cleared.out, new RegExp(`gone +image +${idOf(4)} +us-east-1`));
  for (const region of REGIONS) {
    const { images, snapshots } = await server.things(region);
    assert.deepEqual([images.length, snapshots.length], [4, 4], region);
    assert.ok(!images.some((id) => [by.get(4)?.id, by.get(4)?.copy].includes(id)));
  }
  const gone = await toroid(["ami", "show", idOf(4), ...server_]);
  assert.deepEqual([gone.exit, gone.out], [4, ""]);
});

test(
  "an image that no build recorded stays while its build may take it over, and goes when that ends",
  LIMIT,
  async (t) => {
    if (!needs(t, { ec2: true })) return;
    await server.reset();
    await using api = await startAmiApi(server, AT_ONCE);
    const { id, token } = await beginBuild(api);
    const image = await bakeAmi(server, tagsOf(1, token - 1), { snapshots: false });
    const under = await clear(api);
    assert.deepEqual(
      under.stays.map((one) => [one.id, one.why]),
      [[image.id, "its build has not ended, and may take it over"]],
    );
    await finishStage(api.jet, id, token, { outcome: "failed" });
    await ended(api, 1);
    const { gone } = await clear(api);
    assert.deepEqual(
      gone.map((one) => one.id),
      [image.id],
    );
    assert.deepEqual(await server.things(), NOTHING_IN_EC2);
  },
);

test("one that has no tags yet is known by its name, and by nothing less", LIMIT, async (t) => {
  if (!needs(t, { ec2: true })) return;
  await server.reset();
  await using api = await startAmiApi(server, AT_ONCE);
  const { id, token } = await beginBuild(api);
  const names = [`toroid/${REPOSITORY}/1/build/1/${token}`, `toroid/${REPOSITORY}/9/build/1/7`, "toroid/of somebody"];
  const [ours, unknown, stranger] = await Promise.all(names.map((name) => bakeAmi(server, {}, { name })));
  const whyOf = (report: Clearing) => Object.fromEntries(report.stays.map((one) => [one.id, one.why]));
  const nobodys = { [unknown?.id ?? ""]: "its build is not known here: if it is nobody else's, remove it by hand" };
  assert.deepEqual(whyOf(await clear(api)), { [ours?.id ?? ""]: "it is being baked", ...nobodys });
  await finishStage(api.jet, id, token, { outcome: "failed" });
  await ended(api, 1);
  const report = await clear(api);
  assert.deepEqual(
    report.gone.map((one) => one.id),
    [ours?.id],
  );
  assert.deepEqual(whyOf(report), nobodys);
  assert.deepEqual(new Set((await server.things()).images), new Set([stranger?.id, unknown?.id]));
});

test("without a region, or an answer of EC2, it is said what is missing", LIMIT, async (t) => {
  if (!needs(t, { ec2: true })) return;
  {
    await using api = await startAmiApi(server);
    const none =
      "409 TOR_REFUSED: no region is configured: give the coordinators TOROID_AMI_REGIONS, such as eu-west-1,us-east-1";
    assert.equal(await refusal(await api.get("/api/v1/amis")), none);
    assert.equal(await refusal(await api.post("/api/v1/amis/gc", {})), none);
  }
  await using api = await startAmiApi(server, AT_ONCE);
  api.proxy.fateOf = () => "lost";
  const away = /^503 TOR_EC2_UNREACHABLE: EC2 in (us-east-1|eu-west-1) could not be asked for what is tagged as ours: /;
  assert.match(await refusal(await api.get("/api/v1/amis")), away);
});

/** Waits until the build has ended, as its summary says too. */
async function ended(api: Api, number: number): Promise<void> {
  await until(`#${number} to end`, async () => {
    const { state } = await api.actors.build.load({ repository: REPOSITORY, number });
    const plan = await api.actors.stage.load({ repository: REPOSITORY, number, stage: PLAN_STAGE, round: 1 });
    const shown = (await (await api.get(`/api/v1/builds/${REPOSITORY}/${number}`)).json()) as { status: string };
    return state.status === "finished" && plan.state.result !== null && shown.status === "finished";
  });
}
