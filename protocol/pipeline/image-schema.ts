/** The key `image`, of the file and of an environment. */
import { z } from "zod";
import { checked, checkoutPath, oneOrMore } from "./schema-parts.ts";
import { imageNameProblem, packageProblem } from "./text-rules.ts";

const imageName = checked("the name of an image", imageNameProblem);
const imageForms = {
  directory: z.string({ error: "a path" }).min(1, { error: "a path cannot be empty" }).optional(),
  tar: z.string({ error: "a path" }).min(1, { error: "a path cannot be empty" }).optional(),
  oci: z.string({ error: "an image reference" }).min(1, { error: "a reference cannot be empty" }).optional(),
  debian: z.string({ error: "the name of a suite" }).min(1, { error: "a suite cannot be empty" }).optional(),
};
const packages = oneOrMore(checked("the name of a package", packageProblem), "a package or a list of packages")
  .describe("With `debian`: what it has besides the smallest system.")
  .optional();

const FORMS = ["directory", "tar", "oci", "debian"] as const;

function hasPackagesRight(forms: { readonly debian?: unknown; readonly packages?: unknown }): boolean {
  return forms.packages === undefined || forms.debian !== undefined;
}

const baseImage = z
  .union(
    [
      imageName,
      z
        .strictObject({ ...imageForms, packages })
        .refine((forms) => FORMS.filter((form) => form in forms).length === 1, {
          error: "expected exactly one of `directory`, `tar`, `oci` and `debian`",
        })
        .refine(hasPackagesRight, { error: "`packages` are of a `debian`" }),
    ],
    { error: "the name of an image, or one of `directory`, `tar`, `oci` and `debian`" },
  )
  .describe("With `packer`: what the template's provisioners begin with; the executor's default image when left out.");

export const image = z
  .union(
    [
      imageName,
      z
        .strictObject({
          ...imageForms,
          packages,
          packer: z
            .union([z.literal(true), checkoutPath], { error: "`true` or a path inside the checkout" })
            .describe(
              "A Packer template in the checkout; the image is what its provisioners make of `base`. `true` is `.packer`; where there is none, one is made that does `install`.",
            )
            .optional(),
          base: baseImage.optional(),
          files: oneOrMore(checkoutPath, "a path or a list of paths")
            .describe("With `packer`: what else of the checkout the template needs than the paths that stand in it.")
            .optional(),
        })
        .refine((forms) => [...FORMS, "packer"].filter((form) => form in forms).length === 1, {
          error: "expected exactly one of `directory`, `tar`, `oci`, `debian` and `packer`",
        })
        .refine(hasPackagesRight, { error: "`packages` are of a `debian`" })
        .refine(({ packer, base, files }) => packer !== undefined || (base === undefined && files === undefined), {
          error: "`base` and `files` are for an image that is made by `packer`",
        }),
    ],
    { error: "the name of an image, or one of `directory`, `tar`, `oci`, `debian` and `packer`" },
  )
  .describe(
    "The root file system of the workspace: a name of the executor's image store, `default`, `host`, or a mapping. `${NAME}` is filled in from the matrix and `env`.",
  );

export type ImageConfig = z.output<typeof image>;
export type BaseImageConfig = z.output<typeof baseImage>;
