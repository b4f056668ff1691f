/** The same of templates that are JSON: Packer's first language, and HCL written as JSON. Pure. */
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

type Json = Readonly<Record<string, unknown>>;

/** One that cannot be read is given to Packer as it is, which has better words for it. */
export function bakedJson(
  template: Template,
  settings: SourceSettings,
  provisioners: readonly Provisioner[],
): Baking | string {
  const read = objectOf(template.text);
  if (read === null) return { files: { [template.file]: template.text }, only: "toroid", shown: "toroid" };
  return template.form === "json"
    ? ofFirst(template, read, settings, provisioners)
    : ofHcl(template, read, settings, provisioners);
}

function ofFirst(
  template: Template,
  read: Json,
  settings: SourceSettings,
  own: readonly Provisioner[],
): Baking | string {
  const builders = objectsIn(read["builders"]);
  const forAmazon = builders.filter(({ type }) => isBuilder(type));
  const nameOf = ({ name, type }: Json): string => String(name ?? type);
  const chosen = forAmazon.find((one) => nameOf(one) === OWN_NAME) ?? forAmazon[0];
  if (chosen !== undefined && forAmazon.length > 1 && nameOf(chosen) !== OWN_NAME)
    return several(forAmazon.map(nameOf));
  const builder = baked(chosen ?? { type: "amazon-ebs", name: OWN_NAME }, settings);
  const name = nameOf(builder);
  const added = builder["type"] === "amazon-ebs" ? own.map(([type, said]) => ({ type, ...said, only: [name] })) : [];
  const text = JSON.stringify({
    ...read,
    builders: [...builders.filter((one) => one !== chosen), builder],
    provisioners: [...objectsIn(read["provisioners"]), ...added],
  });
  return { files: { [template.file]: text }, only: name, shown: name };
}

function ofHcl(
  template: Template,
  given: Json,
  settings: SourceSettings,
  own: readonly Provisioner[],
): Baking | string {
  const sources = Object.entries(objectIn(given["source"])).flatMap(([type, named]) =>
    isBuilder(type)
      ? Object.entries(objectIn(named)).map(([name, said]) => ({ type, name, said: objectIn(said) }))
      : [],
  );
  const chosen = sources.find(({ name }) => name === OWN_NAME) ?? sources[0];
  if (chosen !== undefined && sources.length > 1 && chosen.name !== OWN_NAME)
    return several(sources.map(({ type, name }) => `${type}.${name}`));
  const { type, name, said } = chosen ?? { type: "amazon-ebs", name: OWN_NAME, said: {} };
  const reference = `${type}.${name}`;
  const text = chosen === undefined ? JSON.stringify(given).replaceAll(CONTAINER, reference) : JSON.stringify(given);
  const read = objectOf(text) ?? {};
  const builds = objectsIn(read["build"]);
  const at = builds.findLastIndex((build) => JSON.stringify(build["sources"] ?? "").includes(reference));
  if (at === -1)
    return `no build of it is for an AMI: add "source.${chosen === undefined ? CONTAINER : reference}" to the \`sources\` of its \`build\``;
  const added = type === "amazon-ebs" ? own.map(([kind, words]) => ({ [kind]: { ...words, only: [reference] } })) : [];
  const build = { ...builds[at], provisioner: [...objectsIn(builds[at]?.["provisioner"]), ...added] };
  const kept = objectIn(read["source"]);
  const source = { ...kept, [type]: { ...objectIn(kept[type]), [name]: baked(said, settings) } };
  const whole = { ...read, source, build: builds.with(at, build) };
  return { files: { [template.file]: JSON.stringify(whole) }, ...onlyOf(type, name) };
}

function baked(builder: Json, { always, otherwise, tags }: SourceSettings): Json {
  const replaced = replacedBy(always);
  const left = Object.fromEntries(Object.entries(builder).filter(([name]) => !replaced.has(name)));
  const wanted = { ...without(otherwise, new Set([...Object.keys(left), ...Object.keys(always)])), ...left, ...always };
  const all = ["run_tags", "run_volume_tags", "tags", "snapshot_tags"].map(
    (kind) => [kind, { ...objectIn(builder[kind]), ...tags }] as const,
  );
  return { ...wanted, ...Object.fromEntries(all) };
}

function objectOf(text: string): Json | null {
  try {
    const read: unknown = JSON.parse(text);
    return isObject(read) ? read : null;
  } catch {
    return null;
  }
}

function objectIn(value: unknown): Json {
  return isObject(value) ? value : {};
}

/** One or several. */
function objectsIn(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isObject) : isObject(value) ? [value] : [];
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
