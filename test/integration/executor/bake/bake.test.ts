/** From a script that passed to an AMI: with real Packer, against an EC2-compatible server with a machine behind it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DescribeImagesCommand, DescribeSnapshotsCommand, type Tag } from "@aws-sdk/client-ec2";
import type { AmiPlan } from "../../../../protocol/pipeline/plan.ts";
import { BASE_NAME, BASE_OWNER, EC2_REGION, NOTHING_IN_EC2 } from "../../../support/ec2.ts";
import { programPath } from "../../../support/programs.ts";
import { needs } from "../../../support/skips.ts";
import { until } from "../../../support/until.ts";
import { type BakeRig, bakedBy, bakeRigForAll, NEEDS, T } from "./rig.ts";

const TEMPLATE =
  'build {\n  sources = ["source.null.toroid"]\n  provisioner "shell" { inline = ["echo by template > /etc/provisioned"] }\n}\n';
const CURIOUS = `build {
  sources = ["source.null.toroid"]
  provisioner "shell-local" { inline = ["echo the secret is $AWS_SECRET_ACCESS_KEY"] }
}
`;
const OWN_SOURCE = `source "amazon-ebs" "machine" {
  region        = "eu-west-1" // another one
  profile       = "somebody"
  source_ami_filter {
    filters     = { name = "${BASE_NAME}" }
    owners      = ["${BASE_OWNER}"]
    most_recent = true
  }
  instance_type = "t3.micro"
  ssh_username  = "root"
  ami_name      = "theirs"
  tags          = { team = "web" }
}
build {
  sources = ["source.null.toroid", "source.amazon-ebs.machine"]
  provisioner "shell" { inline = ["echo by their source > /etc/provisioned"] }
}
`;
const FIRST_LANGUAGE = JSON.stringify({
  builders: [
    {
      type: "amazon-ebs",
      source_ami: "ami-0ba5e000000000001",
      instance_type: "t3.micro",
      ssh_username: "root",
      ami_name: "theirs",
    },
  ],
  provisioners: [{ type: "shell", inline: ["echo by json > /etc/provisioned"] }],
});

let bakes: BakeRig;
bakeRigForAll(
  {
    "README.md": "hello\n",
    ".packer": TEMPLATE,
    "own.pkr.hcl": OWN_SOURCE,
    "own.json": FIRST_LANGUAGE,
    "curious.pkr.hcl": CURIOUS,
  },
  (rig) => {
    bakes = rig;
  },
);

async function logOf(id: Parameters<BakeRig["rig"]["output"]>[0]): Promise<string> {
  return (await bakes.rig.output(id)).toString("utf8");
}

function tagsOf(tags: readonly Tag[] | undefined): Record<string, string | undefined> {
  return Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key, Value]));
}

for (const packer of ["packer", "packer-1.9.4"] as const) {
  test(`what the script left becomes an AMI, and nothing else is left of the bake, by ${packer}`, T, async (t) => {
    if (!needs(t, { ...NEEDS, program: ["git", packer] })) return;
    const { rig, instance, ec2, front } = bakes;
    await bakes.forget();
    await using _ = rig.executor(packer, await bakes.variables({ TOROID_PACKER: programPath(packer) ?? "" }));
    const script = [
      "echo tested > /etc/tested",
      "mkdir -p /opt/app",
      "echo built > built",
      "rm /etc/shells",
      "echo t > /tmp/t",
    ];
    const id = await rig.queue(await rig.stageWork(bakedBy(script)));
    const result = await rig.result(id, 60_000);
    assert.equal(result.outcome, "passed", result.message);
    assert.ok(result.artifact?.kind === "ami");
    const ami = result.artifact.amis[EC2_REGION] ?? "";

    const { images, snapshots, ...rest } = await ec2.things();
    const { images: _none, snapshots: _neither, ...nothing } = NOTHING_IN_EC2;
    assert.deepEqual([images, snapshots.length, rest], [[ami], 1, nothing]);
    const { Images = [] } = await ec2.client().send(new DescribeImagesCommand({ ImageIds: [ami] }));
    const { Snapshots = [] } = await ec2.client().send(new DescribeSnapshotsCommand({ SnapshotIds: [...snapshots] }));
    assert.equal(Images[0]?.Name, `toroid/acme/api/${id.number}/build/1/${(await rig.stage(id)).stage.token}`);
    for (const tags of [tagsOf(Images[0]?.Tags), tagsOf(Snapshots[0]?.Tags)]) {
      assert.equal(tags["toroid:repository"], "acme/api");
      assert.equal(tags["toroid:commit"], await rig.repo.head());
      assert.equal(tags["toroid:key"], result.artifact.key);
    }
    const seen =
      "cat /etc/tested /workspace/built /workspace/README.md; ls -d /opt/app; ls /etc/shells /tmp/t /workspace/.git || :";
    assert.equal(await instance.run(`(${seen}) 2>/dev/null`), "tested\nbuilt\nhello\n/opt/app\n");
    assert.ok((result.stepsMs["bake"] ?? 0) > 0);
    const log = await logOf(id);
    assert.match(log, /Creating AMI toroid\/acme\/api/);
    assert.doesNotMatch(log, /toroid:key|PRIVATE KEY|AWS_SECRET/);
    assert.deepEqual(
      front.calls.filter((call) => call === "CreateKeyPair" || call === "GetSessionToken"),
      [],
    );
  });
}

test("the same content is baked once, unless it is to be baked again", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { rig, front } = bakes;
  await bakes.forget();
  const bake = async (script: string, rebake = false) => {
    const id = await bakes.bake(bakedBy([script], { rebake }));
    const { artifact, message } = await rig.result(id, 60_000);
    assert.ok(artifact?.kind === "ami", message);
    return { id, artifact };
  };
  const first = await bake("true");
  const second = await bake("true");
  assert.deepEqual(second.artifact, first.artifact);
  assert.match(await logOf(second.id), /an AMI of the same content is there: ami-/);
  assert.equal(front.calls.filter((call) => call === "RunInstances").length, 1);
  const again = await bake("true", true);
  assert.equal(again.artifact.key, first.artifact.key);
  assert.notDeepEqual(again.artifact.amis, first.artifact.amis);
  const other = await bake("echo other");
  assert.notEqual(other.artifact.key, first.artifact.key);
});

test(
  "provisioners of a template are done again on the instance, and its own source is run with our settings",
  T,
  async (t) => {
    if (!needs(t, NEEDS)) return;
    const { rig, instance, ec2, front } = bakes;
    await bakes.forget();
    const bake = async (template: string, provision: "difference" | "replay") => {
      await instance.run("rm -rf /etc/provisioned /etc/by-script /workspace");
      const id = await bakes.bake(bakedBy(["echo s > /etc/by-script"], { template, provision }));
      const { artifact, message } = await rig.result(id, 60_000);
      assert.ok(artifact?.kind === "ami", `${template}: ${message}\n${await logOf(id)}`);
      const seen = await instance.run(
        "cat /etc/provisioned; cat /etc/by-script 2>/dev/null; cat /workspace/README.md || :",
      );
      const { Images = [] } = await ec2
        .client()
        .send(new DescribeImagesCommand({ ImageIds: Object.values(artifact.amis) }));
      return { seen, name: Images[0]?.Name ?? "", tags: tagsOf(Images[0]?.Tags) };
    };
    assert.equal((await bake(".packer", "difference")).seen, "by template\ns\nhello\n");
    assert.equal((await bake(".packer", "replay")).seen, "by template\nhello\n");
    const own = await bake("own.pkr.hcl", "difference");
    assert.equal(own.seen, "by their source\ns\nhello\n");
    assert.match(own.name, /^toroid\/acme\/api/);
    assert.deepEqual([own.tags["team"], own.tags["toroid:repository"]], ["web", "acme/api"]);
    const json = await bake("own.json", "difference");
    assert.equal(json.seen, "by json\ns\nhello\n");
    assert.match(json.name, /^toroid\/acme\/api/);
    assert.deepEqual(front.calls.filter((call) => call === "CreateSecurityGroup").length, 4);
  },
);

test("an instance lets in nobody but whom the operator named", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { rig, front } = bakes;
  await bakes.forget();
  const opened: string[] = [];
  front.refuse = (action, words) => {
    if (action === "AuthorizeSecurityGroupIngress")
      opened.push(...[...words].filter(([name]) => /Cidr|Port/.test(name)).map(([, value]) => value));
    return null;
  };
  assert.equal((await rig.result(await bakes.bake(bakedBy(["true"])), 60_000)).outcome, "passed");
  assert.deepEqual(opened.sort(), ["10.20.0.0/16", "22", "22"]);
});

test("only Packer's workspace has the credentials, and no log has them, whatever a template prints", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { rig } = bakes;
  await bakes.forget();
  await using _ = rig.executor("one", await bakes.variables({ TOROID_BAKE_SECRET_ACCESS_KEY: "very-secret-indeed" }));
  const script = ["! env | grep -q AWS_", "! grep -rqs very-secret-in[d]eed /proc/*/environ /toroid /workspace"];
  const id = await rig.queue(await rig.stageWork(bakedBy(script, { template: "curious.pkr.hcl" })));
  const result = await rig.result(id, 60_000);
  assert.equal(result.outcome, "passed", `${result.message}\n${await logOf(id)}`);
  assert.match(await logOf(id), /the secret is \*\*\*/);
  assert.doesNotMatch(await logOf(id), /very-secret-indeed/);
});

test(
  "an AMI goes to further regions and accounts; one of the same content that lacks them is brought there",
  T,
  async (t) => {
    if (!needs(t, NEEDS)) return;
    const { rig, ec2 } = bakes;
    await bakes.forget();
    const bake = async (more: Partial<AmiPlan>) => {
      const id = await bakes.bake(bakedBy(["true"], more));
      const { artifact, message } = await rig.result(id, 60_000);
      assert.ok(artifact?.kind === "ami", message);
      return artifact;
    };
    const near = await bake({});
    const far = await bake({ regions: ["eu-west-1"], share: ["210987654321"] });
    assert.equal(far.key, near.key);
    assert.deepEqual(far.amis, { ...near.amis, "eu-west-1": (await ec2.things("eu-west-1")).images[0] ?? "" });
    for (const [region, ImageId] of Object.entries(far.amis)) {
      const { Images = [] } = await ec2.client(region).send(new DescribeImagesCommand({ ImageIds: [ImageId] }));
      assert.equal(tagsOf(Images[0]?.Tags)["toroid:key"], far.key, region);
    }
  },
);

test("a cancelled bake is ended in order, and leaves nothing", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { rig, front, ec2 } = bakes;
  await bakes.forget();
  // It never becomes available.
  front.change = (action, body) =>
    action === "DescribeImages" ? body.replaceAll("<imageState>available", "<imageState>pending") : body;
  const id = await bakes.bake(bakedBy(["true"], { source: { kind: "id", id: "ami-0ba5e000000000001" } }));
  await until("the image to be waited for", async () => /Waiting for AMI/.test(await logOf(id)), { withinMs: 60_000 });
  await rig.cancel(id);
  const result = await rig.result(id, 60_000);
  assert.equal(result.outcome, "cancelled");
  front.change = (_action, body) => body;
  assert.deepEqual(await ec2.things(), NOTHING_IN_EC2);
});
