import type { BuildSummary, EnvironmentSummary } from "../../protocol/summary.ts";

/** What this tab knows, by `acme/api#42` and `acme/api prod`. Pure; `connection.ts` keeps it. */
export interface World {
  readonly builds: ReadonlyMap<string, BuildSummary>;
  readonly environments: ReadonlyMap<string, EnvironmentSummary>;
}

export const EMPTY_WORLD: World = { builds: new Map(), environments: new Map() };

export function buildKey({ repository, number }: { readonly repository: string; readonly number: number }): string {
  return `${repository}#${number}`;
}

export function environmentKey(e: { readonly repository: string; readonly environment: string }): string {
  return `${e.repository} ${e.environment}`;
}

/** With `build`, unless something newer of it is known already: answers and events overtake each other. */
export function withBuild(world: World, build: BuildSummary): World {
  const key = buildKey(build);
  const known = world.builds.get(key);
  if (known !== undefined && versionOf(known) > versionOf(build)) return world;
  return { ...world, builds: bounded(new Map(world.builds).set(key, build)) };
}

/** A tab may be open for weeks; those that were heard of first and have ended go first. */
export const BUILDS_KEPT = 3_000;
const DROPPED_AT_ONCE = 300;

function bounded(builds: Map<string, BuildSummary>): ReadonlyMap<string, BuildSummary> {
  if (builds.size <= BUILDS_KEPT) return builds;
  const old = [...builds].filter(([, { status }]) => status === "finished").slice(0, DROPPED_AT_ONCE);
  for (const [key] of old) builds.delete(key);
  return builds;
}

export function withEnvironment(world: World, environment: EnvironmentSummary): World {
  const environments = new Map(world.environments).set(environmentKey(environment), environment);
  return { ...world, environments };
}

/** Newest first. */
export function buildsOf(world: World, repository: string | null): readonly BuildSummary[] {
  return [...world.builds.values()]
    .filter((b) => repository === null || b.repository === repository)
    .sort((a, b) => b.createdAtMs - a.createdAtMs || b.number - a.number);
}

/** By repository, then as they are named. */
export function environmentsOf(world: World, repository: string | null): readonly EnvironmentSummary[] {
  return [...world.environments.values()]
    .filter((e) => repository === null || e.repository === repository)
    .sort((a, b) => a.repository.localeCompare(b.repository) || a.environment.localeCompare(b.environment));
}

/** Every part of a summary only grows, so their sum does. */
function versionOf(build: BuildSummary): number {
  return build.stages.reduce((sum, stage) => sum + stage.seq, build.seq);
}
