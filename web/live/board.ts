/** What the board shows, told from what this tab knows. Pure. */
import type { BuildSummary, EnvironmentSummary, StageSummary } from "../../protocol/summary.ts";
import type { World } from "./world.ts";

export interface BoardRow {
  readonly repository: string;
  /** Newest first, those that are known. */
  readonly builds: readonly BuildSummary[];
  /** In the order in which builds pass through them. */
  readonly environments: readonly EnvironmentSummary[];
}

/** How an environment is, in the word that matters most to who looks. */
export type EnvironmentWord = "paused" | "held" | "approval" | "running" | "waiting" | "failed" | "open";

/** What a person may look for on the board. */
export type Concern = "approval" | "paused" | "failed" | "running";

/** By the name of the repository. */
export function boardOf(world: World): readonly BoardRow[] {
  const rows = new Map<string, { builds: BuildSummary[]; environments: EnvironmentSummary[] }>();
  const rowOf = (repository: string): { builds: BuildSummary[]; environments: EnvironmentSummary[] } => {
    const row = rows.get(repository) ?? { builds: [], environments: [] };
    rows.set(repository, row);
    return row;
  };
  for (const build of world.builds.values()) rowOf(build.repository).builds.push(build);
  for (const environment of world.environments.values()) rowOf(environment.repository).environments.push(environment);
  return [...rows]
    .map(([repository, { builds, environments }]) => {
      builds.sort((a, b) => b.number - a.number);
      return { repository, builds, environments: inPlanOrder(environments, builds) };
    })
    .sort((a, b) => a.repository.localeCompare(b.repository));
}

/** As the newest build that has any of them goes through them; what it does not have comes last. */
function inPlanOrder(
  environments: readonly EnvironmentSummary[],
  builds: readonly BuildSummary[],
): readonly EnvironmentSummary[] {
  const planned = builds.find(({ stages }) => stages.some(({ environment }) => environment !== null));
  const order = planned?.stages.map(({ environment }) => environment) ?? [];
  const place = ({ environment }: EnvironmentSummary): number => {
    const at = order.indexOf(environment);
    return at === -1 ? order.length : at;
  };
  return environments.toSorted((a, b) => place(a) - place(b) || a.environment.localeCompare(b.environment));
}

const BAD: ReadonlySet<string> = new Set(["failed", "errored", "timedOut", "unknown"]);

export function isBad({ outcome }: { readonly outcome: string | null }): boolean {
  return outcome !== null && BAD.has(outcome);
}

export interface StageOfBuild {
  readonly build: BuildSummary;
  readonly stage: StageSummary;
}

/** The last thing that ended badly in an environment, unless something ended there since. */
export function failureIn({ environment }: EnvironmentSummary, builds: readonly BuildSummary[]): StageOfBuild | null {
  const ended = builds
    .flatMap((build) => build.stages.map((stage) => ({ build, stage })))
    .filter(({ stage }) => stage.environment === environment && (stage.outcome === "passed" || isBad(stage)))
    .toSorted((a, b) => (b.stage.finishedAtMs ?? 0) - (a.stage.finishedAtMs ?? 0));
  const [last] = ended;
  return last !== undefined && isBad(last.stage) ? last : null;
}

/** The stage that a retry of the build would begin with; null: nothing of it ended badly. */
export function failedStage({ stages }: BuildSummary): StageSummary | null {
  const newest = stages.filter((s) => !stages.some((other) => other.name === s.name && other.round > s.round));
  return newest.find(isBad) ?? newest.find(({ outcome }) => outcome === "cancelled") ?? null;
}

export function wordOf(e: EnvironmentSummary, failure: StageOfBuild | null): EnvironmentWord {
  if (e.paused !== null) return "paused";
  if (e.waiting.some(({ approval }) => approval !== null)) return "approval";
  if (e.held !== null) return "held";
  if (e.inFlight !== null) return "running";
  if (e.waiting.length > 0) return "waiting";
  return failure === null ? "open" : "failed";
}

/** What of a row people may look for. */
export function concernsOf({ builds, environments }: BoardRow): ReadonlySet<Concern> {
  const found = new Set<Concern>();
  const [latest] = builds;
  if (latest !== undefined && latest.status !== "finished") found.add("running");
  if (latest !== undefined && isBad(latest)) found.add("failed");
  for (const e of environments) {
    if (e.waiting.some(({ approval }) => approval !== null)) found.add("approval");
    if (e.paused !== null || e.held !== null) found.add("paused");
    if (e.inFlight !== null) found.add("running");
    if (failureIn(e, builds) !== null) found.add("failed");
  }
  return found;
}

/** Builds that an approval would let in: after what is live, up to the one that waits, newest first. */
export function changesUpTo(
  builds: readonly BuildSummary[],
  number: number,
  live: number | null,
): readonly BuildSummary[] {
  const goal = builds.find((one) => one.number === number);
  if (goal === undefined) return [];
  if (live === null || live >= number) return [goal];
  return builds.filter((one) => one.number <= number && one.number > live && one.ref === goal.ref);
}
