/** Data of the right shape, for tests that care about a part of it. */
import type { Actor, EventHead } from "../../../coordinator/actors/actor.ts";
import type { LaneEntry, Standing } from "../../../protocol/events.ts";
import type { AmiPlan, Plan, StagePlan } from "../../../protocol/pipeline/plan.ts";
import { type Artifact, type CheckedSource, type Push, shortOf, type Work } from "../../../protocol/work.ts";

export const REPOSITORY = "acme/api";

/** A commit for each number, so that two are never the same. */
export function commitOf(number: number): string {
  return number.toString(16).padStart(12, "0").padEnd(40, "0");
}

export function push(changes: Partial<Push> = {}): Push {
  return {
    repository: REPOSITORY,
    repositoryId: 7,
    remote: { https: "https://git.example/acme/api.git", ssh: null },
    ref: "refs/heads/main",
    before: null,
    commit: commitOf(1),
    created: false,
    forced: false,
    defaultBranch: "main",
    message: "fix the door",
    author: "Ada",
    deliveryId: null,
    people: ["Ada", "ada"],
    params: {},
    ...changes,
  };
}

export function source(number = 1): CheckedSource {
  return {
    ref: "refs/heads/main",
    branch: "main",
    tag: null,
    before: null,
    commit: commitOf(number),
    message: "fix the door",
    author: "Ada",
    defaultBranch: "main",
  };
}

/** An AMI of which the file says nothing. */
export const PLAIN_AMI: AmiPlan = {
  template: null,
  files: [],
  regions: [],
  share: [],
  rebake: false,
  source: null,
  instanceType: null,
  provision: "difference",
};

export function stagePlan(name: string, changes: Partial<StagePlan> = {}): StagePlan {
  return {
    name,
    environment: null,
    needs: [],
    join: "all",
    automatic: true,
    allowFailure: false,
    image: { kind: "default" },
    workdir: ".",
    env: {},
    secrets: [],
    publishSecrets: [],
    phases: { install: [], script: ["true"], publish: [], after: [] },
    entrypoint: null,
    publishRefs: null,
    artifactFiles: [],
    ami: null,
    limits: { memoryBytes: null, cpuMilli: null, pids: null, diskBytes: null, logBytes: 1024 },
    network: "none",
    hosts: [],
    timeoutMs: 60_000,
    timeouts: { queueMs: null, startMs: null, silenceMs: null },
    idempotent: true,
    retry: { attempts: 3, backoffMs: 0 },
    check: [],
    queue: "newest",
    approval: null,
    runsOn: { pool: null, labels: [] },
    priority: "normal",
    ...changes,
  };
}

/** An environment's stage: named like it, not idempotent. */
export function target(name: string, needs: readonly string[], changes: Partial<StagePlan> = {}): StagePlan {
  return stagePlan(name, { environment: name, needs, idempotent: false, ...changes });
}

export function planWith(...stages: readonly StagePlan[]): Plan {
  const kind = stages.some((one) => one.environment !== null) ? "application" : "library";
  return { kind, cancelSuperseded: false, stages, notify: [] };
}

export function workFor(stage: StagePlan, changes: Partial<Extract<Work, { kind: "stage" }>["context"]> = {}): Work {
  return {
    kind: "stage",
    remote: push().remote,
    source: source(),
    stage,
    context: {
      artifact: null,
      outputs: {},
      params: {},
      environments: [],
      fence: null,
      previousCommit: null,
      previousArtifact: null,
      ...changes,
    },
  };
}

export const ARTIFACT: Artifact = { kind: "files", digest: `sha256:${"ab".repeat(32)}`, bytes: 10, files: 1 };

/** Where build `number` stands, having been pushed to main on top of the builds `on`. */
export function standing(number: number, on: readonly number[] = [], changes: Partial<Standing> = {}): Standing {
  return {
    number,
    commit: commitOf(number),
    ref: "refs/heads/main",
    before: null,
    origin: "push",
    ancestors: on.map((one) => shortOf(commitOf(one))),
    tip: null,
    after: [],
    ...changes,
  };
}

export function laneEntry(number: number, changes: Partial<LaneEntry> = {}): LaneEntry {
  return {
    ...standing(number),
    stage: "prod",
    round: 1,
    policy: "newest",
    asked: (changes.round ?? 1) > 1,
    rollback: false,
    askedBy: null,
    askedWhy: "",
    enteredAtMs: 0,
    approval: null,
    approved: null,
    causedBy: ["Ada", "ada", "queue"],
    ...changes,
  };
}

/** An actor with a log of its own, decided and applied as a mailbox does, without one. */
export class Lived<State, Event extends EventHead, Command> {
  readonly log: Event[] = [];
  readonly #actor: Actor<never, State, Event, Command>;
  #state: State;
  #seq = 0;
  nowMs = 1_000;

  constructor(actor: Actor<never, State, Event, Command>) {
    this.#actor = actor;
    this.#state = actor.initial;
  }

  get state(): State {
    return this.#state;
  }

  /** Sequence of the newest event. */
  get seq(): number {
    return this.#seq;
  }

  /** What came of a command: the type of the event, `nothing`, or the refusal's code. */
  tell(command: Command): string {
    const decision = this.#actor.decide(this.#state, command, { id: `e${this.#seq + 1}`, atMs: this.nowMs });
    if (decision.kind === "refuse") return decision.code;
    if (decision.kind === "nothing") return "nothing";
    this.happen(decision.event);
    return typeOf(decision.event);
  }

  /** Appends what somebody else decided: an executor, say. */
  happen(event: Event): void {
    this.#seq += 1;
    this.#state = this.#actor.apply(this.#state, event, this.#seq);
    this.log.push(event);
  }
}

function typeOf(event: object): string {
  return "type" in event ? String(event.type) : "?";
}
