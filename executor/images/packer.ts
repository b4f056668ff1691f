/** Images that the provisioners of a Packer template make of another image: made once for each content. */
import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import type { Image } from "../../protocol/pipeline/plan.ts";
import type { Ruling } from "../workspace/outcome.ts";
import { type Hold, type ImageCache, notKept, type Want } from "./cache.ts";
import { failed, type PackerRun, type Place, runPacker } from "./packer/build.ts";
import { copySelected, digestOf, leadsOut, type SelectedFile, selected } from "./packer/files.ts";
import { environmentOf, filesOf, namesIn, type Template, templateOf, variablesIn } from "./packer/template.ts";
import { filesIn } from "./packer/workspace.ts";
import type { Unpacked } from "./unpack.ts";

export type PackerImage = Extract<Image, { kind: "packer" }>;

export interface PackerOptions {
  readonly workspacesDir: string;
  /** As `layTools` laid them out; null: there is no Packer. */
  readonly tools: string | null;
  readonly settings: PackerRun["settings"];
}

/** What an image is made on. */
export interface Base {
  readonly images: readonly string[];
  /** What is another when its content is. */
  readonly identity: string;
  readonly variables: Readonly<Record<string, string>>;
}

/** What a stage brings. */
export interface StagePlace extends Omit<Place, "beside"> {
  /** On what its image is made of, for as long as it runs. */
  readonly hold: Hold;
  readonly checkout: string;
  /** The stage's `env`. */
  readonly variables: Readonly<Record<string, string>>;
}

export type Made =
  | {
      readonly kind: "made";
      readonly images: readonly string[];
      /** With its digest where it has one. */
      readonly name: string;
      /** What the image wants set, below all that anybody else says. */
      readonly variables: Readonly<Record<string, string>>;
    }
  /** It could not be, which is the stage's end. */
  | { readonly kind: "ruled"; readonly ruling: Ruling };

/** Raised when the same content would make another image. */
const GENERATION = 1;
/** Of files, in a sentence. */
const NAMES_MOST = 12;
const TEMPLATE_MOST_BYTES = 1024 * 1024;

export class PackerImages {
  readonly #cache: ImageCache;
  readonly #o: PackerOptions;

  constructor(cache: ImageCache, o: PackerOptions) {
    this.#cache = cache;
    this.#o = o;
  }

  /**
   * @throws {ToroidError} TOR_IMAGE_MISSING, TOR_TOOL_MISSING, TOR_DISK_FULL
   * @throws the reason of a cancellation
   */
  async make(image: PackerImage, base: Base, at: StagePlace): Promise<Made> {
    const template = templateOf(image.template, image.text ?? (await textOf(at.checkout, image.template)));
    const variables = variablesIn(template.text, at.variables);
    const beside = dirname(image.template);
    const names = [...namesIn(template.text), ...image.files];
    const files = (await selected(at.checkout, names, beside)).filter(({ path }) => path !== image.template);
    const content = [GENERATION, base.identity, image.template, template.text, variables];
    const digest = createHash("sha256")
      .update(JSON.stringify([...content, await digestOf(at.checkout, files, at.cancelled)]))
      .digest("hex")
      // The sandbox takes names of up to 64 characters.
      .slice(0, 48);
    const name = `packer-${digest}`;
    const about = { kind: "packer", shown: image.template, digest: `sha256:${digest}` } as const;
    const begin = (): void => {
      if (at.log.begun.length === 0) at.log.begin("image");
    };
    const want: Want = {
      hold: at.hold,
      signal: AbortSignal.any([at.cancelled, at.abandoned]),
      waits: async () => {
        begin();
        await at.log.say("another stage makes this image; waiting for it");
      },
    };
    const kept = await this.#cache.obtainOr<Ruling>(name, about, want, async (root) => {
      begin();
      for (const line of image.text?.trimEnd().split("\n") ?? []) await at.log.line(`    ${line}`.trimEnd());
      return this.#build({ image, template, variables, files }, base, root, at);
    });
    if ("instead" in kept)
      return { kind: "ruled", ruling: image.text === null ? kept.instead : withFiles(kept.instead, files) };
    const shown = `${image.template}@${about.digest}`;
    return { kind: "made", images: [kept.root, ...base.images], name: shown, variables: base.variables };
  }

  async #build(
    what: {
      readonly image: PackerImage;
      readonly template: Template;
      readonly variables: Readonly<Record<string, string>>;
      readonly files: readonly SelectedFile[];
    },
    base: Base,
    root: string,
    at: StagePlace,
  ): Promise<Unpacked | { readonly instead: Ruling }> {
    const { image, template, files } = what;
    const made = filesOf(template);
    if (typeof made === "string") return { instead: failed(`${image.template}: ${made}`) };
    const { tools, workspacesDir, settings } = this.#o;
    if (tools === null) throw noPacker();
    const { beside } = at.slot;
    if (beside === null) throw noSlot();
    await using cleanup = new AsyncDisposableStack();
    const name = randomBytes(8).toString("hex");
    const workspaces = { packer: join(workspacesDir, `${name}-packer`), image: join(workspacesDir, `${name}-image`) };
    for (const [path, slot] of [[workspaces.packer, beside] as const, [workspaces.image, at.slot] as const]) {
      await mkdir(path, { mode: 0o700 });
      cleanup.defer(() => slot.clear(path));
    }
    const dir = dirname(image.template);
    const into = filesIn(workspaces.packer);
    await copySelected(at.checkout, files, into);
    await mkdir(join(into, dir), { recursive: true });
    for (const [file, text] of Object.entries(made)) await writeFile(join(into, dir, file), text);
    const run = { template, dir, shown: image.template, variables: environmentOf(what.variables), base: base.images };
    const ruling = await runPacker({ ...run, workspaces, tools, settings }, { ...at, beside });
    if (ruling !== null) return { instead: ruling };
    const saved = await at.slot.saveLayer(workspaces.image, root);
    if (typeof saved !== "string") return saved;
    throw notKept(saved, () => cannot(image.template, `what was made cannot be kept: ${saved.slice(0, 500)}`));
  }
}

/** What a template of ours had of the checkout was a guess: who reads why it failed has to know which. */
function withFiles(ruling: Ruling, files: readonly SelectedFile[]): Ruling {
  if (ruling.kind !== "ended" || ruling.outcome !== "failed") return ruling;
  const names = files.map(({ path }) => path);
  const shown = [...names.slice(0, NAMES_MOST), ...(names.length > NAMES_MOST ? ["…"] : [])].join(", ") || "nothing";
  const hint = `\`install\` had ${shown} of the checkout: what else it needs goes into \`files\` of \`image\``;
  return { ...ruling, message: `${ruling.message}; ${hint}` };
}

/** The template is foreign, and may be anything: only a file of the checkout, and of a sane size. */
export async function textOf(checkout: string, path: string): Promise<string> {
  if (await leadsOut(checkout, path)) throw cannot(path, "there is no such file in the checkout");
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(join(checkout, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") throw cannot(path, "there is no such file in the checkout");
    if (code === "ELOOP") throw cannot(path, "the template is a link: name the file itself");
    throw cannot(path, sentenceOf(error));
  }
  await using file = handle;
  const status = await file.stat();
  if (!status.isFile())
    throw cannot(path, "the template is a directory: name one file of it, and the others in `files`");
  if (status.size > TEMPLATE_MOST_BYTES) throw cannot(path, "the template is larger than 1 MiB");
  return await file.readFile("utf8");
}

function cannot(template: string, why: string): ToroidError {
  return new ToroidError("TOR_IMAGE_MISSING", `no image can be made of ${template}: ${why}`, { template });
}

function noPacker(): ToroidError {
  return new ToroidError(
    "TOR_TOOL_MISSING",
    "the image is made by Packer, which this executor does not have: install it (`apt-get install packer`, or from its maker) where PATH or TOROID_PACKER finds it, and start the executor again",
  );
}

function noSlot(): ToroidError {
  return new ToroidError(
    "TOR_SANDBOX_SETUP",
    "the image is made by Packer, which wants a slot beside the stage's: start the sandbox's serve with twice as many --slots as TOROID_SLOTS says",
  );
}
