/** A repository's own `amazon-ebssurrogate`: an AMI is registered of a volume beside its instance, by real Packer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DescribeImagesCommand, DescribeSnapshotsCommand, type Tag } from "@aws-sdk/client-ec2";
import { BASE_AMI, EC2_REGION, NOTHING_IN_EC2 } from "../../../support/ec2.ts";
import { programPath } from "../../../support/programs.ts";
import { needs } from "../../../support/skips.ts";
import { type BakeRig, bakedBy, bakeRigForAll, NEEDS, T } from "./rig.ts";

const SURROGATE = `source "amazon-ebssurrogate" "machine" {
  region        = "eu-west-1" // another one
  profile       = "somebody"
  source_ami    = "${BASE_AMI}"
  instance_type = "t3.micro"
  ssh_username  = "root"
  ami_name      = "theirs"
  ami_virtualization_type = "hvm"
  tags          = { team = "web" }
  launch_block_device_mappings {
    device_name           = "/dev/xvdf"
    volume_size           = 8
    volume_type           = "gp2"
    delete_on_termination = true
  }
  ami_root_device {
    source_device_name    = "/dev/xvdf"
    device_name           = "/dev/xvda"
    volume_size           = 8
    volume_type           = "gp2"
    delete_on_termination = true
  }
}
build {
  sources = ["source.amazon-ebssurrogate.machine"]
  provisioner "shell" { inline = ["echo by surrogate > /etc/provisioned"] }
}
`;

const SCRIPT = ["echo s > /etc/by-script"];

let bakes: BakeRig;
bakeRigForAll({ "README.md": "hello\n", "surrogate.pkr.hcl": SURROGATE }, (rig) => {
  bakes = rig;
});

function tagsOf(tags: readonly Tag[] | undefined): Record<string, string | undefined> {
  return Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key, Value]));
}

for (const packer of ["packer", "packer-1.9.4"] as const) {
  test(`a surrogate's volume becomes an AMI with our name and tags, by ${packer}`, T, async (t) => {
    if (!needs(t, { ...NEEDS, program: ["git", packer] })) return;
    const { rig, instance, ec2, front } = bakes;
    await bakes.forget();
    await instance.run("rm -rf /etc/provisioned /etc/by-script /workspace");
    const registered: string[] = [];
    front.refuse = (action, words) => {
      if (action === "RegisterImage")
        registered.push(...[...words].flatMap(([name, value]) => (/DeviceName|SnapshotId/.test(name) ? value : [])));
      return null;
    };
    await using _ = rig.executor(packer, await bakes.variables({ TOROID_PACKER: programPath(packer) ?? "" }));
    const id = await rig.queue(await rig.stageWork(bakedBy(SCRIPT, { template: "surrogate.pkr.hcl" })));
    const { artifact, message } = await rig.result(id, 60_000);
    assert.ok(artifact?.kind === "ami", `${message}\n${(await rig.output(id)).toString("utf8")}`);
    const ami = artifact.amis[EC2_REGION] ?? "";

    const { images, snapshots, ...rest } = await ec2.things();
    const { images: _none, snapshots: _neither, ...nothing } = NOTHING_IN_EC2;
    assert.deepEqual([images, rest], [[ami], nothing]);
    const { Images = [] } = await ec2.client().send(new DescribeImagesCommand({ ImageIds: [ami] }));
    const { Snapshots = [] } = await ec2.client().send(new DescribeSnapshotsCommand({ SnapshotIds: [...snapshots] }));
    // The server gives an image a snapshot of its own, whatever it is registered of.
    const [own] = Images.flatMap(({ BlockDeviceMappings = [] }) => BlockDeviceMappings);
    const [taken, ...more] = Snapshots.filter(({ SnapshotId }) => SnapshotId !== own?.Ebs?.SnapshotId);
    assert.deepEqual([taken?.VolumeSize, more], [8, []]);
    assert.deepEqual(registered.sort(), ["/dev/xvda", "/dev/xvda", taken?.SnapshotId ?? ""].sort());
    assert.equal(Images[0]?.Name, `toroid/acme/api/${id.number}/build/1/${(await rig.stage(id)).stage.token}`);
    assert.equal(tagsOf(Images[0]?.Tags)["team"], "web");
    for (const tags of [Images[0]?.Tags, taken?.Tags].map(tagsOf)) {
      assert.deepEqual([tags["toroid:repository"], tags["toroid:key"]], ["acme/api", artifact.key]);
    }
    const seen = await instance.run("cat /etc/provisioned; ls -d /etc/by-script /workspace 2>/dev/null || :");
    assert.equal(seen, "by surrogate\n", "what the stage left is not for its instance");
  });
}

test("of a surrogate that is refused its AMI, the snapshot of its volume goes as well", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { rig, ec2, front } = bakes;
  await bakes.forget();
  const message = "The architecture of the volume is not the one of the AMI.";
  front.refuse = (action) =>
    action === "RegisterImage" ? { status: 400, code: "InvalidParameterCombination", message } : null;
  const id = await bakes.bake(bakedBy(SCRIPT, { template: "surrogate.pkr.hcl" }));
  const result = await rig.result(id, 60_000);
  assert.equal(result.outcome, "failed", result.message);
  assert.ok(result.message.includes(message), result.message);
  assert.ok(front.calls.includes("CreateSnapshot"));
  assert.deepEqual(await ec2.things(), NOTHING_IN_EC2);
});
