import { fillIn } from "./fill-in.ts";
import { type Finding, wrongValue } from "./finding.ts";
import type { BaseImageConfig, ImageConfig } from "./image-schema.ts";
import type { Image } from "./model.ts";
import type { Path } from "./problem.ts";
import { notYet } from "./support.ts";
import { imageNameProblem } from "./text-rules.ts";

/**
 * The image that `config` at `path` means, with `${NAME}` filled in from `variables`, or what is wrong with it.
 * Nothing said is the executor's default.
 */
export function imageOf(
  config: ImageConfig | BaseImageConfig | undefined,
  path: Path,
  variables: Readonly<Record<string, string>>,
): { readonly image: Image } | { readonly findings: readonly Finding[] } {
  if (config === undefined) return { image: { kind: "default" } };
  if (typeof config === "string") {
    const name = fillIn(config, path, variables);
    if (typeof name !== "string") return name;
    if (name === "default" || name === "host") return { image: { kind: name } };
    const problem = imageNameProblem(name);
    return problem === null ? { image: { kind: "named", name } } : { findings: [wrongValue(path, problem)] };
  }
  if ("packer" in config && config.packer !== undefined) {
    const base = imageOf(config.base, [...path, "base"], variables);
    if ("findings" in base) return base;
    // The schema lets no image of Packer be the base of another.
    if (base.image.kind === "packer") return { findings: [] };
    const image = { kind: "packer", template: config.packer, base: base.image, files: config.files ?? [] } as const;
    return { image };
  }
  if (config.oci !== undefined) {
    const reference = fillIn(config.oci, [...path, "oci"], variables);
    const yet = notYet([...path, "oci"], "make an image from an OCI one");
    return { findings: typeof reference === "string" ? [yet] : [yet, ...reference.findings] };
  }
  const kind = config.directory === undefined ? "tar" : "directory";
  const at = [...path, kind];
  const filled = fillIn(config[kind] ?? "", at, variables);
  if (typeof filled !== "string") return filled;
  if (filled.includes("\0") || filled.split("/").includes(".."))
    return { findings: [wrongValue(at, "the path of an image cannot contain `..`")] };
  return { image: { kind, path: filled } };
}
