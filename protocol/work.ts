import { z } from "zod";
import { amis, KEY } from "./ami.ts";
import { isRepositoryName } from "./ids.ts";
import type { AmiPlan, Approval, Image, Limits, Phases, Plan, RunsOn, StagePlan, Wish } from "./pipeline/plan.ts";

/** A commit's or tag's object name: SHA-1 or SHA-256, lower case. */
export const commitName = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/);
export const repositoryName = z.string().refine(isRepositoryName, "not an owner/name");
const count = z.number().int().nonnegative();
const textMap = z.record(z.string(), z.string());

/** Where a repository can be fetched from. `https` may also be a `file://` URL or a path; executors decide what they allow. */
export const remote = z.looseObject({ https: z.string(), ssh: z.string().nullable() });
export type Remote = z.infer<typeof remote>;

/**
 * What caused a build, as accepted: a push, or a request of a person or another build for a ref.
 * `commit` is null when only the ref is known (a trigger): the plan resolves it.
 */
export const push = z.looseObject({
  repository: repositoryName,
  repositoryId: z.number().int().nullable(),
  remote,
  ref: z.string(),
  before: commitName.nullable(),
  commit: commitName.nullable(),
  created: z.boolean(),
  forced: z.boolean(),
  defaultBranch: z.string().nullable(),
  message: z.string(),
  author: z.string(),
  /** The forge's delivery id, for support; null where the way in loses it. */
  deliveryId: z.string().nullable(),
  /** Every name by which the forge knows who pushed, and who wrote the head commit. */
  people: z.array(z.string()).default([]),
  params: textMap,
});
export type Push = z.infer<typeof push>;

/** Pushed to a branch, and not what somebody asked to be built. */
export function isBranchPush(one: Push | null): one is Push & { readonly commit: string } {
  return one !== null && one.commit !== null && one.ref.startsWith("refs/heads/");
}

/** A push after planning: which commit it really is. */
export const source = z.looseObject({
  ref: z.string(),
  branch: z.string().nullable(),
  tag: z.string().nullable(),
  before: commitName.nullable(),
  commit: commitName,
  message: z.string(),
  author: z.string(),
  defaultBranch: z.string().nullable(),
});
export type CheckedSource = z.infer<typeof source>;

/** A commit's name in a history: twelve digits, which no two commits of a repository share but by design. */
export const shortCommit = z.string().regex(/^[0-9a-f]{12}$/);

export function shortOf(commit: string): string {
  return commit.slice(0, 12);
}

/** The place of a planned commit in its repository's history, as its executor read it. */
export const history = z.looseObject({
  /** Commits that it contains: not all, but those that the branch was at lately, the newest first. */
  ancestors: z.array(shortCommit),
  /** What its branch had moved on to by then, if that contains it. */
  tip: shortCommit.nullable(),
  /** The push moved its branch back to an earlier commit, or may have. */
  rewinds: z.boolean(),
});
export type History = z.infer<typeof history>;

/** What is known when nobody looked. */
export const NO_HISTORY: History = { ancestors: [], tip: null, rewinds: false };

const baseImage = z.union([
  z.object({ kind: z.literal("default") }),
  z.object({ kind: z.literal("host") }),
  z.object({ kind: z.literal("named"), name: z.string() }),
  z.object({ kind: z.enum(["directory", "tar"]), path: z.string() }),
  z.object({ kind: z.literal("oci"), reference: z.string() }),
  z.object({ kind: z.literal("debian"), suite: z.string(), packages: z.array(z.string()).readonly() }),
]);
const image = z.union([
  baseImage,
  z.object({
    kind: z.literal("packer"),
    template: z.string(),
    text: z.string().nullable().default(null),
    base: baseImage,
    files: z.array(z.string()).readonly(),
  }),
]) satisfies z.ZodType<Image>;

const limits = z.object({
  memoryBytes: count.nullable(),
  cpuMilli: count.nullable(),
  pids: count.nullable(),
  diskBytes: count.nullable(),
  logBytes: count,
}) satisfies z.ZodType<Limits>;

const phases = z.object({
  install: z.array(z.string()).readonly(),
  script: z.array(z.string()).readonly(),
  publish: z.array(z.string()).readonly(),
  after: z.array(z.string()).readonly(),
}) satisfies z.ZodType<Phases>;

export const approval = z.object({
  from: z.array(z.string()).readonly(),
  self: z.boolean(),
  expiresMs: count,
}) satisfies z.ZodType<Approval>;

export const runsOn = z.object({
  pool: z.string().min(1).nullable(),
  labels: z.array(z.string().min(1)).readonly(),
}) satisfies z.ZodType<RunsOn>;

export const priority = z.enum(["high", "normal", "low"]);

const amiPlan = z.object({
  template: z.string().nullable(),
  files: z.array(z.string()).readonly(),
  regions: z.array(z.string()).readonly(),
  share: z.array(z.string()).readonly(),
  rebake: z.boolean(),
  source: z
    .discriminatedUnion("kind", [
      z.object({ kind: z.literal("id"), id: z.string() }),
      z.object({ kind: z.literal("newest"), name: z.string(), owner: z.string() }),
    ])
    .nullable(),
  instanceType: z.string().nullable(),
  provision: z.enum(["difference", "replay"]),
}) satisfies z.ZodType<AmiPlan>;

export const stagePlan = z.object({
  name: z.string().min(1),
  environment: z.string().min(1).nullable(),
  needs: z.array(z.string()).readonly(),
  join: z.enum(["all", "any"]),
  automatic: z.boolean(),
  allowFailure: z.boolean(),
  image,
  workdir: z.string(),
  env: textMap,
  secrets: z.array(z.string()).readonly().default([]),
  publishSecrets: z.array(z.string()).readonly().default([]),
  phases,
  entrypoint: z.string().nullable(),
  publishRefs: z
    .object({ branches: z.array(z.string()).readonly().nullable(), tags: z.array(z.string()).readonly().nullable() })
    .nullable(),
  artifactFiles: z.array(z.string()).readonly(),
  ami: amiPlan.nullable().default(null),
  limits,
  network: z.enum(["none", "full"]),
  hosts: z.array(z.string()).readonly().default([]),
  timeoutMs: count,
  timeouts: z
    .object({ queueMs: count.nullable(), startMs: count.nullable(), silenceMs: count.nullable() })
    .default({ queueMs: null, startMs: null, silenceMs: null }),
  idempotent: z.boolean(),
  retry: z.object({ attempts: count.positive(), backoffMs: count }).default({ attempts: 3, backoffMs: 0 }),
  check: z.array(z.string()).readonly().default([]),
  queue: z.enum(["newest", "every"]),
  approval: approval.nullable().default(null),
  runsOn: runsOn.default({ pool: null, labels: [] }),
  priority: priority.default("normal"),
}) satisfies z.ZodType<StagePlan>;

const wish = z.object({
  to: z.string(),
  on: z.enum(["change", "always", "never"]).nullable(),
  branches: z.array(z.string()).readonly().nullable(),
}) satisfies z.ZodType<Wish>;

export const plan = z.object({
  kind: z.enum(["library", "application"]),
  cancelSuperseded: z.boolean().default(false),
  stages: z.array(stagePlan).readonly(),
  notify: z.array(wish).readonly().default([]),
}) satisfies z.ZodType<Plan>;

/** Files packed by an executor, found again by `digest`. */
export const filesArtifact = z.looseObject({
  kind: z.literal("files"),
  /** `sha256:` and 64 hex digits, of the archive. */
  digest: z.string(),
  bytes: count,
  files: count,
});
export type FilesArtifact = z.infer<typeof filesArtifact>;

/** An AMI, in each region that it was baked for or copied to, and the files that the same stage packed. */
export const amiArtifact = z.looseObject({
  kind: z.literal("ami"),
  /** Digest of everything that it was baked of. */
  key: z.string().regex(KEY),
  amis,
  files: filesArtifact.nullable(),
});
export type AmiArtifact = z.infer<typeof amiArtifact>;

/** What a build emitted. */
export const artifact = z.discriminatedUnion("kind", [filesArtifact, amiArtifact]);
export type Artifact = z.infer<typeof artifact>;

/** The files of what was emitted; null when there are none. */
export function filesOfArtifact(one: Artifact | null): FilesArtifact | null {
  return one?.kind === "ami" ? one.files : one;
}

/** The AMIs of what was emitted, by region; none when there are none. */
export function amisOfArtifact(one: Artifact | null): Readonly<Record<string, string>> {
  return one?.kind === "ami" ? one.amis : {};
}

/** What one stage may know of the others and of its environment. */
export const stageContext = z.looseObject({
  artifact: artifact.nullable(),
  /** Outputs of passed stages: stage name → key → value. */
  outputs: z.record(z.string(), textMap),
  params: textMap,
  /** Environments of this build, which a script may ask for. */
  environments: z.array(z.string()).readonly(),
  /** Only grows for an environment; null in a build stage. */
  fence: count.nullable(),
  /** What was live in the environment when this stage was admitted. */
  previousCommit: commitName.nullable(),
  previousArtifact: artifact.nullable().default(null),
});
export type StageContext = z.infer<typeof stageContext>;

/** What an executor is asked to do. `plan`: read `.toroid.yml` at the push's commit. `stage`: run one. */
export const work = z.discriminatedUnion("kind", [
  z.looseObject({ kind: z.literal("plan"), push }),
  z.looseObject({ kind: z.literal("stage"), remote, source, stage: stagePlan, context: stageContext }),
]);
export type Work = z.infer<typeof work>;
