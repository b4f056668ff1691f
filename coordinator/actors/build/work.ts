/** What is said of a build to others: to executors, and to lanes. Pure. */
import type { Standing } from "../../../protocol/events.ts";
import { type Artifact, NO_HISTORY, type StageContext, shortOf, type Work } from "../../../protocol/work.ts";
import { type StageRound, wishOf } from "./rounds.ts";
import type { Build } from "./state.ts";

/** Names of who is behind a round: who pushed and wrote it, and who asked for it. */
export function causesOf(build: Build, { stage, round }: Pick<StageRound, "stage" | "round">): readonly string[] {
  const { push, source, by } = build;
  const asked = wishOf(build, { stage, round })?.by ?? "";
  const names = [...(push?.people ?? []), push?.author ?? "", source?.author ?? "", by, asked];
  return [...new Set(names)].filter((name) => name !== "");
}

/** What an executor needs to run a round. Null while the build has no plan. */
export function workOf(
  build: Build,
  { stage, round }: Pick<StageRound, "stage" | "round">,
  lane: {
    readonly fence: number;
    readonly previousCommit: string | null;
    readonly previousArtifact: Artifact | null;
  } | null,
): Work | null {
  if (build.push === null || build.source === null) return null;
  const asked = build.requested.find((one) => one.environment === stage.environment && one.round === round);
  const outputs: Record<string, Readonly<Record<string, string>>> = {};
  for (const one of build.settled) if (one.outcome === "passed") outputs[one.stage] = one.outputs;
  const context: StageContext = {
    artifact: build.artifact,
    outputs,
    params: { ...build.push.params, ...asked?.params },
    environments: build.plan?.stages.flatMap((one) => (one.environment === null ? [] : [one.environment])) ?? [],
    fence: lane?.fence ?? null,
    previousCommit: lane?.previousCommit ?? null,
    previousArtifact: lane?.previousArtifact ?? null,
  };
  return { kind: "stage", remote: build.push.remote, source: build.source, stage, context };
}

/** Where build `number` stands among the others, as far as is known; null while its commit is not. */
export function standingOf(number: number, { push, source, history, after }: Build): Standing | null {
  const commit = source?.commit ?? push?.commit ?? null;
  if (push === null || commit === null) return null;
  const origin = push.commit === null ? "wish" : history?.rewinds === true ? "rewind" : "push";
  const { ancestors, tip } = history ?? NO_HISTORY;
  const before = push.before === null ? null : shortOf(push.before);
  return { number, commit, ref: source?.ref ?? push.ref, before, origin, ancestors, tip, after: [...after] };
}
