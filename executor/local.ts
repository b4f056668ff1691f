/** `toroid run` and `toroid shell`: a stage of a person's working tree, in a real workspace and without any server. */
import { ToroidError } from "../protocol/errors.ts";
import { type Plan, type Planned, planOf, type StagePlan } from "../protocol/pipeline/plan.ts";
import { listed } from "../protocol/pipeline/suggest.ts";
import { withExtras } from "./local/extras.ts";
import { furnish, type LocalOptions, logFor, missingSecrets } from "./local/furnish.ts";
import { openShell, type ShellEnd } from "./local/shell.ts";
import { WorkingTree } from "./local/working-tree.ts";
import { PIPELINE_FILE } from "./plan.ts";
import { endBefore, runStage, type StageRun } from "./stage-run.ts";

export interface LocalRunOptions extends LocalOptions {
  /** Added to the last line of the script, or to what the entry point is called with. */
  readonly extras: readonly string[];
}

export interface LocalShellOptions extends LocalOptions {
  /** In place of a shell; empty: a shell. */
  readonly command: readonly string[];
  /** Ours are a terminal. */
  readonly onTerminal: boolean;
  /** Of the terminal, and its like. */
  readonly variables: Readonly<Record<string, string>>;
  /** Do what the stage installs before. */
  readonly install: boolean;
}

/** What of the file can not be begun at all. */
type Unplanned =
  | { readonly kind: "skip"; readonly reason: string }
  | {
      readonly kind: "invalid";
      readonly text: string;
      readonly problems: Extract<Planned, { kind: "invalid" }>["problems"];
    };
export type LocalRun = { readonly kind: "run"; readonly stage: string; readonly run: StageRun } | Unplanned;
export type LocalShell = ({ readonly stage: string } & ShellEnd) | Unplanned;

/** @throws {ToroidError} TOR_NOT_ROOT, TOR_NOT_FOUND (no such stage, no repository), TOR_IMAGE_MISSING, TOR_NETWORK_MISSING */
export async function runLocally(o: LocalRunOptions): Promise<LocalRun> {
  const planned = await planHere(o);
  if ("kind" in planned) return planned;
  const stage = withExtras(planned.stage, o.extras);
  await using cleanup = new AsyncDisposableStack();
  const log = logFor(stage, o);
  const made = await furnish(planned.tree, stage, log, o, cleanup);
  if ("ruling" in made) return { kind: "run", stage: stage.name, run: await endBefore(made.ruling, log) };
  const run = await runStage(made.workspace, made.furnishing, {
    publish: false,
    publishing: () => Promise.resolve(),
    // An AMI is for what is pushed.
    bake: null,
    pack: null,
    cancelled: o.cancelled,
    abandoned: new AbortController().signal,
    environments: null,
    log,
  });
  return { kind: "run", stage: stage.name, run };
}

/** As {@link runLocally}, but for the script, in whose place a person looks around. */
export async function shellLocally(o: LocalShellOptions): Promise<LocalShell> {
  const planned = await planHere(o);
  if ("kind" in planned) return planned;
  const { stage } = planned;
  await using cleanup = new AsyncDisposableStack();
  const log = logFor(stage, o);
  const made = await furnish(planned.tree, stage, log, o, cleanup);
  return { stage: stage.name, ...(await openShell(made, log, o)) };
}

async function planHere(
  o: LocalOptions,
): Promise<Unplanned | { readonly tree: WorkingTree; readonly stage: StagePlan }> {
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
  const missing = missingSecrets(stage);
  if (missing.length > 0) {
    const them = missing.length === 1 ? "it" : "them";
    o.say(
      `without ${listed(missing, "and")}: secrets are on executors; set ${them} in your environment to have ${them} here`,
    );
  }
  return { tree, stage };
}

function chosen({ stages }: Plan, name: string | null): StagePlan {
  const found = name === null ? stages[0] : stages.find((stage) => stage.name === name);
  if (found !== undefined) return found;
  const names = stages.map((stage) => stage.name).join(", ");
  throw new ToroidError("TOR_NOT_FOUND", `there is no stage ${name ?? ""}; the file has ${names}`);
}
