/** Who uses which AMI: environments, where it is live or where one goes back to it, and builds that have it. */
import type { EnvironmentId } from "../../protocol/ids.ts";
import { type Artifact, amisOfArtifact } from "../../protocol/work.ts";
import type { Mailboxes } from "../mailboxes.ts";
import type { History } from "../projections/history.ts";
import type { Lanes } from "../projections/lanes.ts";

export interface Use {
  readonly repository: string;
  /** `live` and `back`: in an environment. `waits`: before or in one. `busy`: its build has not ended. `had`: it has. */
  readonly how: "live" | "back" | "waits" | "busy" | "had";
  readonly number: number;
  readonly environment: string | null;
}

/** By the id of an AMI. */
export type Uses = ReadonlyMap<string, readonly Use[]>;

/**
 * How many builds back it is looked whether one that has not ended has taken over an older one's image. What waits for an
 * environment is known by that, however old it is.
 */
const BUILDS_LOOKED_AT = 500;
const PAGE = 50;

export interface UsesParts {
  readonly actors: Pick<Mailboxes, "build" | "environment">;
  readonly history: Pick<History, "page" | "repositories">;
  readonly lanes: Pick<Lanes, "list">;
}

/** Lanes are read anew, whatever this process remembers of them. */
export async function usesOf({ actors, history, lanes }: UsesParts, repositories: ReadonlySet<string>): Promise<Uses> {
  const uses = new Map<string, Use[]>();
  const note = (artifact: Artifact | null, use: Use): void => {
    for (const id of Object.values(amisOfArtifact(artifact))) {
      const known = uses.get(id);
      if (known === undefined) uses.set(id, [use]);
      else known.push(use);
    }
  };

  async function ofLane({ repository, environment }: EnvironmentId): Promise<void> {
    const { state } = await actors.environment.load({ repository, environment });
    const { live, before, inFlight, waiting } = state;
    if (live !== null) note(live.artifact, { repository, how: "live", number: live.number, environment });
    for (const one of before) note(one.artifact, { repository, how: "back", number: one.number, environment });
    for (const { number } of [...(inFlight === null ? [] : [inFlight]), ...waiting]) {
      const build = (await actors.build.load({ repository, number })).state;
      note(build.artifact, { repository, how: "waits", number, environment });
    }
  }

  async function ofBuilds(repository: string, newest: number): Promise<void> {
    const last = Math.max(0, newest - BUILDS_LOOKED_AT);
    for (let before = newest + 1; before > last + 1; before -= PAGE) {
      for (const { number, status, artifact } of await history.page(repository, before, PAGE)) {
        const isBusy = status !== "finished";
        // A summary may be a moment behind.
        const made = isBusy ? (await actors.build.load({ repository, number })).state.artifact : artifact;
        note(made, { repository, how: isBusy ? "busy" : "had", number, environment: null });
      }
    }
  }

  for (const environment of lanes.list()) await ofLane(environment);
  for (const { repository, builds } of history.repositories()) {
    if (repositories.has(repository)) await ofBuilds(repository, builds);
  }
  return uses;
}
