import { fillIn } from "./fill-in.ts";
import { type Finding, wrongKey, wrongValue } from "./finding.ts";
import { carriesBraces, generatedTemplate, TEMPLATE_FILE } from "./generated-template.ts";
import type { BaseImageConfig, ImageConfig } from "./image-schema.ts";
import { installFiles } from "./install-files.ts";
import type { Image, Tree } from "./model.ts";
import { ociReferenceOf } from "./oci-reference.ts";
import type { Path } from "./problem.ts";
import type { Config } from "./schema.ts";
import { imageNameProblem, suiteProblem } from "./text-rules.ts";

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
    const template = config.packer === true ? TEMPLATE_FILE : config.packer;
    return { image: { kind: "packer", template, text: null, base: base.image, files: config.files ?? [] } };
  }
  if (config.oci !== undefined) {
    const reference = fillIn(config.oci, [...path, "oci"], variables);
    if (typeof reference !== "string") return reference;
    const read = ociReferenceOf(reference);
    return "problem" in read
      ? { findings: [wrongValue([...path, "oci"], read.problem)] }
      : { image: { kind: "oci", reference } };
  }
  if (config.debian !== undefined) {
    const suite = fillIn(config.debian, [...path, "debian"], variables);
    if (typeof suite !== "string") return suite;
    const problem = suiteProblem(suite);
    return problem === null
      ? { image: { kind: "debian", suite, packages: config.packages ?? [] } }
      : { findings: [wrongValue([...path, "debian"], problem)] };
  }
  const kind = config.directory === undefined ? "tar" : "directory";
  const at = [...path, kind];
  const filled = fillIn(config[kind] ?? "", at, variables);
  if (typeof filled !== "string") return filled;
  if (filled.includes("\0") || filled.split("/").includes(".."))
    return { findings: [wrongValue(at, "the path of an image cannot contain `..`")] };
  return { image: { kind, path: filled } };
}

/** `image` with the template that is made for it where the checkout has none, or why none can be. */
export function templated(
  image: Image,
  { install = [], workdir = "." }: Pick<Config, "install" | "workdir">,
  path: Path,
  env: Readonly<Record<string, string>>,
  tree: Tree | null,
): { readonly image: Image } | { readonly findings: readonly Finding[] } {
  if (image.kind !== "packer" || image.template !== TEMPLATE_FILE || tree?.template !== "none") return { image };
  const at = [...path, "packer"];
  const wrong = (message: string, hint: string) => ({ findings: [wrongKey(at, message, hint)] });
  if (install.length === 0) {
    const why = `there is no \`${TEMPLATE_FILE}\`, and without an \`install\` nothing to make one of`;
    return wrong(why, "add an `install`, or the template, or name an image that is there");
  }
  const braces = carriesBraces({ install, env });
  if (braces !== null)
    return wrong(
      `no template can be made: \`{{\` in ${braces} is Packer's own`,
      "move it into a script of the repository",
    );
  const needed = installFiles(install, workdirOf(workdir), image.files, tree.files);
  if (needed.missing.length > 0)
    return wrong(`\`files\` has ${needed.missing.join(", ")}, which is not in the checkout`, "mend the path");
  const text = generatedTemplate({ install, workdir: workdirOf(workdir), env, files: needed.files });
  return { image: { ...image, text } };
}

/** `./api/` → `api`. */
export function workdirOf(path = "."): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return parts.length === 0 ? "." : parts.join("/");
}
