import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import {
  CreateImageCommand,
  CreateKeyPairCommand,
  CreateSecurityGroupCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { isAlive, script } from "../../support/child.ts";
import {
  BASE_AMI,
  BASE_NAME,
  BASE_OWNER,
  type Ec2Server,
  ec2ForAll,
  NOTHING_IN_EC2,
  OTHER_AMI,
} from "../../support/ec2.ts";
import { programPath } from "../../support/programs.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";

let server: Ec2Server;
ec2ForAll((started) => {
  server = started;
});

test("what was made is seen, and what was ended or removed is not", async (t) => {
  if (!needs(t, { ec2: true })) return;
  const client = server.client();
  assert.deepEqual(await server.things(), NOTHING_IN_EC2);
  const { Instances = [] } = await client.send(
    new RunInstancesCommand({ ImageId: BASE_AMI, MinCount: 1, MaxCount: 1 }),
  );
  const [instance = ""] = Instances.flatMap(({ InstanceId }) => InstanceId ?? []);
  await client.send(new CreateKeyPairCommand({ KeyName: "ours" }));
  const group = await client.send(new CreateSecurityGroupCommand({ GroupName: "ours", Description: "ours" }));
  const { ImageId } = await client.send(new CreateImageCommand({ InstanceId: instance, Name: "ours" }));
  const there = await server.things();
  assert.deepEqual(
    { ...there, volumes: there.volumes.length, snapshots: there.snapshots.length },
    {
      instances: [instance],
      volumes: 1,
      snapshots: 1,
      images: [ImageId],
      keyPairs: ["ours"],
      securityGroups: [group.GroupId],
    },
  );
  assert.deepEqual(await server.things("eu-west-1"), NOTHING_IN_EC2);
  await client.send(new TerminateInstancesCommand({ InstanceIds: [instance] }));
  await client.send(new DeregisterImageCommand({ ImageId }));
  const left = await server.things();
  assert.deepEqual([left.instances, left.volumes, left.images, left.snapshots.length], [[], [], [], 1]);
  await server.reset();
  assert.deepEqual(await server.things(), NOTHING_IN_EC2);
});

test("a base image is found by owner and name, and no instance comes of an image that is not there", async (t) => {
  if (!needs(t, { ec2: true })) return;
  const { Images = [] } = await server
    .client()
    .send(new DescribeImagesCommand({ Owners: [BASE_OWNER], Filters: [{ Name: "name", Values: [BASE_NAME] }] }));
  assert.deepEqual(
    Images.map(({ ImageId }) => ImageId),
    [BASE_AMI],
  );
  const missingImage = new RunInstancesCommand({ ImageId: "ami-00000000000000000", MinCount: 1, MaxCount: 1 });
  await assert.rejects(server.client().send(missingImage), { name: "InvalidAMIID.NotFound" });
});

test("the command line of AWS speaks to it", async (t) => {
  if (!needs(t, { ec2: true, aws: true })) return;
  const args = ["ec2", "describe-images", "--owners", BASE_OWNER, "--query", "Images[].ImageId", "--output", "json"];
  const { stdout } = await promisify(execFile)(programPath("aws") ?? "", args, {
    env: { ...process.env, ...server.env },
  });
  assert.deepEqual((JSON.parse(stdout) as string[]).toSorted(), [BASE_AMI, OTHER_AMI]);
});

test("the server ends with its process, when that is killed too", async (t) => {
  if (!needs(t, { ec2: true })) return;
  await using holder = script(join(import.meta.dirname, "..", "..", "support", "hold-ec2.ts"));
  const pid = Number(await holder.line());
  assert.ok(isAlive(pid));
  holder.kill("SIGKILL");
  await until("the server to end", () => !isAlive(pid));
});
