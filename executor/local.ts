/** `toroid run`: a stage of a person's working tree, as it is now, in a real workspace and without any server. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ToroidError } from "../protocol/errors.ts";
import type { StageId } from "../protocol/ids.ts";
import { type Image, type Plan, type Planned, planOf, type StagePlan } from "../protocol/pipeline/plan.ts";
import type { ImagesConfig } from "./config.ts";
import { lookupAt, placesOf } from "./hosts.ts";
import { Hold, type ImageCache } from "./images/cache.ts";
import { DebianImages } from "./images/debian.ts";
import { ociImages } from "./images/make.ts";
import { findPacker, layTools, toolsIn } from "./images/packer/tools.ts";
import { PackerImages } from "./images/packer.ts";
import { ImageStore, imageFor } from "./images/store.ts";
import { cacheOfRoot, openCache } from "./local/cache.ts";
import { LocalSlot } from "./local/slot.ts";
import { WorkingTree } from "./local/working-tree.ts";
import { type LogSink, LogStream } from "./log-stream.ts";
import { PIPELINE_FILE } from "./plan.ts";
import { valuesOf } from "./secrets.ts";
import { endBefore, runStage, type StageRun } from "./stage-run.ts";
import { removeTree } from "./trees.ts";
import { OutputPipe } from "./workspace/pipe.ts";
import { hostnameOf, type StageWork, variablesOf } from "./workspace/variables.ts";
import { type SandboxSettings, Workspace } from "./workspace.ts";

export interface LocalRunOptions {
  /** In a working tree of git. */
  readonly directory: string;
  /** The first build stage when null. */
  readonly stage: string | null;
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
  /** Set for the script, over what the file says. */
  readonly params: Readonly<Record<string, string>>;
  readonly onBytes: (data: Uint8Array) => void;
  readonly onPhase: (phase: string) => void;
  /** Ends the stage as a person's cancellation does. */
  readonly cancelled: AbortSignal;
}

export type LocalRun =
  | { readonly kind: "run"; readonly stage: string; readonly run: StageRun }
  | { readonly kind: "skip"; readonly reason: string }
  | {
      readonly kind: "invalid";
      readonly text: string;
      readonly problems: Extract<Planned, { kind: "invalid" }>["problems"];
    };

/** @throws {ToroidError} TOR_NOT_ROOT, TOR_NOT_FOUND (no such stage, no repository), TOR_IMAGE_MISSING, TOR_NETWORK_MISSING */
export async function runLocally(o: LocalRunOptions): Promise<LocalRun> {
  if (process.geteuid?.() !== 0)
    throw new ToroidError("TOR_NOT_ROOT", "a workspace can only be made by root: try sudo");
  const tree = await WorkingTree.open(o.directory, o.cancelled);
  const text = await tree.read(PIPELINE_FILE);
  if (text === null) {
    throw new ToroidError(
      "TOR_NOT_FOUND",
      `there is no ${PIPELINE_FILE} in ${tree.root}; begin with one line: script: make test`,
    );
  }
  const planned = planOf(PIPELINE_FILE, text, {
    repository: "local/working-tree",
    ref: tree.branch === null ? "HEAD" : `refs/heads/${tree.branch}`,
    branch: tree.branch,
    tag: null,
    commit: tree.commit,
    // Filters and [skip ci] are about pushes; who runs by hand wants it to run.
    message: "",
    changedPaths: null,
    defaultBranch: null,
    tree: await tree.tree(o.cancelled),
  });
  if (planned.kind === "invalid") return { kind: "invalid", text, problems: planned.problems };
  if (planned.kind === "skip") return planned;
  const stage = chosen(planned.plan, o.stage);
  return { kind: "run", stage: stage.name, run: await runIn(tree, stage, o) };
}

function chosen({ stages }: Plan, name: string | null): StagePlan {
  const found = name === null ? stages[0] : stages.find((stage) => stage.name === name);
  if (found !== undefined) return found;
  const names = stages.map((stage) => stage.name).join(", ");
  throw new ToroidError("TOR_NOT_FOUND", `there is no stage ${name ?? ""}; the file has ${names}`);
}

async function runIn(tree: WorkingTree, stage: StagePlan, o: LocalRunOptions): Promise<StageRun> {
  await using cleanup = new AsyncDisposableStack();
  const state = await mkdtemp(join(tmpdir(), "toroid-run-"));
  cleanup.defer(() => removeTree(state));
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
  const log = LogStream.open(sinkOf(o), stage.limits.logBytes, valuesOf(secrets));
  const at = { checkout: workspace.source, hold, slot, places, cancelled: o.cancelled, abandoned: never };
  const made = await imageFor(stage, images, log, at);
  if (made.kind === "ruled") return await endBefore(made.ruling, log);
  const id: StageId = { repository: "local/working-tree", number: 1, stage: stage.name, round: 1 };
  const variables = variablesOf(id, workOf(tree, stage, o.params), 1, null, made.variables);
  return await runStage(
    workspace,
    {
      images: made.images,
      stage,
      variables,
      secrets: { stage: secrets, publish: {} },
      hostname: hostnameOf(id),
      objects: tree.objects,
      places,
      artifact: null,
    },
    {
      publish: false,
      publishing: () => Promise.resolve(),
      // An AMI is for what is pushed.
      bake: null,
      pack: null,
      cancelled: o.cancelled,
      abandoned: never,
      environments: null,
      log,
    },
  );
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
async function cacheOf({ kind }: Image, o: LocalRunOptions): Promise<ImageCache> {
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
  o: LocalRunOptions,
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

function sinkOf(o: LocalRunOptions): LogSink {
  return {
    async bytes(data) {
      o.onBytes(data);
    },
    phase: o.onPhase,
    async end() {
      return null;
    },
  };
}
