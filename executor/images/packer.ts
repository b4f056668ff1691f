/** Images that the provisioners of a Packer template make of another image: made once for each content. */
import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { takeLock } from "../../kit/lock.ts";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import type { Image } from "../../protocol/pipeline/plan.ts";
import { diskFull } from "../checkout/failure.ts";
import type { Ruling } from "../workspace/outcome.ts";
import { failed, filesIn, type PackerRun, type Place, runPacker } from "./packer/build.ts";
import { copySelected, digestOf, leadsOut, type SelectedFile, selected } from "./packer/files.ts";
import { environmentOf, filesOf, namesIn, type Template, templateOf, variablesIn } from "./packer/template.ts";

export type PackerImage = Extract<Image, { kind: "packer" }>;

export interface PackerOptions {
  /** Where layers are kept; null: nowhere. */
  readonly store: string | null;
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
}

/** What a stage brings. */
export interface StagePlace extends Omit<Place, "beside"> {
  readonly checkout: string;
  /** The stage's `env`. */
  readonly variables: Readonly<Record<string, string>>;
}

export type Made =
  | { readonly kind: "made"; readonly images: readonly string[] }
  /** It could not be, which is the stage's end. */
  | { readonly kind: "ruled"; readonly ruling: Ruling };

/** Raised when the same content would make another image. */
const GENERATION = 1;
/** Of files, in a sentence. */
const NAMES_MOST = 12;
const TEMPLATE_MOST_BYTES = 1024 * 1024;

export class PackerImages {
  readonly #o: PackerOptions;

  constructor(o: PackerOptions) {
    this.#o = o;
  }

  /**
   * @throws {ToroidError} TOR_IMAGE_MISSING, TOR_TOOL_MISSING, TOR_DISK_FULL
   * @throws the reason of a cancellation
   */
  async make(image: PackerImage, base: Base, at: StagePlace): Promise<Made> {
    const { store } = this.#o;
    if (store === null) throw cannot(image.template, "the sandbox's serve was started without a place for images");
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
    const root = join(store, `packer-${digest}`);
    const made: Made = { kind: "made", images: [root, ...base.images] };
    if (await isThere(root)) return made;
    at.log.begin("image");
    for (const line of image.text?.trimEnd().split("\n") ?? []) await at.log.line(`    ${line}`.trimEnd());
    // Nobody else makes the same on this host meanwhile, whatever process it is.
    await using _ = await this.#turn(root, at);
    if (await isThere(root)) return made;
    const ruling = await this.#build({ image, template, variables, files }, base, root, at);
    if (ruling === null) return made;
    return { kind: "ruled", ruling: image.text === null ? ruling : withFiles(ruling, files) };
  }

  async #turn(root: string, at: StagePlace): Promise<AsyncDisposable> {
    const lock = takeLock(imageLock(root));
    const given = (): void => void lock.then((one) => one.release());
    const waiting = Promise.withResolvers<never>();
    const ends = AbortSignal.any([at.cancelled, at.abandoned]);
    const giveUp = (): void => {
      given();
      waiting.reject(ends.reason);
    };
    if (ends.aborted) giveUp();
    ends.addEventListener("abort", giveUp, { once: true });
    try {
      const first = await Promise.race([lock, waiting.promise, turnOfEventLoop()]);
      if (first !== null) return first;
      await at.log.say("another stage makes this image; waiting for it");
      return await Promise.race([lock, waiting.promise]);
    } finally {
      ends.removeEventListener("abort", giveUp);
    }
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
  ): Promise<Ruling | null> {
    const { image, template, files } = what;
    const made = filesOf(template);
    if (typeof made === "string") return failed(`${image.template}: ${made}`);
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
    if (ruling !== null) return ruling;
    const refused = await at.slot.saveLayer(workspaces.image, root);
    if (refused === null) return null;
    if (/No space left|ENOSPC|EDQUOT/i.test(refused)) throw diskFull(undefined);
    throw cannot(image.template, `what was made cannot be kept: ${refused.slice(0, 500)}`);
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

/** Held by who makes it. */
export function imageLock(root: string): string {
  return `image ${root}`;
}

/** Null after everything that is ready by now. */
function turnOfEventLoop(): Promise<null> {
  return new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(null))));
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The template is foreign, and may be anything: only a file of the checkout, and of a sane size. */
async function textOf(checkout: string, path: string): Promise<string> {
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
