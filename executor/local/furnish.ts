/** The workspace of `toroid run` and `toroid shell`: the working tree in it, and all that its stage would have. */
import { join } from "node:path";
import type { StageId } from "../../protocol/ids.ts";
import type { Image, StagePlan } from "../../protocol/pipeline/plan.ts";
import type { ImagesConfig } from "../config.ts";
import { lookupAt, placesOf } from "../hosts.ts";
import { Hold, type ImageCache } from "../images/cache.ts";
import { DebianImages } from "../images/debian.ts";
import { ociImages } from "../images/make.ts";
import { findPacker, layTools, toolsIn } from "../images/packer/tools.ts";
import { PackerImages } from "../images/packer.ts";
import { ImageStore, imageFor } from "../images/store.ts";
import { LogStream } from "../log-stream.ts";
import { valuesOf } from "../secrets.ts";
import type { Ruling } from "../workspace/outcome.ts";
import { OutputPipe } from "../workspace/pipe.ts";
import { hostnameOf, type StageWork, variablesOf } from "../workspace/variables.ts";
import { type Furnishing, type SandboxSettings, Workspace } from "../workspace.ts";
import { cacheOfRoot, openCache } from "./cache.ts";
import { makePlace } from "./place.ts";
import { LocalSlot } from "./slot.ts";
import type { WorkingTree } from "./working-tree.ts";

/** What of this machine a local run goes by. */
export interface LocalHost {
  readonly sandbox: string;
  /** What this machine may fail to hold the stage to. */
  readonly allowWeak: readonly string[];
  /** What the file's `default` image is: `host`, a name in `imagesDir`, or a path. */
  readonly defaultImage: string;
  readonly imagesDir: string;
  readonly images: ImagesConfig;
  /** Where images that were made are kept from one time to the next. */
  readonly cacheDir: string;
  /** The program of Packer; null: what PATH finds, if anything. */
  readonly packer: string | null;
}

export interface LocalOptions extends LocalHost {
  /** In a working tree of git. */
  readonly directory: string;
  /** The first build stage when null. */
  readonly stage: string | null;
  /** Set for the script, over what the file says. */
  readonly params: Readonly<Record<string, string>>;
  readonly onBytes: (data: Uint8Array) => void;
  readonly onPhase: (phase: string) => void;
  /** A sentence about what is not as it would be elsewhere. */
  readonly say: (line: string) => void;
  /** Ends the stage as a person's cancellation does. */
  readonly cancelled: AbortSignal;
}

export interface Furnished {
  readonly workspace: Workspace;
  readonly furnishing: Furnishing;
  readonly slot: LocalSlot;
}

/** All of it goes when `cleanup` does. A ruling when the stage could not even begin. */
export async function furnish(
  tree: WorkingTree,
  stage: StagePlan,
  log: LogStream,
  o: LocalOptions,
  cleanup: AsyncDisposableStack,
): Promise<Furnished | { readonly ruling: Ruling }> {
  const state = cleanup.use(await makePlace(o.say)).dir;
  const beside = new LocalSlot(o.sandbox, await OutputPipe.make(join(state, "out-beside")), null);
  const slot = new LocalSlot(o.sandbox, await OutputPipe.make(join(state, "out")), beside);
  const never = new AbortController().signal;
  const settings = { allowWeak: o.allowWeak, weak: [], masks: [state, o.cacheDir] };
  const cache = await cacheOf(stage.image, o);
  const packer = await packerIn(cache, state, stage.image.kind === "packer", settings, o);
  const oci = ociImages(cache, o.images);
  const debian = new DebianImages(cache, { ...o.images, workspacesDir: state, settings });
  const { defaultImage, imagesDir } = o;
  const images = new ImageStore({ defaultImage, imagesDir, cache, oci, debian, packer });
  const hold = cleanup.use(new Hold());
  const workspace = cleanup.use(await Workspace.make(state, slot, settings, never));
  await workspace.prepare();
  await tree.copyTo(workspace.source, o.cancelled);
  const places = await placesOf(stage.hosts, slot.network, lookupAt([]), o.cancelled);
  const secrets = ownSecrets(stage);
  const at = { checkout: workspace.source, hold, slot, places, cancelled: o.cancelled, abandoned: never };
  const made = await imageFor(stage, images, log, at);
  if (made.kind === "ruled") return { ruling: made.ruling };
  const id: StageId = { repository: "local/working-tree", number: 1, stage: stage.name, round: 1 };
  const variables = variablesOf(id, workOf(tree, stage, o.params), 1, null, made.variables);
  const furnishing = {
    images: made.images,
    stage,
    variables,
    secrets: { stage: secrets, publish: {} },
    hostname: hostnameOf(id),
    objects: tree.objects,
    places,
    artifact: null,
  };
  return { workspace, furnishing, slot };
}

/** What it prints, for a person: without what is secret. */
export function logFor(stage: StagePlan, o: LocalOptions): LogStream {
  const sink = {
    async bytes(data: Uint8Array) {
      o.onBytes(data);
    },
    phase: o.onPhase,
    async end() {
      return null;
    },
  };
  return LogStream.open(sink, stage.limits.logBytes, valuesOf(ownSecrets(stage)));
}

/** Names of secrets that the stage asks for and that nobody gave us. */
export function missingSecrets(stage: StagePlan): readonly string[] {
  return stage.secrets.filter((name) => process.env[name] === undefined);
}

/** Of a person who runs it: what has the name of a secret in the environment. */
function ownSecrets({ secrets }: StagePlan): Readonly<Record<string, string>> {
  const own: Record<string, string> = {};
  for (const name of secrets) {
    const value = process.env[name];
    if (value !== undefined) own[name] = value;
  }
  return own;
}

/** Nothing is made on disk for what is there without it. */
async function cacheOf({ kind }: Image, o: LocalOptions): Promise<ImageCache> {
  const isThere = kind === "host" || kind === "directory" || (kind === "default" && o.defaultImage === "host");
  const cache = cacheOfRoot({ dir: o.cacheDir, sandbox: o.sandbox, mostBytes: o.images.cacheBytes });
  if (!isThere) await openCache(o.cacheDir, cache);
  return cache;
}

async function packerIn(
  cache: ImageCache,
  state: string,
  isWanted: boolean,
  settings: SandboxSettings,
  o: LocalOptions,
): Promise<PackerImages> {
  const program = isWanted ? await findPacker(o.packer, process.env["PATH"] ?? "") : null;
  const dir = join(state, "packer");
  if (program !== null) await layTools(dir, program);
  return new PackerImages(cache, {
    workspacesDir: state,
    tools: program === null ? null : toolsIn(dir),
    settings,
  });
}

/** As a coordinator would describe it, with nothing known of other stages. */
function workOf(tree: WorkingTree, stage: StagePlan, params: Readonly<Record<string, string>>): StageWork {
  return {
    kind: "stage",
    remote: { https: tree.root, ssh: null },
    source: {
      ref: tree.branch === null ? "HEAD" : `refs/heads/${tree.branch}`,
      branch: tree.branch,
      tag: null,
      before: null,
      commit: tree.commit,
      message: "",
      author: "",
      defaultBranch: null,
    },
    stage: structuredClone(stage) as StageWork["stage"],
    context: {
      artifact: null,
      outputs: {},
      params: { ...params },
      environments: [],
      fence: null,
      previousCommit: null,
      previousArtifact: null,
    },
  };
}
