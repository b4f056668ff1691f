/** What an operator says of instances that AMIs are baked on: attributes of Packer's Amazon builders, in a file. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";

/** Where and as whom an executor bakes. */
export interface BakeConfig {
  readonly region: string;
  /** Of a server that speaks like EC2; null: AWS's own. */
  readonly endpoint: string | null;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken: string | null;
  };
  /** The file of attributes. */
  readonly sourceFile: string;
  /** The name of this Toroid, in tags. */
  readonly system: string;
  /** How long a bake may wait without anything going on. */
  readonly patienceMs: number;
}

/** As Packer has them. */
export type Attributes = Readonly<Record<string, unknown>>;

export interface BuilderSettings {
  /** But for those of the security group that is to be made. */
  readonly attributes: Attributes;
  /** Who may reach an instance by SSH, in a security group of its own; null: the operator has one. */
  readonly reachableFrom: readonly string[] | null;
}

const CIDRS = "temporary_security_group_source_cidrs";
const GROUPS = ["security_group_id", "security_group_ids", "security_group_filter"] as const;
/** Ours to say, or where they would lead past who may bake. */
const NOT_THEIRS = [
  "access_key",
  "secret_key",
  "token",
  "profile",
  "assume_role",
  "shared_credentials_file",
  "vault_aws_engine",
  "region",
  "ami_name",
  "ami_regions",
  "ami_users",
  "custom_endpoint_ec2",
  "tags",
  "tag",
  "run_tags",
  "run_tag",
  "temporary_security_group_source_public_ip",
] as const;

const OPEN = /^(0\.0\.0\.0|::)\/0$/;

/** @throws {ToroidError} TOR_CONFIG_INVALID */
export async function readSettings(file: string): Promise<BuilderSettings> {
  let read: unknown;
  try {
    read = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw wrong(file, `cannot be read: ${sentenceOf(error)}`);
  }
  return settingsOf(file, read);
}

/** Pure. @throws {ToroidError} TOR_CONFIG_INVALID */
export function settingsOf(file: string, read: unknown): BuilderSettings {
  const attributes = z.record(z.string(), z.unknown()).safeParse(read).data;
  if (attributes === undefined) throw wrong(file, "must be a JSON object of attributes of Packer's `amazon-ebs`");
  const foreign = NOT_THEIRS.filter((name) => name in attributes);
  if (foreign.length > 0) throw wrong(file, `must not say ${foreign.join(", ")}: Toroid does`);
  const { [CIDRS]: cidrs, ...rest } = attributes;
  if (GROUPS.some((name) => name in rest)) {
    if (cidrs !== undefined) throw wrong(file, `has a security group and ${CIDRS}: one of them is enough`);
    return { attributes: rest, reachableFrom: null };
  }
  const from = z.array(z.string()).min(1).safeParse(cidrs).data;
  if (from === undefined)
    throw wrong(file, `must say who may reach instances: ${CIDRS} (this executor's addresses) or security_group_id`);
  if (from.some((one) => OPEN.test(one))) throw wrong(file, `opens instances to everybody by ${CIDRS}`);
  return { attributes: rest, reachableFrom: from };
}

function wrong(file: string, what: string): ToroidError {
  return new ToroidError("TOR_CONFIG_INVALID", `${file}, which TOROID_BAKE_SOURCE names, ${what}`, { file });
}
