/**
 * What Packer is given to bake an AMI: a template of ours; or the repository's, with our source beside it, or with a
 * source for Amazon of its own, which is run with our settings in it. Pure: text in, text out.
 */
import type { Template } from "../images/packer/template.ts";
import { SOURCE as CONTAINER } from "../images/packer/template.ts";
import {
  type Baking,
  isBuilder,
  OWN_NAME,
  onlyOf,
  type Provisioner,
  replacedBy,
  type SourceSettings,
  several,
  without,
} from "./baking.ts";
import { type Block, blocksOf, withAtEnd, withLines } from "./hcl.ts";
import { bakedJson } from "./json-template.ts";

/** @returns a sentence for people when `template` cannot be baked */
export function bakingOf(
  template: Template | null,
  settings: SourceSettings,
  provisioners: readonly Provisioner[],
): Baking | string {
  if (template === null) return ofOurs(settings, provisioners);
  if (template.form === "json" || template.file.endsWith(".json")) return bakedJson(template, settings, provisioners);
  return ofHcl(template, settings, provisioners);
}

function ofOurs(settings: SourceSettings, provisioners: readonly Provisioner[]): Baking {
  const build = `build {\n  sources = ["source.amazon-ebs.${OWN_NAME}"]\n${provisionerLines(provisioners)}\n}\n`;
  const text = `# Made by Toroid.\n${sourceText(settings)}\n${build}`;
  return { files: { "toroid-bake.pkr.hcl": text }, ...onlyOf("amazon-ebs", OWN_NAME) };
}

function ofHcl(template: Template, settings: SourceSettings, provisioners: readonly Provisioner[]): Baking | string {
  const own = blocksOf(template.text).filter(isForAmazon);
  const chosen = own.find(({ labels }) => labels[1] === OWN_NAME) ?? own[0];
  if (chosen === undefined) return besideHcl(template, settings, provisioners);
  if (own.length > 1 && chosen.labels[1] !== OWN_NAME) {
    return several(own.map(({ labels }) => labels.join(".")));
  }
  const [type = "", name = ""] = chosen.labels;
  const said = new Set([...chosen.attributes.map((one) => one.name), ...chosen.blocks.map((one) => one.type)]);
  const wanted = { ...without(settings.otherwise, said), ...settings.always };
  const lines = [...Object.entries(wanted).flatMap(([key, value]) => hclLines(key, value)), ...tagLines(settings.tags)];
  const text = withLines(template.text, chosen, replacedBy(settings.always), lines);
  const reference = `${type}.${name}`;
  // What a surrogate bakes is a volume beside its instance: ours would land on the instance.
  const added = type === "amazon-ebs" ? withProvisioners(text, reference, provisioners) : text;
  if (added === null) return noBuild(reference);
  return { files: { [template.file]: added }, ...onlyOf(type, name) };
}

/** The builds that are for a container are for an instance as well. */
function besideHcl(
  template: Template,
  settings: SourceSettings,
  provisioners: readonly Provisioner[],
): Baking | string {
  const reference = `amazon-ebs.${OWN_NAME}`;
  const text = template.text.replaceAll(CONTAINER, reference);
  const added = withProvisioners(text, reference, provisioners);
  if (added === null) return noBuild(CONTAINER);
  const files = { [template.file]: added, "toroid-source.pkr.hcl": `# Made by Toroid.\n${sourceText(settings)}` };
  return { files, ...onlyOf("amazon-ebs", OWN_NAME) };
}

function isForAmazon({ type, labels }: Block): boolean {
  return type === "source" && isBuilder(labels[0]) && labels.length === 2;
}

/** Null when no build is for `reference`. */
function withProvisioners(text: string, reference: string, provisioners: readonly Provisioner[]): string | null {
  const builds = blocksOf(text).filter(
    (block) => block.type === "build" && text.slice(block.bodyStart, block.bodyEnd).includes(reference),
  );
  const last = builds.at(-1);
  if (last === undefined) return null;
  const only = builds.length > 1 || /sources\s*=\s*\[[^\]]*,/.test(text) ? reference : null;
  return withAtEnd(text, last, provisionerLines(provisioners, only));
}

function noBuild(reference: string): string {
  return `no build of it is for an AMI: add "source.${reference}" to the \`sources\` of its \`build\` block`;
}

function sourceText({ always, otherwise, tags }: SourceSettings): string {
  const wanted = { ...without(otherwise, new Set(Object.keys(always))), ...always };
  const lines = Object.entries(wanted).flatMap(([name, value]) => hclLines(name, value));
  return `source "amazon-ebs" "${OWN_NAME}" {\n${[...lines, ...tagLines(tags)].map((line) => `  ${line}\n`).join("")}}\n`;
}

/** As blocks, which come on top of whatever `tags` a template has. */
function tagLines(tags: Readonly<Record<string, string>>): readonly string[] {
  const kinds = [
    ["run_tag", "key"],
    ["run_volume_tag", "name"],
    ["tag", "key"],
    ["snapshot_tag", "key"],
  ] as const;
  return Object.entries(tags).flatMap(([name, value]) =>
    kinds.flatMap(([block, key]) => [`${block} {`, `  ${key} = ${literal(name)}`, `  value = ${literal(value)}`, "}"]),
  );
}

function provisionerLines(provisioners: readonly Provisioner[], only: string | null = null): string {
  return provisioners
    .map(([type, settings]) => {
      const lines = Object.entries(settings).map(([name, value]) => `    ${name} = ${literal(value)}\n`);
      if (only !== null) lines.push(`    only = [${literal(only)}]\n`);
      return `  provisioner "${type}" {\n${lines.join("")}  }`;
    })
    .join("\n");
}

/** Maps are attributes, and everything else with names in it is a block: so Packer's Amazon builders have it. */
function hclLines(name: string, value: unknown): readonly string[] {
  if (!isObject(value) && !(Array.isArray(value) && value.every(isObject) && value.length > 0))
    return [`${name} = ${literal(value)}`];
  if (name.endsWith("tags") || name === "filters") return [`${name} = ${literal(value)}`];
  const blocks = Array.isArray(value) ? (value as readonly object[]) : [value];
  return blocks.flatMap((block) => [
    `${name} {`,
    ...Object.entries(block).flatMap(([inner, one]) => hclLines(inner, one).map((line) => `  ${line}`)),
    "}",
  ]);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** JSON is HCL, but for what begins a template in a string. */
function literal(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("\\b", "\\u0008")
    .replaceAll("\\f", "\\u000c")
    .replaceAll("${", "$${")
    .replaceAll("%{", "%%{");
}
