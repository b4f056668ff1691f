/** Shows a build in the terminal until it ended: each stage's log as it comes, then how it went. */
import { setTimeout as delay } from "node:timers/promises";
import { type BuildId, formatBuild, PLAN_STAGE } from "../../protocol/ids.ts";
import { type BuildSummary, buildSummary, type StageSummary } from "../../protocol/summary.ts";
import { buildPath } from "../api.ts";
import { followLog } from "../follow-log.ts";
import { buildList, repositoryList } from "../shapes.ts";
import { environmentFacts } from "../text/environment.ts";
import type { Context } from "../verb.ts";

const POLL_MS = 25;
/** How long nothing may happen before we ask whether a pause is why. */
const STILL_MS = 1_000;

/** The build of `commit`, once the coordinator has it. */
export async function buildOfCommit(context: Context, repository: string, commit: string): Promise<BuildSummary> {
  const query = new URLSearchParams({ repository, limit: "5" });
  for (;;) {
    const { builds } = await context.api().get(`api/v1/builds?${query.toString()}`, buildList);
    const found = builds.find((one) => one.commit === commit);
    if (found !== undefined) return found;
    await pauseFor(POLL_MS, context.interrupted());
  }
}

/** Prints what each stage writes, in the order in which they run, until the build is finished or a pause holds it. */
export async function watchBuild(context: Context, id: BuildId): Promise<BuildSummary> {
  const shown = new Set<string>();
  let stillSinceMs = performance.now();
  for (;;) {
    const build = await context.api().get(buildPath(id), buildSummary);
    const next = build.stages.find((one) => !shown.has(keyOf(one)) && isWorthShowing(one));
    if (next !== undefined) {
      shown.add(keyOf(next));
      await showStage(context, id, next);
      stillSinceMs = performance.now();
    } else if (build.status === "finished") return build;
    else if (performance.now() - stillSinceMs > STILL_MS) {
      if (await sayPause(context, build)) return build;
      stillSinceMs = performance.now();
    } else await pauseFor(POLL_MS, context.interrupted());
  }
}

/** True, having said it, when the build stands before an environment that somebody paused. */
async function sayPause(context: Context, build: BuildSummary): Promise<boolean> {
  const { repositories } = await context.api().get("api/v1/repositories", repositoryList);
  const environments = repositories.find((one) => one.repository === build.repository)?.environments ?? [];
  const held = environments.find((e) => e.paused !== null && e.waiting.some((w) => w.number === build.number));
  if (held === undefined) return false;
  const { repository, environment } = held;
  context.err(`--- ${formatBuild(build)} ${environment} waits: ${environmentFacts(held)[0] ?? "paused"}`);
  context.err(`    toroid resume ${repository} ${environment}    lets it go on`);
  return true;
}

async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

function keyOf({ name, round }: StageSummary): string {
  return `${name} ${round}`;
}

function isWorthShowing(stage: StageSummary): boolean {
  return stage.name !== PLAN_STAGE && (stage.executor !== null || stage.status === "finished");
}

async function showStage(context: Context, id: BuildId, stage: StageSummary): Promise<void> {
  context.err(`--- ${formatBuild(id)} ${stage.name}`);
  if (stage.executor === null) {
    context.err(`    ${stage.outcome ?? stage.status}: ${stage.message}`);
    return;
  }
  // To standard error: standard output is for the one line of data at the end.
  const out = (text: string | Uint8Array): Promise<void> => {
    process.stderr.write(text);
    return Promise.resolve();
  };
  await followLog({ ...context, out }, { ...id, stage: stage.name, round: stage.round, attempt: stage.attempt }, true);
}
