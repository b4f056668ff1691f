/** The key `artifact.ami`. */
import { z } from "zod";
import { ACCOUNT, AMI_ID, REGION } from "../ami.ts";
import type { AmiPlan } from "./model.ts";
import { checked, checkoutPath, oneOrMore } from "./schema-parts.ts";

const region = checked("a region", (text) =>
  REGION.test(text) ? null : "expected the name of a region, such as `eu-west-1`",
);
const account = checked("an account: 12 digits in quotes", (text) =>
  ACCOUNT.test(text) ? null : 'expected the number of an account, such as "123456789012"',
);
const accountOrAlias = checked("who owns it", (text) =>
  ACCOUNT.test(text) || /^(self|amazon|aws-marketplace)$/.test(text)
    ? null
    : 'expected the number of an account, such as "136693071363", `amazon`, `aws-marketplace` or `self`',
);
const amiId = checked("the id of an AMI", (text) =>
  AMI_ID.test(text) ? null : "expected the id of an AMI, such as `ami-0123456789abcdef0`, or `{ name, owner }`",
);
const instanceType = checked("a type of instance", (text) =>
  /^[a-z0-9-]+\.[a-z0-9-]+$/.test(text) ? null : "expected a type of instance, such as `t3.small`",
);
const pattern = checked("a pattern of names", (text) =>
  text.trim() === "" || text.length > 256 ? "expected a pattern of names, such as `debian-13-amd64-*`" : null,
);

export const ami = z
  .strictObject(
    {
      packer: checkoutPath
        .optional()
        .describe(
          "A Packer template in the checkout that is for Amazon; that of `image` unless given, if there is one.",
        ),
      files: oneOrMore(checkoutPath, "a path or a list of paths")
        .optional()
        .describe("What else of the checkout that template needs than the paths that stand in it."),
      regions: oneOrMore(region, "a region or a list of regions")
        .optional()
        .describe("Regions that it is to be in, besides the executor's."),
      share: oneOrMore(account, "an account of 12 digits in quotes or a list of them")
        .optional()
        .describe("Accounts that may use it."),
      rebake: z
        .boolean({ error: "`true` or `false`" })
        .optional()
        .describe("Bake although there is one of the same content. Default `false`."),
      source: z
        .union([amiId, z.strictObject({ name: pattern, owner: accountOrAlias })], {
          error: "the id of an AMI, or a mapping with `name` and `owner`",
        })
        .optional()
        .describe("What it begins with: an id, or the newest of an owner by the pattern of its name."),
      instance_type: instanceType.optional().describe("Of the instance that it is baked on."),
      provision: z
        .enum(["difference", "replay"], { error: "`difference` or `replay`" })
        .optional()
        .describe(
          "`difference` (the default): what `install` and `script` wrote is put in, and the checkout. `replay`: the checkout, and what the provisioners of the template do.",
        ),
    },
    { error: "a mapping" },
  )
  .refine((it) => it.files === undefined || it.packer !== undefined, {
    path: ["files"],
    error: "`files` is for a template that `packer` names",
  })
  .describe("The image of a machine that is baked of what `script` left, when it passed. `{}` is enough.");

export type AmiConfig = z.output<typeof ami>;

/** With every default filled in but those that are the executor's. */
export function amiPlanOf(config: AmiConfig | undefined): AmiPlan | null {
  if (config === undefined) return null;
  const { source } = config;
  return {
    template: config.packer ?? null,
    files: config.files ?? [],
    regions: [...new Set(config.regions)],
    share: [...new Set(config.share)],
    rebake: config.rebake ?? false,
    source:
      source === undefined
        ? null
        : typeof source === "string"
          ? { kind: "id", id: source }
          : { kind: "newest", ...source },
    instanceType: config.instance_type ?? null,
    provision: config.provision ?? "difference",
  };
}
