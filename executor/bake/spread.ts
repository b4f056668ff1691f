/**
 * Brings an AMI into further regions, and lets other accounts use it. What is there already, because a bake of the same
 * content was brought there, is taken as it is. Copies have their tags from the beginning, so that who dies meanwhile
 * leaves nothing that nobody finds.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { EC2, Image, ResourceType } from "@aws-sdk/client-ec2";
import { AMI_TAGS, type Amis } from "../../protocol/ami.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { durationText } from "../../protocol/pipeline/duration.ts";
import { ec2Failure } from "./failure.ts";
import { beginWaiting, looked, nextLookMs } from "./patience.ts";

export interface SpreadJob {
  /** In `home`. */
  readonly id: string;
  readonly home: string;
  /** Besides `home`. */
  readonly regions: readonly string[];
  readonly share: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly name: string;
  /** Nothing of the same content is taken from there. */
  readonly afresh: boolean;
  readonly patienceMs: number;
}

export interface SpreadPlace {
  readonly client: (region: string) => Promise<EC2>;
  readonly say: (line: string) => Promise<void>;
  readonly signal: AbortSignal;
}

interface Copy {
  readonly region: string;
  readonly id: string;
  /** Made here: it goes again when the others cannot be made. */
  readonly isOurs: boolean;
}

/**
 * Ids by region, the home's among them, when all are available and shared.
 *
 * @throws {ToroidError} of what EC2 says, or TOR_BAKE_TIMEOUT; and whatever aborts. No copy is left of it then.
 */
export async function spread(job: SpreadJob, place: SpreadPlace): Promise<Amis> {
  const began: Copy[] = [];
  // One that fails ends the others, and all are waited for, so that nothing is made any more when all is removed.
  const failing = new AbortController();
  const signal = AbortSignal.any([place.signal, failing.signal]);
  const regions = [...new Set(job.regions)].filter((region) => region !== job.home);
  try {
    const copying = regions.map(async (region) => {
      try {
        await copyInto(region, job, { ...place, signal }, began);
      } catch (error) {
        failing.abort(error);
        throw error;
      }
    });
    await Promise.allSettled(copying);
    signal.throwIfAborted();
    const amis = Object.fromEntries([{ region: job.home, id: job.id }, ...began].map(({ region, id }) => [region, id]));
    if (job.share.length > 0) {
      for (const [region, id] of Object.entries(amis)) await share(region, id, job.share, place);
      await place.say(`shared with ${job.share.join(", ")}`);
    }
    return amis;
  } catch (error) {
    for (const copy of began) if (copy.isOurs) await remove(copy, place);
    throw error;
  }
}

async function copyInto(region: string, job: SpreadJob, place: SpreadPlace, began: Copy[]): Promise<void> {
  await asking(`copying the AMI to ${region}`, async () => {
    const client = await place.client(region);
    const there = job.afresh ? null : await sameContent(client, job.tags);
    if (there !== null) {
      began.push({ region, id: there, isOurs: false });
      await place.say(`an AMI of the same content is there: ${there} in ${region}`);
      return;
    }
    const tagged = (ResourceType: ResourceType) => ({ ResourceType, Tags: tagList(job.tags) });
    const { ImageId: id = "" } = await client.copyImage({
      Name: job.name,
      SourceImageId: job.id,
      SourceRegion: job.home,
      // Asked once more, because the answer was lost, it is the same copy.
      ClientToken: createHash("sha256")
        .update(`${job.tags[AMI_TAGS.bake] ?? ""} ${region}`)
        .digest("hex"),
      TagSpecifications: [tagged("image"), tagged("snapshot")],
    });
    began.push({ region, id, isOurs: true });
    await place.say(`copying ${job.id} to ${region}: ${id}`);
    const image = await available(client, region, id, job, place);
    // Not every server that speaks like EC2 tags what it copies.
    await client.createTags({ Resources: [id, ...snapshotsOf(image)], Tags: tagList(job.tags) });
  });
}

async function available(
  client: EC2,
  region: string,
  id: string,
  { patienceMs }: SpreadJob,
  { say, signal }: SpreadPlace,
): Promise<Image> {
  let patience = beginWaiting(performance.now());
  for (;;) {
    signal.throwIfAborted();
    const { Images = [] } = await client.describeImages({ ImageIds: [id] });
    const [image] = Images;
    const state = image?.State ?? "not to be seen yet";
    if (image?.State === "available") {
      await say(`${id} in ${region} is available`);
      return image;
    }
    if (state !== "pending" && image !== undefined) {
      const why = image.StateReason?.Message ?? "EC2 does not say why";
      throw new ToroidError("TOR_BAKE_REFUSED", `the copy ${id} in ${region} is ${state}: ${why}`);
    }
    patience = looked(patience, `${state} ${await progressOf(client, image)}`, performance.now());
    const lookMs = nextLookMs(patience, patienceMs, performance.now());
    if (lookMs === null) {
      const message = `nothing went on for ${durationText(patienceMs)} (TOROID_BAKE_PATIENCE_SECONDS) while the AMI was copied to ${region}`;
      throw new ToroidError("TOR_BAKE_TIMEOUT", message);
    }
    await sleep(lookMs, undefined, { signal }).catch(() => undefined);
  }
}

/** What can be seen of it going on. Not everybody may look at snapshots; then it is waited for all the same. */
async function progressOf(client: EC2, image: Image | undefined): Promise<string> {
  const ids = image === undefined ? [] : snapshotsOf(image);
  if (ids.length === 0) return "";
  const { Snapshots = [] } = await client.describeSnapshots({ SnapshotIds: ids }).catch(() => ({ Snapshots: [] }));
  return Snapshots.map(({ Progress }) => Progress ?? "").join(" ");
}

async function sameContent(client: EC2, tags: Readonly<Record<string, string>>): Promise<string | null> {
  const filters = [AMI_TAGS.system, AMI_TAGS.key].map((tag) => ({ Name: `tag:${tag}`, Values: [tags[tag] ?? ""] }));
  const { Images = [] } = await client.describeImages({
    Owners: ["self"],
    Filters: [...filters, { Name: "state", Values: ["available"] }],
  });
  return Images.toSorted((a, b) => (b.CreationDate ?? "").localeCompare(a.CreationDate ?? ""))[0]?.ImageId ?? null;
}

/** Whoever is to use it needs its snapshots as well, to copy it to where he wants it. */
async function share(region: string, id: string, accounts: readonly string[], place: SpreadPlace): Promise<void> {
  await asking(`sharing the AMI in ${region}`, async () => {
    const client = await place.client(region);
    const users = accounts.map((UserId) => ({ UserId }));
    await client.modifyImageAttribute({ ImageId: id, LaunchPermission: { Add: users } });
    const { Images = [] } = await client.describeImages({ ImageIds: [id] });
    for (const SnapshotId of Images.flatMap(snapshotsOf)) {
      await client.modifySnapshotAttribute({ SnapshotId, CreateVolumePermission: { Add: users } });
    }
  });
}

async function remove({ region, id }: Copy, { client, say }: SpreadPlace): Promise<void> {
  try {
    const ec2 = await client(region);
    const { Images = [] } = await ec2.describeImages({ ImageIds: [id] });
    await ec2.deregisterImage({ ImageId: id });
    for (const SnapshotId of Images.flatMap(snapshotsOf)) await ec2.deleteSnapshot({ SnapshotId });
  } catch (error) {
    // It has its tags, and goes by them.
    await say(`${id} in ${region} could not be removed now: ${ec2Failure(error, "removing it").message}`);
  }
}

function snapshotsOf({ BlockDeviceMappings = [] }: Image): string[] {
  return BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
}

function tagList(tags: Readonly<Record<string, string>>): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

async function asking<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw ec2Failure(error, what);
  }
}
