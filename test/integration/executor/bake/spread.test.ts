import assert from "node:assert/strict";
import { test } from "node:test";
import { DescribeImageAttributeCommand, DescribeTagsCommand } from "@aws-sdk/client-ec2";
import { type SpreadJob, type SpreadPlace, spread } from "../../../../executor/bake/spread.ts";
import { openEc2 } from "../../../../kit/ec2.ts";
import { bakeTags } from "../../../../protocol/ami.ts";
import { bakeAmi } from "../../../support/baked.ts";
import { EC2_CREDENTIALS, EC2_REGION, type Ec2Server, ec2ForAll, NOTHING_IN_EC2 } from "../../../support/ec2.ts";
import { Ec2Front } from "../../../support/ec2-front.ts";
import { needs } from "../../../support/skips.ts";
import { until } from "../../../support/until.ts";

const KEY = `sha256:${"ab".repeat(32)}`;
const COMMIT = "c".repeat(40);
const FURTHER = ["eu-west-1", "eu-central-1"];
const OTHER = "210987654321";
const UNREACHABLE = "http://127.0.0.1:1";

let server: Ec2Server;
ec2ForAll((started) => {
  server = started;
});

function tagsOf(token: number): Readonly<Record<string, string>> {
  const of = { repository: "acme/api", commit: COMMIT, number: 42, stage: "build", round: 1 };
  return bakeTags({ system: "toroid", ...of, key: KEY, token });
}

async function baked(token: number, changes: Partial<SpreadJob> = {}): Promise<SpreadJob> {
  const tags = tagsOf(token);
  const { id } = await bakeAmi(server, tags);
  const name = `toroid/acme/api/42/build/1/${token}`;
  const job = { id, home: EC2_REGION, regions: FURTHER, share: [], tags, name, afresh: false, patienceMs: 60_000 };
  return { ...job, ...changes };
}

/** @param endpoints of regions where it is another one */
function place(endpoint: string, endpoints: Readonly<Record<string, string>> = {}) {
  const lines: string[] = [];
  const ending = new AbortController();
  const credentials = { ...EC2_CREDENTIALS, sessionToken: null };
  const at: SpreadPlace = {
    client: (region) => openEc2({ region, endpoint: endpoints[region] ?? endpoint, credentials }),
    say: (line) => Promise.resolve(void lines.push(line)),
    signal: ending.signal,
  };
  return { at, lines, ending };
}

test("an AMI is copied to further regions with its tags, and shared in all; what is there is taken", async (t) => {
  if (!needs(t, { ec2: true })) return;
  await server.reset();
  const job = await baked(1, { share: [OTHER] });
  const { at, lines } = place(server.endpoint);
  const amis = await spread(job, at);
  assert.deepEqual(Object.keys(amis).sort(), ["eu-central-1", "eu-west-1", EC2_REGION]);
  assert.equal(amis[EC2_REGION], job.id);
  for (const [region, ImageId = ""] of Object.entries(amis)) {
    const { images, snapshots } = await server.things(region);
    assert.deepEqual([images, snapshots.length], [[ImageId], 1], region);
    const client = server.client(region);
    for (const id of [ImageId, ...snapshots]) {
      const { Tags = [] } = await client.send(
        new DescribeTagsCommand({ Filters: [{ Name: "resource-id", Values: [id] }] }),
      );
      assert.deepEqual(Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value])), job.tags, id);
    }
    const { LaunchPermissions = [] } = await client.send(
      new DescribeImageAttributeCommand({ ImageId, Attribute: "launchPermission" }),
    );
    assert.deepEqual(
      LaunchPermissions.map(({ UserId }) => UserId),
      [OTHER],
      region,
    );
  }
  assert.ok(lines.includes(`${amis["eu-west-1"] ?? ""} in eu-west-1 is available`), lines.join("\n"));
  assert.deepEqual(await spread(job, at), amis);
  const afresh = await spread({ ...job, afresh: true, tags: tagsOf(2), name: `${job.name}2`, share: [] }, at);
  assert.notEqual(afresh["eu-west-1"], amis["eu-west-1"]);
});

test("where one region cannot be asked, nothing is left in the others", async (t) => {
  if (!needs(t, { ec2: true })) return;
  await server.reset();
  const job = await baked(1);
  const { at } = place(server.endpoint, { "eu-central-1": UNREACHABLE });
  await assert.rejects(spread(job, at), { code: "TOR_EC2_UNREACHABLE", message: /copying the AMI to eu-central-1/ });
  assert.deepEqual(await server.things("eu-west-1"), NOTHING_IN_EC2);
  assert.deepEqual((await server.things()).images, [job.id]);
});

test("what takes its time is waited for while something goes on; a cancelled one leaves no copy", async (t) => {
  if (!needs(t, { ec2: true })) return;
  await server.reset();
  await using front = await Ec2Front.start(server);
  const pending = (action: string, body: string): string =>
    action === "DescribeImages" ? body.replaceAll("available", "pending") : body;
  const regions = ["eu-west-1"];
  front.change = pending;
  const slow = place(front.endpoint);
  const made = spread(await baked(1, { regions }), slow.at);
  await until("it to be looked at twice", () => front.calls.filter((one) => one === "DescribeImages").length > 2);
  front.change = (_, body) => body;
  assert.equal(Object.keys(await made).length, 2);

  front.change = pending;
  const job = await baked(2, { regions, afresh: true });
  await assert.rejects(spread({ ...job, patienceMs: 50 }, slow.at), { code: "TOR_BAKE_TIMEOUT" });
  const before = front.calls.length;
  const cancelled = spread(job, slow.at);
  await until("it to be copied", () => front.calls.slice(before).includes("DescribeSnapshots"));
  slow.ending.abort(new Error("cancelled by ada"));
  await assert.rejects(cancelled, /cancelled by ada/);
  assert.deepEqual((await server.things("eu-west-1")).images.length, 1);
});
