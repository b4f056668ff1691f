/** What a bake makes in EC2, made by its calls: a key pair, a security group, an instance with its volume, an image. */
import {
  CreateImageCommand,
  CreateKeyPairCommand,
  CreateSecurityGroupCommand,
  CreateTagsCommand,
  DescribeImagesCommand,
  type EC2Client,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { BASE_AMI, EC2_REGION, type Ec2Server } from "./ec2.ts";

type Tags = Readonly<Record<string, string>>;

/** As it is in the middle of a bake: nothing is cleaned up, and there is no image yet. */
export async function beginBake(server: Ec2Server, tags: Tags, region: string = EC2_REGION): Promise<string> {
  const client = server.client(region);
  const name = `packer-${Math.random().toString(16).slice(2)}`;
  const Tags = tagList(tags);
  const key = await client.send(
    new CreateKeyPairCommand({ KeyName: name, TagSpecifications: [{ ResourceType: "key-pair", Tags }] }),
  );
  const group = await client.send(
    new CreateSecurityGroupCommand({
      GroupName: name,
      Description: "temporary",
      TagSpecifications: [{ ResourceType: "security-group", Tags }],
    }),
  );
  const { Instances = [] } = await client.send(
    new RunInstancesCommand({
      ImageId: BASE_AMI,
      MinCount: 1,
      MaxCount: 1,
      KeyName: key.KeyName,
      SecurityGroupIds: [group.GroupId ?? ""],
      TagSpecifications: [{ ResourceType: "instance", Tags }],
    }),
  );
  const [{ InstanceId = "", BlockDeviceMappings = [] } = {}] = Instances;
  const volumes = BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.VolumeId ?? []);
  if (volumes.length > 0) await tag(client, volumes, tags);
  return InstanceId;
}

/** An image as a bake leaves it, and nothing else. `snapshots`: its snapshots have the tags, too. */
export async function bakeAmi(
  server: Ec2Server,
  tags: Tags,
  {
    region = EC2_REGION,
    snapshots = true,
    name = `baked-${Math.random().toString(16).slice(2)}`,
  }: { readonly region?: string; readonly snapshots?: boolean; readonly name?: string } = {},
): Promise<{ readonly id: string; readonly snapshots: readonly string[] }> {
  const client = server.client(region);
  const { Instances = [] } = await client.send(
    new RunInstancesCommand({ ImageId: BASE_AMI, MinCount: 1, MaxCount: 1 }),
  );
  const InstanceId = Instances[0]?.InstanceId ?? "";
  const image = await client.send(new CreateImageCommand({ InstanceId, Name: name }));
  const id = image.ImageId ?? "";
  await client.send(new TerminateInstancesCommand({ InstanceIds: [InstanceId] }));
  const made = await snapshotsOf(client, id);
  await tag(client, snapshots ? [id, ...made] : [id], tags);
  return { id, snapshots: made };
}

async function snapshotsOf(client: EC2Client, id: string): Promise<readonly string[]> {
  const { Images = [] } = await client.send(new DescribeImagesCommand({ ImageIds: [id] }));
  return (Images[0]?.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
}

async function tag(client: EC2Client, ids: readonly string[], tags: Tags): Promise<void> {
  if (Object.keys(tags).length === 0) return;
  await client.send(new CreateTagsCommand({ Resources: [...ids], Tags: tagList(tags) }));
}

function tagList(tags: Tags): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}
