import type { Problem } from "./problem.ts";

/**
 * Terminology: a *plan* is what one push runs, made from `.toroid.yml` at its commit; a *stage plan* is one node of it.
 * Everything here is plain data: it crosses the wire from the executor that made it to the coordinator.
 */

/** The root file system a stage's workspace is layered on, with every `${VAR}` already filled in. */
export type Image =
  | BaseImage
  /** What the provisioners of a template make of another image. */
  | {
      readonly kind: "packer";
      /** Its path in the checkout. */
      readonly template: string;
      /** What is to be taken for it, where the checkout has none. */
      readonly text: string | null;
      readonly base: BaseImage;
      /** What else than the paths in it it needs of the checkout. */
      readonly files: readonly string[];
    };

/** An image that is there. */
export type BaseImage =
  /** What the executor's operator chose. */
  | { readonly kind: "default" }
  /** The executor's own root file system, masked. */
  | { readonly kind: "host" }
  /** One of the executor's image store. */
  | { readonly kind: "named"; readonly name: string }
  /** On the executor's host when absolute, in the checkout when relative (then without `..`). */
  | { readonly kind: "directory" | "tar"; readonly path: string }
  /** As `ociReferenceOf` reads it. */
  | { readonly kind: "oci"; readonly reference: string }
  /** Made by mmdebstrap: the smallest Debian of the suite, and packages. */
  | { readonly kind: "debian"; readonly suite: string; readonly packages: readonly string[] };

/** null: the executor's own limit. */
export interface Limits {
  readonly memoryBytes: number | null;
  /** Thousandths of a CPU. */
  readonly cpuMilli: number | null;
  readonly pids: number | null;
  readonly diskBytes: number | null;
  /** How much output is kept. */
  readonly logBytes: number;
}

/** Shell lines, each run as `sh -eu -c` in the stage's workdir; a phase stops at its first failing line. */
export interface Phases {
  readonly install: readonly string[];
  readonly script: readonly string[];
  /** Only after `script` passed, and only where `shouldPublish` says so. */
  readonly publish: readonly string[];
  /** Always, last; cannot change the outcome. */
  readonly after: readonly string[];
}

/** Patterns as in `on`. null: that kind of ref does not publish. */
export interface PublishRefs {
  readonly branches: readonly string[] | null;
  readonly tags: readonly string[] | null;
}

/** Who has to agree before a stage goes. */
export interface Approval {
  /** Persons and teams; empty: anybody. */
  readonly from: readonly string[];
  /** Whether who caused the build may approve it. */
  readonly self: boolean;
  readonly expiresMs: number;
}

/** null: no limit. */
export interface Timeouts {
  /** From queued to claimed. */
  readonly queueMs: number | null;
  /** From claimed to started. */
  readonly startMs: number | null;
  /** Without a byte of output. */
  readonly silenceMs: number | null;
}

/** Of attempts that could not be run; a script that says no is not asked again. */
export interface Retry {
  /** In all. */
  readonly attempts: number;
  /** Before the second; doubled before each further one. */
  readonly backoffMs: number;
}

/** Which executors may run a stage. */
export interface RunsOn {
  /** null: any that has the labels; without labels, the one that the operator chose for what wishes nothing. */
  readonly pool: string | null;
  /** An executor must have all of them. */
  readonly labels: readonly string[];
}

/** What goes first when not all can: environments are `high`, builds what their file says. */
export type Priority = "high" | "normal" | "low";

export interface StagePlan {
  /** `build`, `build NODE=22`, `stage`, `prod`: unique in the plan. */
  readonly name: string;
  /** null: a build stage. */
  readonly environment: string | null;
  /**
   * Names of the stages it comes after. `join: "all"`: each has passed (a stage that may fail counts once it is over);
   * `"any"`: one has. Never a cycle. For a stage that is not `automatic` they hold for a request as well.
   */
  readonly needs: readonly string[];
  readonly join: "all" | "any";
  /** false: declared, but reached only by request (`TOROID_QUEUE`, a person). */
  readonly automatic: boolean;
  /** Its failure does not fail the build, nor hold back what needs it. */
  readonly allowFailure: boolean;
  readonly image: Image;
  /** Relative to the checkout, without `..`; `.` is the checkout itself. */
  readonly workdir: string;
  /** `env`, then the matrix, then the environment's `env` and `params`: later ones win. Values are literal text. */
  readonly env: Readonly<Record<string, string>>;
  /** Names of what the executor's operator keeps for the repository, given to its phases but `publish`. */
  readonly secrets: readonly string[];
  /** Given to `publish` besides. */
  readonly publishSecrets: readonly string[];
  /** An environment stage has `script` (its `run`), or nothing at all and an `entrypoint`. */
  readonly phases: Phases;
  /** Relative to the checkout whatever `workdir` says; called as `<entrypoint> <environment>`. null: `phases` it is. */
  readonly entrypoint: string | null;
  /** null: the file does not say; then the default branch and every tag publish. See `shouldPublish`. */
  readonly publishRefs: PublishRefs | null;
  /** Globs in the workdir of a build stage; empty elsewhere. */
  readonly artifactFiles: readonly string[];
  /** Of a build stage; null: none is baked. */
  readonly ami: AmiPlan | null;
  readonly limits: Limits;
  readonly network: "none" | "full";
  /** What it reaches although its network is `none`, as `hosts.ts` writes it: `example.com:443`, `203.0.113.0/24`. */
  readonly hosts: readonly string[];
  /** How long it may run. */
  readonly timeoutMs: number;
  readonly timeouts: Timeouts;
  /** May be run again unasked after an attempt was lost half way. A build stage is, unless it would publish. */
  readonly idempotent: boolean;
  readonly retry: Retry;
  /** Shell lines that tell whether a lost attempt of an environment went; empty: only a person can. */
  readonly check: readonly string[];
  /** Of what waits for the environment: the newest goes and the older are superseded, or every one goes. */
  readonly queue: "newest" | "every";
  /** null: nobody has to agree. */
  readonly approval: Approval | null;
  readonly runsOn: RunsOn;
  readonly priority: Priority;
}

/** The image of a machine that a passed build stage is baked into. */
export interface AmiPlan {
  /** Path of a Packer template in the checkout, with a source for Amazon of its own; null: ours does it. */
  readonly template: string | null;
  /** What else of the checkout the template needs than the paths that stand in it. */
  readonly files: readonly string[];
  /** Regions that it is to be in, besides the executor's. */
  readonly regions: readonly string[];
  /** Accounts that may use it. */
  readonly share: readonly string[];
  /** Bake although there is one of the same content. */
  readonly rebake: boolean;
  /** What it begins with: an id, or the newest of an owner by the pattern of its name; null: the executor's choice. */
  readonly source: AmiSource | null;
  readonly instanceType: string | null;
  /** What is done to it: what the stage's runs wrote is put in, or the provisioners of the image's template run again. */
  readonly provision: "difference" | "replay";
}

export type AmiSource =
  | { readonly kind: "id"; readonly id: string }
  | { readonly kind: "newest"; readonly name: string; readonly owner: string };

/** Whom the file wants told. */
export interface Wish {
  /** A target of the operator's. */
  readonly to: string;
  /** null: as the operator says of the target. */
  readonly on: "change" | "always" | "never" | null;
  /** Patterns; null: all branches, and tags. */
  readonly branches: readonly string[] | null;
}

export interface Plan {
  readonly kind: "library" | "application";
  /** It ends the build stages of older pushes of its branch. */
  readonly cancelSuperseded: boolean;
  /** Build stages first, then environments as the file orders them. */
  readonly stages: readonly StagePlan[];
  readonly notify: readonly Wish[];
}

/** The push that asks for a plan. */
export interface Source {
  /** `owner/name`. */
  readonly repository: string;
  /** As pushed: `refs/heads/main`, `refs/tags/v1`. */
  readonly ref: string;
  /** null when the ref is not a branch. */
  readonly branch: string | null;
  /** null when the ref is not a tag. */
  readonly tag: string | null;
  readonly commit: string;
  /** The head commit's, whole. */
  readonly message: string;
  /** Against what was there before, or the merge base of the default branch; null when unknown. */
  readonly changedPaths: readonly string[] | null;
  readonly defaultBranch: string | null;
  readonly tree: Tree;
}

/** What of a commit's files counts for what is made of `.toroid.yml`. */
export interface Tree {
  /** What `.packer` is in its root. */
  readonly template: "file" | "other" | "none";
  /** All of them, where the text speaks of Packer; else none need be told. */
  readonly files: readonly string[];
}

export type Planned =
  | { readonly kind: "plan"; readonly plan: Plan }
  /** Nothing is to run, and that is right; `reason` is a sentence for people. */
  | {
      readonly kind: "skip";
      readonly reason: string;
      /** Build stages that the file has, as far as it can be read: they are passed over. */
      readonly stages: readonly string[];
    }
  /** All problems of the file, in its order. */
  | { readonly kind: "invalid"; readonly problems: readonly Problem[] };
