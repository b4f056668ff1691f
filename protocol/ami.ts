/** AMIs, as those who bake them and those who keep them must name and tag them. Pure. */
import { z } from "zod";

/** The tags of an AMI, of its snapshots, and of all that is made on the way to it: what has them is ours to remove. */
export const AMI_TAGS = {
  /** The name of this Toroid: several may share an account. */
  system: "toroid:system",
  repository: "toroid:repository",
  commit: "toroid:commit",
  build: "toroid:build",
  /** With its round, when that is not the first: `build`, `build/2`. */
  stage: "toroid:stage",
  /** Digest of everything that it was baked of: the same key is the same image. */
  key: "toroid:key",
  /** One attempt at baking, of all that there ever are. */
  bake: "toroid:bake",
} as const;

/** The name of a Toroid that nobody gave another. */
export const DEFAULT_SYSTEM = "toroid";

export interface BakeOrigin {
  readonly system: string;
  readonly repository: string;
  readonly commit: string;
  readonly number: number;
  readonly stage: string;
  readonly round: number;
  readonly key: string;
  /** Fencing token of the attempt. */
  readonly token: number;
}

/** What AWS takes as the value of a tag. */
const TAG_VALUE_MOST = 256;

/** By name. A bake is known by what it is of, and by the token that no other attempt has. */
export function bakeTags(origin: BakeOrigin): Readonly<Record<string, string>> {
  const { system, repository, commit, number, key } = origin;
  const stage = origin.round === 1 ? origin.stage : `${origin.stage}/${origin.round}`;
  return {
    [AMI_TAGS.system]: tagValue(system),
    [AMI_TAGS.repository]: tagValue(repository),
    [AMI_TAGS.commit]: commit,
    [AMI_TAGS.build]: String(number),
    [AMI_TAGS.stage]: tagValue(stage),
    [AMI_TAGS.key]: key,
    [AMI_TAGS.bake]: bakeName(origin),
  };
}

/** `acme/api#42/build/1/977`: repository, build, stage, round and token; cut in front when it is too long. */
export function bakeName({ repository, number, stage, round, token }: Omit<BakeOrigin, "system" | "commit" | "key">) {
  return tagValue(`${repository}#${number}/${stage}/${round}/${token}`, "front");
}

const NAME_MOST = 128;

/**
 * The name of an AMI, which no other has: `toroid/acme/api/42/build/1/977`. Packer of before 1.9 tags an AMI only when it
 * is there, so one that is half made is known by this.
 */
export function amiName(origin: Omit<BakeOrigin, "commit" | "key">): string {
  const { system, repository, number, stage, round, token } = origin;
  const rest = `${repository}/${number}/${stage}/${round}/${token}`.replaceAll(/[^A-Za-z0-9()[\] ./'@_-]/g, "-");
  const prefix = amiNamePrefix(system);
  return `${prefix}${rest.slice(-(NAME_MOST - prefix.length))}`;
}

/** What the names of all AMIs of a Toroid begin with. */
export function amiNamePrefix(system: string): string {
  return `${system.replaceAll(/[^A-Za-z0-9()[\] .'@_-]/g, "-").slice(0, 64)}/`;
}

/** Letters, digits, spaces and `_.:/=+-@`; `#` is taken by all that we know of but is not promised, so it is `:`. */
function tagValue(text: string, cut: "front" | "end" = "end"): string {
  const plain = text.replaceAll("#", ":").replaceAll(/[^\p{L}\p{N}\s_.:/=+\-@]/gu, "_");
  return cut === "end" ? plain.slice(0, TAG_VALUE_MOST) : plain.slice(-TAG_VALUE_MOST);
}

export const REGION = /^[a-z]{2}(-[a-z]+)+-\d{1,2}$/;
export const AMI_ID = /^ami-[0-9a-f]{8,17}$/;
export const ACCOUNT = /^\d{12}$/;
export const KEY = /^sha256:[0-9a-f]{64}$/;

/** Ids by region. */
export const amis = z.record(z.string().regex(REGION), z.string().regex(AMI_ID));
export type Amis = z.infer<typeof amis>;

/** `TOROID_AMI_EU_WEST_1` of `eu-west-1`. */
export function amiVariable(region: string): string {
  return `TOROID_AMI_${region.toUpperCase().replaceAll("-", "_")}`;
}

/** The id of `region`; of a region that it is not in, or of none: of the first by name. */
export function amiOf(ids: Amis, region: string | null): string {
  const [first = ""] = Object.keys(ids).sort();
  return (region === null ? undefined : ids[region]) ?? ids[first] ?? "";
}
