import type { BuildSummary, EnvironmentSummary, StageSummary } from "../../protocol/summary.ts";

/** A stage that passed; `changes` make another of it. */
export function stage(name: string, changes: Partial<StageSummary> = {}): StageSummary {
  return {
    name,
    round: 1,
    environment: null,
    needs: [],
    status: "finished",
    outcome: "passed",
    message: "",
    waiting: "",
    pool: "default",
    labels: [],
    executor: "host-1",
    attempt: 1,
    queuedAtMs: 1_760_000_000_000,
    claimedAtMs: 1_760_000_000_010,
    startedAtMs: 1_760_000_000_020,
    finishedAtMs: 1_760_000_065_020,
    exitCode: 0,
    phase: "script",
    logBytes: 42,
    weak: [],
    image: null,
    outputs: {},
    stepsMs: {},
    seq: 5,
    ...changes,
  };
}

/** A finished build of an application. */
export function build(number: number, changes: Partial<BuildSummary> = {}): BuildSummary {
  return {
    repository: "acme/api",
    number,
    status: "finished",
    outcome: "passed",
    message: "",
    waiting: "",
    kind: "application",
    ref: "refs/heads/main",
    branch: "main",
    tag: null,
    commit: "199eddf46df50de8d02e99bf1c5fdb4101338224",
    commitMessage: "Teach it to count\n\nAnd more.",
    commitUrl: null,
    compareUrl: null,
    author: "Ada",
    by: "push",
    createdAtMs: 1_760_000_000_000,
    finishedAtMs: 1_760_000_066_000,
    archivedAtMs: null,
    artifact: null,
    problems: [],
    template: null,
    stages: [stage("_plan"), stage("build"), stage("prod", { environment: "prod", needs: ["build"] })],
    seq: 9,
    ...changes,
  };
}

export function environment(changes: Partial<EnvironmentSummary> = {}): EnvironmentSummary {
  return {
    repository: "acme/api",
    environment: "prod",
    paused: null,
    live: {
      number: 41,
      commit: "a10867b14bb761a232cd80139fbd4c0d33264240",
      atMs: 1_760_000_000_000,
      artifact: null,
      by: "Ada",
    },
    held: null,
    before: [],
    inFlight: null,
    waiting: [],
    why: "",
    ...changes,
  };
}
