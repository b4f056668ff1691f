/** The account that AMIs are baked in: what is made for one bake there, looked at, and removed again. */
import { generateKeyPairSync } from "node:crypto";
import type { EC2, ResourceType, TagSpecification } from "@aws-sdk/client-ec2";
import { AMI_TAGS } from "../../protocol/ami.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { ec2Failure } from "./failure.ts";

export interface FoundImage {
  readonly id: string;
  /** `pending`, `available`, `failed` and others, as EC2 says. */
  readonly state: string;
  readonly why: string;
  readonly snapshots: readonly string[];
}

export interface Door {
  /** Name of the key pair, and the file's content that opens it. */
  readonly keyPair: string;
  readonly secret: string;
  /** The security group; null: the operator's. */
  readonly group: string | null;
}

const SSH_PORT = 22;
/** How long instances that are ended hold on to their security group. */
const LETTING_GO_MS = 120_000;
const LOOK_MS = 2_000;

export class BakeAccount {
  readonly #ec2: EC2;
  readonly #tags: Readonly<Record<string, string>>;
  readonly #name: string;

  /**
   * @param tags of everything that the bake makes
   * @param name of the AMI, which no other has
   */
  constructor(ec2: EC2, tags: Readonly<Record<string, string>>, name: string) {
    this.#ec2 = ec2;
    this.#tags = tags;
    this.#name = name;
  }

  /** One that is of the same content, and can be used; null: there is none. */
  async sameContent(): Promise<string | null> {
    const filters = [AMI_TAGS.system, AMI_TAGS.key].map((tag) => ({
      Name: `tag:${tag}`,
      Values: [this.#tags[tag] ?? ""],
    }));
    const available = { Name: "state", Values: ["available"] };
    const { Images = [] } = await this.#ask("looking for AMIs", () =>
      this.#ec2.describeImages({ Owners: ["self"], Filters: [...filters, available] }),
    );
    const newest = Images.toSorted((a, b) => ((a.CreationDate ?? "") < (b.CreationDate ?? "") ? 1 : -1))[0];
    return newest?.ImageId ?? null;
  }

  /** A key pair of this bake's own, and a security group that lets nobody in but `from`. */
  async openDoor(
    from: readonly string[] | null,
    place: { readonly vpc: string | null; readonly subnet: string | null },
  ): Promise<Door> {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const { x = "" } = publicKey.export({ format: "jwk" });
    const keyPair = this.#handle;
    await this.#ask("a key pair", () =>
      this.#ec2.importKeyPair({
        KeyName: keyPair,
        PublicKeyMaterial: Buffer.from(openSshKey(Buffer.from(x, "base64url"))),
        TagSpecifications: this.#tagged("key-pair"),
      }),
    );
    const secret = privateKey.export({ format: "pem", type: "pkcs8" });
    return { keyPair, secret, group: from === null ? null : await this.#group(from, place) };
  }

  async #group(
    from: readonly string[],
    place: { readonly vpc: string | null; readonly subnet: string | null },
  ): Promise<string> {
    const vpc = place.vpc ?? (await this.#vpcOf(place.subnet));
    const { GroupId = "" } = await this.#ask("a security group", () =>
      this.#ec2.createSecurityGroup({
        GroupName: this.#handle,
        Description: "Made by Toroid to bake an AMI",
        ...(vpc === null ? {} : { VpcId: vpc }),
        TagSpecifications: this.#tagged("security-group"),
      }),
    );
    const ranges = from.map((cidr) => (cidr.includes(":") ? { v6: { CidrIpv6: cidr } } : { v4: { CidrIp: cidr } }));
    await this.#ask("access to instances", () =>
      this.#ec2.authorizeSecurityGroupIngress({
        GroupId,
        IpPermissions: [
          {
            IpProtocol: "tcp",
            FromPort: SSH_PORT,
            ToPort: SSH_PORT,
            IpRanges: ranges.flatMap(({ v4 }) => v4 ?? []),
            Ipv6Ranges: ranges.flatMap(({ v6 }) => v6 ?? []),
          },
        ],
      }),
    );
    return GroupId;
  }

  async #vpcOf(subnet: string | null): Promise<string | null> {
    if (subnet === null) return null;
    const { Subnets = [] } = await this.#ask("looking at the subnet", () =>
      this.#ec2.describeSubnets({ SubnetIds: [subnet] }),
    );
    return Subnets[0]?.VpcId ?? null;
  }

  /** The AMI of this bake, in whatever state; null: there is none, or none any more. */
  async image(): Promise<FoundImage | null> {
    const { Images = [] } = await this.#ask("looking for the AMI", () =>
      this.#ec2.describeImages({ Owners: ["self"], Filters: [{ Name: "name", Values: [this.#name] }] }),
    );
    const [one] = Images;
    if (one?.ImageId === undefined) return null;
    const snapshots = (one.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
    return { id: one.ImageId, state: one.State ?? "", why: one.StateReason?.Message ?? "", snapshots };
  }

  /** What can be seen of an image going on: the percents of its snapshots. */
  async progress({ id, snapshots }: FoundImage): Promise<string> {
    const filter =
      snapshots.length > 0
        ? { SnapshotIds: [...snapshots] }
        : { Filters: [{ Name: "description", Values: [`*${id}*`] }] };
    // Not everybody may look at snapshots who may make them: then nothing is seen, and the image is waited for.
    const { Snapshots = [] } = await this.#ec2.describeSnapshots(filter).catch(() => ({ Snapshots: [] }));
    return Snapshots.map(({ Progress }) => Progress ?? "")
      .filter((percent) => percent !== "")
      .join(", ");
  }

  /** Gives an image and its snapshots whatever tags they lack. */
  async tag({ id, snapshots }: Pick<FoundImage, "id" | "snapshots">): Promise<void> {
    await this.#ask("tagging the AMI", () => this.#ec2.createTags({ Resources: [id, ...snapshots], Tags: this.#list }));
  }

  /** Everything of this bake that is still there, but for an image that is kept. */
  async clear(kept: string | null): Promise<void> {
    const mine = [{ Name: `tag:${AMI_TAGS.bake}`, Values: [this.#tags[AMI_TAGS.bake] ?? ""] }];
    const running = { Name: "instance-state-name", Values: ["pending", "running", "stopping", "stopped"] };
    await this.#ask("removing what the bake made", async () => {
      const { Reservations = [] } = await this.#ec2.describeInstances({ Filters: [...mine, running] });
      const ids = Reservations.flatMap(({ Instances = [] }) => Instances.flatMap(({ InstanceId }) => InstanceId ?? []));
      if (ids.length > 0) await this.#ec2.terminateInstances({ InstanceIds: ids });
      await this.#clearImages(mine, kept);
      const { KeyPairs = [] } = await this.#ec2.describeKeyPairs({ Filters: mine });
      for (const { KeyName } of KeyPairs) if (KeyName !== undefined) await this.#ec2.deleteKeyPair({ KeyName });
      const { SecurityGroups = [] } = await this.#ec2.describeSecurityGroups({ Filters: mine });
      for (const { GroupId } of SecurityGroups) if (GroupId !== undefined) await this.#deleteGroup(GroupId);
      const free = { Name: "status", Values: ["available"] };
      const { Volumes = [] } = await this.#ec2.describeVolumes({ Filters: [...mine, free] });
      for (const { VolumeId } of Volumes) if (VolumeId !== undefined) await this.#ec2.deleteVolume({ VolumeId });
    });
  }

  async #clearImages(mine: readonly { Name: string; Values: string[] }[], kept: string | null): Promise<void> {
    const image = await this.image();
    if (image !== null && image.id !== kept) {
      await this.#ec2.deregisterImage({ ImageId: image.id });
      for (const SnapshotId of image.snapshots) await this.#ec2.deleteSnapshot({ SnapshotId });
    }
    if (kept !== null) return;
    const { Snapshots = [] } = await this.#ec2.describeSnapshots({ OwnerIds: ["self"], Filters: [...mine] });
    for (const { SnapshotId } of Snapshots)
      if (SnapshotId !== undefined) await this.#ec2.deleteSnapshot({ SnapshotId });
  }

  /** An instance that is being ended has it for a while. */
  async #deleteGroup(GroupId: string): Promise<void> {
    const until = performance.now() + LETTING_GO_MS;
    for (;;) {
      try {
        await this.#ec2.deleteSecurityGroup({ GroupId });
        return;
      } catch (error) {
        const isHeld = error instanceof Error && error.name === "DependencyViolation";
        if (!isHeld || performance.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    }
  }

  /** Of key pair and security group: the token alone would not say whose it is. */
  get #handle(): string {
    return `toroid ${this.#tags[AMI_TAGS.bake] ?? ""}`.replaceAll(/[^\w .:/()#@[\]+=&;{}!$*-]/g, "_").slice(0, 255);
  }

  get #list(): { Key: string; Value: string }[] {
    return Object.entries(this.#tags).map(([Key, Value]) => ({ Key, Value }));
  }

  #tagged(type: ResourceType): TagSpecification[] {
    return [{ ResourceType: type, Tags: this.#list }];
  }

  /** @throws {ToroidError} of what EC2 says */
  async #ask<T>(what: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw ec2Failure(error, what);
    }
  }
}

/** `ssh-ed25519 AAAA…` of the 32 bytes of a public key. */
function openSshKey(bytes: Uint8Array): string {
  if (bytes.byteLength !== 32) throw new ToroidError("TOR_INTERNAL", "an Ed25519 key has 32 bytes");
  const parts = [Buffer.from("ssh-ed25519"), bytes].map((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.byteLength);
    return Buffer.concat([length, part]);
  });
  return `ssh-ed25519 ${Buffer.concat(parts).toString("base64")}`;
}
