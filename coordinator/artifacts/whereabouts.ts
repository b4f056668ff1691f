/** What Toroid knows of what a tag speaks of: is that bake under way, has its build ended, and what did it record? */
import { bakeName } from "../../protocol/ami.ts";
import type { StageResult } from "../../protocol/events.ts";
import { isRepositoryName } from "../../protocol/ids.ts";
import { holds } from "../../protocol/stage.ts";
import type { BuildSummary } from "../../protocol/summary.ts";
import { type Artifact, amisOfArtifact } from "../../protocol/work.ts";
import { roundsOf } from "../actors/build/rounds.ts";
import type { Mailboxes } from "../mailboxes.ts";
import type { History } from "../projections/history.ts";
import type { Origin } from "./groups.ts";

export interface Whereabouts {
  /** `unknown`: nothing here knows of that build, so it may be somebody else's. */
  readonly kind: "baking" | "unknown" | "ended";
  /** Its build may still try again, and adopt what is there. */
  readonly buildEnded: boolean;
  /** When something happened to it last; null: not known. */
  readonly endedAtMs: number | null;
  /** Ids of the AMIs that this build says that it made; null: nobody can tell any more. */
  readonly recorded: ReadonlySet<string> | null;
  readonly summary: BuildSummary | null;
}

const UNKNOWN: Whereabouts = { kind: "unknown", buildEnded: true, endedAtMs: null, recorded: null, summary: null };

export interface Knowing {
  readonly actors: Pick<Mailboxes, "build" | "stage">;
  readonly history: Pick<History, "build" | "repositories">;
}

export async function whereabouts({ actors, history }: Knowing, origin: Origin): Promise<Whereabouts> {
  const { repository, number, commit, bake } = origin;
  if (!isRepositoryName(repository) || !Number.isSafeInteger(number) || number < 1) return UNKNOWN;
  const id = { repository, number };
  const [{ state: build }, summary] = await Promise.all([actors.build.load(id), history.build(id)]);
  if (build.status === "absent" || build.archivedAtMs !== null) {
    const newest = history.repositories().find((one) => one.repository === repository)?.builds ?? 0;
    if (summary === null) return number > newest ? UNKNOWN : { ...UNKNOWN, kind: "ended" };
    // After a loss of the store a number may name another build.
    if (commit !== "" && summary.commit !== commit) return UNKNOWN;
    return {
      kind: "ended",
      buildEnded: true,
      endedAtMs: summary.finishedAtMs,
      recorded: idsOf([summary.artifact]),
      summary,
    };
  }
  if (commit !== "" && build.source !== null && build.source.commit !== commit) return UNKNOWN;
  const rounds = roundsOf(build).filter(({ stage }) => stage.environment === null);
  const stages = await Promise.all(
    rounds.map(async ({ stage, round }) => {
      const { state } = await actors.stage.load({ ...id, stage: stage.name, round });
      return { name: stage.name, round, state };
    }),
  );
  const isBaking = stages.some(
    ({ name, round, state }) =>
      holds(state, state.token) && bakeName({ ...id, stage: name, round, token: state.token }) === bake,
  );
  const times = stages.flatMap(({ state }) => state.finishedAtMs ?? state.lastError?.atMs ?? state.claimedAtMs ?? []);
  const results = stages.flatMap(({ state }): readonly StageResult[] => (state.result === null ? [] : [state.result]));
  return {
    kind: isBaking ? "baking" : "ended",
    buildEnded: build.status === "finished",
    endedAtMs: times.length === 0 ? null : Math.max(...times),
    recorded: idsOf([build.artifact, ...results.map(({ artifact }) => artifact)]),
    summary,
  };
}

function idsOf(artifacts: readonly (Artifact | null)[]): ReadonlySet<string> {
  return new Set(artifacts.flatMap((one) => Object.values(amisOfArtifact(one))));
}
