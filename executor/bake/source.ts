/** What the source of a template is told: by us, by the operator, by the stage. Pure. */
import type { AmiPlan } from "../../protocol/pipeline/plan.ts";
import type { Door } from "./account.ts";
import type { SourceSettings } from "./baking.ts";
import type { BakeConfig, BuilderSettings } from "./settings.ts";

/** What is where an instance is and how it is reached: the operator's word goes over a template's. */
const PLACE = /^(subnet_|vpc_|security_group_|associate_public_ip|ssh_(?!username$)|winrm_|pause_before_connecting)/;
const POLL_SECONDS = 2;
/** Longer than we wait ourselves. */
const POLLS = 3 * 24 * 3_600;

export const DEFAULT_INSTANCE_TYPE = "t3.small";

export function sourceSettings(
  o: { readonly config: BakeConfig; readonly settings: BuilderSettings; readonly ami: AmiPlan; readonly name: string },
  door: Door,
  keyFile: string,
): Omit<SourceSettings, "tags"> {
  const { config, settings, ami, name } = o;
  const given = Object.entries(settings.attributes);
  const endpoint =
    config.endpoint === null
      ? {}
      : { custom_endpoint_ec2: config.endpoint, skip_region_validation: true, skip_credential_validation: true };
  const always = {
    region: config.region,
    ...endpoint,
    skip_metadata_api_check: true,
    ami_name: name,
    aws_polling: { delay_seconds: POLL_SECONDS, max_attempts: POLLS },
    ssh_keypair_name: door.keyPair,
    ssh_private_key_file: keyFile,
    ...(door.group === null ? {} : { security_group_id: door.group }),
    ...Object.fromEntries(given.filter(([one]) => PLACE.test(one))),
    ...(ami.instanceType === null ? {} : { instance_type: ami.instanceType }),
    ...sourceOf(ami),
  };
  const defaults = { instance_type: DEFAULT_INSTANCE_TYPE, ssh_username: "root", ami_description: "Baked by Toroid" };
  return { always, otherwise: { ...defaults, ...Object.fromEntries(given.filter(([one]) => !PLACE.test(one))) } };
}

function sourceOf({ source }: AmiPlan): Readonly<Record<string, unknown>> {
  if (source === null) return {};
  if (source.kind === "id") return { source_ami: source.id };
  const filters = { name: source.name, "root-device-type": "ebs", "virtualization-type": "hvm" };
  return { source_ami_filter: { filters, owners: [source.owner], most_recent: true } };
}
