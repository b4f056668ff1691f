/**
 * Removes things from EC2. Each call may have been made before, and whoever makes them may die after any: what is left
 * then has its tags still, and is found by them.
 */
import type { EC2 } from "@aws-sdk/client-ec2";
import { assertNever } from "../../protocol/errors.ts";
import type { Ec2Clients } from "./clients.ts";
import { isInUse, isMissing, reasonOf } from "./errors.ts";
import type { Thing } from "./inventory.ts";

/** Null: it is gone. Else why it is still there; the next look tries again. */
export type Removal = string | null;

/** An image with its snapshots. They are tagged before it goes, because nothing leads to them afterwards. */
export async function removeImage(clients: Ec2Clients, image: Thing): Promise<Removal> {
  const client = await clients.in(image.region);
  const tagged = await tagSnapshots(client, image, image.snapshots);
  if (tagged !== null) return tagged;
  const removed = await attempt(() => client.deregisterImage({ ImageId: image.id }));
  if (removed !== null) return removed;
  const left = await Promise.all(image.snapshots.map((id) => attempt(() => client.deleteSnapshot({ SnapshotId: id }))));
  return left.find((one) => one !== null) ?? null;
}

/** Gives snapshots the tags of their image. */
export async function tagSnapshots(client: EC2, image: Thing, ids: readonly string[]): Promise<Removal> {
  const ours = Object.entries(image.tags).filter(([name]) => name.startsWith("toroid:"));
  const tags = ours.map(([Key, Value]) => ({ Key, Value }));
  // One by one: a call of which one is missing does nothing to the others.
  const done = await Promise.all(ids.map((id) => attempt(() => client.createTags({ Resources: [id], Tags: tags }))));
  return done.find((one) => one !== null) ?? null;
}

/** What is no image. */
export async function removeLeftover(clients: Ec2Clients, { kind, region, id }: Thing): Promise<Removal> {
  const client = await clients.in(region);
  switch (kind) {
    case "instance":
      return attempt(() => client.terminateInstances({ InstanceIds: [id] }));
    case "volume":
      return attempt(() => client.deleteVolume({ VolumeId: id }));
    case "key pair":
      return attempt(() => client.deleteKeyPair({ KeyName: id }));
    case "security group":
      return attempt(() => client.deleteSecurityGroup({ GroupId: id }));
    case "snapshot":
      return attempt(() => client.deleteSnapshot({ SnapshotId: id }));
    case "image":
      return "an image goes with its snapshots";
    default:
      return assertNever(kind, "kind");
  }
}

async function attempt(act: () => Promise<unknown>): Promise<Removal> {
  try {
    await act();
    return null;
  } catch (error) {
    if (isMissing(error)) return null;
    return isInUse(error) ? `something uses it still: ${reasonOf(error)}` : reasonOf(error);
  }
}
