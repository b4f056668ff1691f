/** What every kind of template is told of a bake, and what comes of it. Pure. */

export const BUILDERS = ["amazon-ebs", "amazon-ebssurrogate"] as const;

/** Of a source that is ours. */
export const OWN_NAME = "toroid";

export interface SourceSettings {
  /** Whatever a template says. */
  readonly always: Readonly<Record<string, unknown>>;
  /** Where a template says nothing. */
  readonly otherwise: Readonly<Record<string, unknown>>;
  readonly tags: Readonly<Record<string, string>>;
}

/** Run after what a template has of its own. */
export type Provisioner = readonly ["file" | "shell", Readonly<Record<string, string>>];

export interface Baking {
  /** By the names of files in the template's directory. */
  readonly files: Readonly<Record<string, string>>;
  /** The one build to run, for `-only`. */
  readonly only: string;
  /** As Packer's output calls it. */
  readonly shown: string;
}

export function onlyOf(type: string, name: string): Pick<Baking, "only" | "shown"> {
  return { only: `*${type}.${name}`, shown: `${type}.${name}` };
}

/** Names of what says the same in several ways: who says it in one of them does not mean the others. */
const ALIKE = [
  ["source_ami", "source_ami_filter"],
  ["subnet_id", "subnet_filter"],
  ["vpc_id", "vpc_filter"],
  [
    "security_group_id",
    "security_group_ids",
    "security_group_filter",
    "temporary_security_group_source_cidrs",
    "temporary_security_group_source_cidr",
    "temporary_security_group_source_public_ip",
  ],
  ["ssh_keypair_name", "temporary_key_pair_name", "temporary_key_pair_type", "temporary_key_pair_bits"],
] as const satisfies readonly (readonly string[])[];
/** Ways to other credentials than those that bakes are for. */
const CREDENTIALS = [
  "access_key",
  "secret_key",
  "token",
  "profile",
  "shared_credentials_file",
  "assume_role",
  "vault_aws_engine",
] as const;

export function without(
  settings: Readonly<Record<string, unknown>>,
  said: ReadonlySet<string>,
): Readonly<Record<string, unknown>> {
  const named = withAlike(said);
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !named.has(name)));
}

/** What of a template's own source gives way to `always`. */
export function replacedBy(always: Readonly<Record<string, unknown>>): ReadonlySet<string> {
  return new Set([...withAlike(new Set(Object.keys(always))), ...CREDENTIALS]);
}

function withAlike(names: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...names, ...ALIKE.filter((all) => all.some((name) => names.has(name))).flat()]);
}

export function several(names: readonly string[]): string {
  return `it has several sources for Amazon (${names.join(", ")}): name the one to bake "${OWN_NAME}"`;
}

export function isBuilder(type: unknown): boolean {
  return BUILDERS.some((one) => one === type);
}
