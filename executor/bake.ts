/**
 * An AMI of what a passed script left, baked by Packer on an instance of EC2. Packer runs in a workspace of its own, and
 * only there are the credentials for it. What is made on the way is tagged when it is made, and removed at the end
 * whatever the end is; after our own death by whoever sweeps by tags.
 */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import type { EC2 } from "@aws-sdk/client-ec2";
import { openEc2 } from "../kit/ec2.ts";
import { type Amis, amiName, type BakeOrigin, bakeTags } from "../protocol/ami.ts";
import { ToroidError } from "../protocol/errors.ts";
import type { StageId } from "../protocol/ids.ts";
import type { AmiPlan, StagePlan } from "../protocol/pipeline/plan.ts";
import { BakeAccount } from "./bake/account.ts";
import { bakeKey } from "./bake/key.ts";
import { cancelledBy, PackerBake } from "./bake/packer-bake.ts";
import type { BakeConfig, BuilderSettings } from "./bake/settings.ts";
import { spread } from "./bake/spread.ts";
import { copySelected, digestOf, selected } from "./images/packer/files.ts";
import { namesIn, type Template, templateOf, variablesIn } from "./images/packer/template.ts";
import { filesIn } from "./images/packer/workspace.ts";
import { textOf } from "./images/packer.ts";
import type { LogStream } from "./log-stream.ts";
import type { Ruling } from "./workspace/outcome.ts";
import type { SandboxSettings, Slot, Workspace } from "./workspace.ts";

export interface BakeryOptions {
  readonly config: BakeConfig;
  readonly settings: BuilderSettings;
  readonly client: EC2;
  readonly workspacesDir: string;
  /** As `layTools` laid them out; null: there is no Packer. */
  readonly tools: string | null;
  readonly sandbox: Pick<SandboxSettings, "allowWeak" | "masks">;
  /** Gives what runs in an attempt's directory wrote; a sentence when it cannot. */
  readonly exportRuns: (workspace: string, into: (archive: Readable) => Promise<void>) => Promise<string | null>;
}

export interface BakeJob {
  readonly id: StageId;
  readonly token: number;
  readonly stage: StagePlan;
  readonly ami: AmiPlan;
  readonly commit: string;
  /** Of the commit. */
  readonly tree: string;
  /** What it runs on, as its identity. */
  readonly images: readonly string[];
  readonly params: Readonly<Record<string, string>>;
  readonly checkout: string;
}

/** What the stage lends. */
export interface BakePlace {
  readonly workspace: Workspace;
  readonly slot: Slot;
  readonly log: LogStream;
  readonly cancelled: AbortSignal;
  readonly abandoned: AbortSignal;
}

export type BakeEnd =
  | { readonly kind: "baked"; readonly key: string; readonly amis: Amis }
  /** There is none, which is the stage's end. */
  | { readonly kind: "ruled"; readonly ruling: Ruling };

export class Bakery {
  readonly #o: BakeryOptions;

  constructor(o: BakeryOptions) {
    this.#o = o;
  }

  /** What no log of a stage that bakes may have: a template can print what Packer has. */
  get secrets(): readonly string[] {
    const { secretAccessKey, sessionToken } = this.#o.config.credentials;
    return sessionToken === null ? [secretAccessKey] : [secretAccessKey, sessionToken];
  }

  get region(): string {
    return this.#o.config.region;
  }

  /**
   * Takes what is baked of before the script can change it. The rest is done when the script passed.
   *
   * @throws {ToroidError} TOR_TOOL_MISSING, TOR_IMAGE_MISSING
   */
  async prepare(job: BakeJob, signal: AbortSignal): Promise<Bake> {
    const { tools, config, workspacesDir, settings } = this.#o;
    if (tools === null) throw noPacker();
    const template = await takeTemplate(job, signal);
    const { stage, tree, images, params, id, token, commit } = job;
    const { region, system } = config;
    const content =
      template === null ? null : { path: template.path, text: template.template.text, files: template.digest };
    const { attributes } = settings;
    const key = bakeKey({ stage, tree, images, params, template: content, region, attributes });
    const { repository, number, round } = id;
    const origin: BakeOrigin = { system, repository, commit, number, stage: id.stage, round, key, token };
    const workspace = join(workspacesDir, `${randomBytes(8).toString("hex")}-bake`);
    await mkdir(workspace, { mode: 0o700 });
    await mkdir(filesIn(workspace));
    if (template !== null) await copySelected(job.checkout, template.files, filesIn(workspace));
    return new Bake(this.#o, tools, job, origin, workspace, template);
  }
}

/** One that is prepared. */
export class Bake {
  readonly #key: string;
  readonly #o: BakeryOptions;
  readonly #tools: string;
  readonly #job: BakeJob;
  readonly #origin: BakeOrigin;
  readonly #path: string;
  readonly #template: TakenTemplate | null;

  constructor(
    o: BakeryOptions,
    tools: string,
    job: BakeJob,
    origin: BakeOrigin,
    path: string,
    template: TakenTemplate | null,
  ) {
    this.#key = origin.key;
    this.#o = o;
    this.#tools = tools;
    this.#job = job;
    this.#origin = origin;
    this.#path = path;
    this.#template = template;
  }

  /** @throws {ToroidError} of what EC2 says, as `ec2Failure` has it */
  async run(at: BakePlace): Promise<BakeEnd> {
    const { client, config } = this.#o;
    const { ami, stage } = this.#job;
    at.log.begin("bake");
    const tags = bakeTags(this.#origin);
    const name = amiName(this.#origin);
    const account = new BakeAccount(client, tags, name);
    const known = ami.rebake ? null : await account.sameContent();
    if (known !== null) {
      await at.log.say(`an AMI of the same content is there: ${known} in ${config.region}; it is taken as it is`);
      return this.#spread(known, at);
    }
    const bake = new PackerBake(
      { ...this.#o, tools: this.#tools, account, tags, name, path: this.#path, ami, stage, template: this.#template },
      at,
    );
    let kept: string | null = null;
    try {
      const made = await bake.run();
      if (typeof made !== "string") return { kind: "ruled", ruling: made };
      kept = made;
    } finally {
      await account.clear(kept);
    }
    return this.#spread(kept, at);
  }

  /** To where else it is to be. Nothing of the bake is there any more but the AMI. */
  async #spread(id: string, { log, cancelled, abandoned }: BakePlace): Promise<BakeEnd> {
    const { client: own, config } = this.#o;
    const { regions, share, rebake } = this.#job.ami;
    const { region: home, patienceMs } = config;
    await using clients = new AsyncDisposableStack();
    const known = new Map<string, Promise<EC2>>([[home, Promise.resolve(own)]]);
    const client = (region: string): Promise<EC2> => {
      const there = known.get(region);
      if (there !== undefined) return there;
      const opened = openEc2({ ...config, region }).then((one) => clients.adopt(one, (it) => it.destroy()));
      known.set(region, opened);
      return opened;
    };
    const tags = bakeTags(this.#origin);
    const name = amiName(this.#origin);
    const job = { id, home, regions, share, tags, name, afresh: rebake, patienceMs };
    try {
      const signal = AbortSignal.any([cancelled, abandoned]);
      const amis = await spread(job, { client, say: (line) => log.say(line), signal });
      return { kind: "baked", key: this.#key, amis };
    } catch (error) {
      abandoned.throwIfAborted();
      if (cancelled.aborted) return { kind: "ruled", ruling: cancelledBy(cancelled) };
      throw error;
    }
  }

  /** Removes what it took, whether it ran or not. */
  async discard(slot: Slot): Promise<void> {
    await slot.clear(this.#path);
  }
}

export interface TakenTemplate {
  /** From the checkout's root. */
  readonly path: string;
  readonly template: Template;
  readonly variables: Readonly<Record<string, string>>;
  readonly files: Awaited<ReturnType<typeof selected>>;
  readonly digest: string;
}

/** That of `artifact.ami`, or that of the image. */
async function takeTemplate({ stage, ami, checkout }: BakeJob, signal: AbortSignal): Promise<TakenTemplate | null> {
  const { image } = stage;
  const path = ami.template ?? (image.kind === "packer" ? image.template : null);
  if (path === null) return null;
  const generated = ami.template === null && image.kind === "packer" ? image.text : null;
  const template = templateOf(path, generated ?? (await textOf(checkout, path)));
  const more = ami.template === null && image.kind === "packer" ? image.files : ami.files;
  const names = [...namesIn(template.text), ...more];
  const files = (await selected(checkout, names, dirname(path))).filter((file) => file.path !== path);
  const variables = variablesIn(template.text, stage.env);
  return { path, template, variables, files, digest: await digestOf(checkout, files, signal) };
}

/** Where a stage wants an AMI and this executor cannot bake. */
export function noBakery(): ToroidError {
  return new ToroidError(
    "TOR_BAKE_CREDENTIALS",
    "the stage bakes an AMI, and this executor has nothing to bake with: set TOROID_BAKE_REGION, TOROID_BAKE_ACCESS_KEY_ID, TOROID_BAKE_SECRET_ACCESS_KEY and TOROID_BAKE_SOURCE, or send the stage by `runs_on` to executors that have them",
  );
}

function noPacker(): ToroidError {
  return new ToroidError(
    "TOR_TOOL_MISSING",
    "the AMI is baked by Packer, which this executor does not have: install it (`apt-get install packer`, or from its maker) where PATH or TOROID_PACKER finds it, and start the executor again",
  );
}
