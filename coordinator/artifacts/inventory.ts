/** What EC2 has that is ours by its tags, or its name: images, and all that bakes make on the way to them. */
import type { EC2, Tag } from "@aws-sdk/client-ec2";
import { AMI_TAGS, amiNamePrefix } from "../../protocol/ami.ts";
import { ToroidError } from "../../protocol/errors.ts";
import type { Ec2Clients } from "./clients.ts";
import { reasonOf } from "./errors.ts";
import { tagsFromName } from "./named.ts";

export const KINDS = ["instance", "volume", "key pair", "security group", "image", "snapshot"] as const;
export type Kind = (typeof KINDS)[number];

export interface Thing {
  readonly kind: Kind;
  readonly region: string;
  readonly id: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Null where EC2 does not say. */
  readonly createdAtMs: number | null;
  /** Of an image: `available`, `pending`, `failed`. Empty for what has none. */
  readonly state: string;
  /** Of an image. */
  readonly snapshots: readonly string[];
  /** It has no tags yet, and these are what its name says. */
  readonly isNamed: boolean;
}

interface Found {
  readonly name?: string | undefined;
  readonly id: string | undefined;
  readonly tags: readonly Tag[] | undefined;
  readonly created?: Date | string | undefined;
  readonly state?: string | undefined;
  readonly snapshots?: readonly string[];
}

interface Page {
  readonly found: readonly Found[];
  readonly next: string | undefined;
}

type Filters = { readonly Name: string; readonly Values: string[] }[];

/** What terminates ends by itself. */
const LIVE_STATES = ["pending", "running", "stopping", "stopped"];

const LIST: Readonly<Record<Kind, (client: EC2, filters: Filters, next: string | undefined) => Promise<Page>>> = {
  async instance(client, filters, next) {
    const states = { Name: "instance-state-name", Values: LIVE_STATES };
    const page = await client.describeInstances({ Filters: [...filters, states], ...after(next) });
    const instances = (page.Reservations ?? []).flatMap(({ Instances }) => Instances ?? []);
    const found = instances.map((one) => ({ id: one.InstanceId, tags: one.Tags, created: one.LaunchTime }));
    return { found, next: page.NextToken };
  },
  async volume(client, filters, next) {
    const page = await client.describeVolumes({ Filters: filters, ...after(next) });
    const found = (page.Volumes ?? []).map((one) => ({ id: one.VolumeId, tags: one.Tags, created: one.CreateTime }));
    return { found, next: page.NextToken };
  },
  async "key pair"(client, filters) {
    const { KeyPairs = [] } = await client.describeKeyPairs({ Filters: filters });
    const found = KeyPairs.map((one) => ({ id: one.KeyName, tags: one.Tags, created: one.CreateTime }));
    return { found, next: undefined };
  },
  async "security group"(client, filters, next) {
    const page = await client.describeSecurityGroups({ Filters: filters, ...after(next) });
    const found = (page.SecurityGroups ?? []).map((one) => ({ id: one.GroupId, tags: one.Tags }));
    return { found, next: page.NextToken };
  },
  async image(client, filters, next) {
    const page = await client.describeImages({ Owners: ["self"], Filters: filters, ...after(next) });
    const found = (page.Images ?? []).map((one) => ({
      id: one.ImageId,
      name: one.Name,
      tags: one.Tags,
      created: one.CreationDate,
      state: one.State,
      snapshots: (one.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []),
    }));
    return { found, next: page.NextToken };
  },
  async snapshot(client, filters, next) {
    const page = await client.describeSnapshots({ OwnerIds: ["self"], Filters: filters, ...after(next) });
    const found = (page.Snapshots ?? []).map((one) => ({ id: one.SnapshotId, tags: one.Tags, created: one.StartTime }));
    return { found, next: page.NextToken };
  },
};

/**
 * Everything with the tags of system and bake, in each of the regions.
 *
 * @throws {ToroidError} TOR_EC2_UNREACHABLE when one of them could not be asked: half of a list is none
 */
export async function inventory(
  clients: Ec2Clients,
  { system, regions }: { readonly system: string; readonly regions: readonly string[] },
  kinds: readonly Kind[] = KINDS,
): Promise<readonly Thing[]> {
  const lists = regions.flatMap((region) => kinds.map((kind) => listed(clients, region, kind, system)));
  return (await Promise.all(lists)).flat();
}

async function listed(clients: Ec2Clients, region: string, kind: Kind, system: string): Promise<readonly Thing[]> {
  const tagged: Filters = [
    { Name: `tag:${AMI_TAGS.system}`, Values: [system] },
    { Name: "tag-key", Values: [AMI_TAGS.bake] },
  ];
  const named: Filters = [{ Name: "name", Values: [`${amiNamePrefix(system)}*`] }];
  const things: Thing[] = [];
  try {
    const client = await clients.in(region);
    for (const found of await pagesOf(client, kind, tagged)) things.push(...thingOf(kind, region, found));
    const untagged = kind === "image" ? await pagesOf(client, kind, named) : [];
    for (const found of untagged) things.push(...namedThing(region, system, found));
  } catch (cause) {
    const message = `EC2 in ${region} could not be asked for what is tagged as ours: ${reasonOf(cause)}`;
    throw new ToroidError("TOR_EC2_UNREACHABLE", message, { region }, { cause });
  }
  // Not every server filters as it is told, and what is not ours is not ours to remove.
  return things.filter(({ tags }) => tags[AMI_TAGS.system] === system && (tags[AMI_TAGS.bake] ?? "") !== "");
}

async function pagesOf(client: EC2, kind: Kind, filters: Filters): Promise<readonly Found[]> {
  const all: Found[] = [];
  for (let next: string | undefined, first = true; first || next !== undefined; first = false) {
    const page = await LIST[kind](client, filters, next);
    all.push(...page.found);
    next = page.next === "" ? undefined : page.next;
  }
  return all;
}

function namedThing(region: string, system: string, found: Found): readonly Thing[] {
  const isTagged = (found.tags ?? []).some(({ Key }) => Key === AMI_TAGS.system || Key === AMI_TAGS.bake);
  const tags = isTagged ? null : tagsFromName(system, found.name ?? "");
  return tags === null ? [] : thingOf("image", region, found).map((one) => ({ ...one, tags, isNamed: true }));
}

function thingOf(kind: Kind, region: string, { id, tags, created, state, snapshots }: Found): readonly Thing[] {
  if (id === undefined || id === "") return [];
  const named = (tags ?? []).map(({ Key, Value }): [string, string] => [Key ?? "", Value ?? ""]);
  const at = created === undefined ? Number.NaN : new Date(created).getTime();
  return [
    {
      kind,
      region,
      id,
      tags: Object.fromEntries(named),
      createdAtMs: Number.isNaN(at) ? null : at,
      state: state ?? "",
      snapshots: snapshots ?? [],
      isNamed: false,
    },
  ];
}

function after(next: string | undefined): { readonly NextToken?: string } {
  return next === undefined ? {} : { NextToken: next };
}
