import assert from "node:assert/strict";
import { test } from "node:test";
import type { Build } from "../../../coordinator/actors/build/state.ts";
import { type BuildCommand, buildActor } from "../../../coordinator/actors/build.ts";
import type { Lane } from "../../../coordinator/actors/environment/lane.ts";
import { environmentActor, type LaneCommand } from "../../../coordinator/actors/environment.ts";
import { type Effect, reactToBuild, reactToLane, reactToPush, reactToStage } from "../../../coordinator/reactions.ts";
import type { BuildEvent, LaneEvent, StageEvent, StageResult } from "../../../protocol/events.ts";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import { applyToStage, bareResult, NO_STAGE, type Stage } from "../../../protocol/stage.ts";
import { NO_HISTORY, type Work } from "../../../protocol/work.ts";
import {
  ARTIFACT,
  commitOf,
  Lived,
  laneEntry,
  planWith,
  push,
  REPOSITORY,
  source,
  stagePlan,
  standing,
  target,
  workFor,
} from "./samples.ts";

const ID = { repository: REPOSITORY, number: 4 };
const PROD = { repository: REPOSITORY, environment: "prod" };
const SETTINGS = { pool: "arm" };
const HEAD = { id: "e", atMs: 5 };
const BUILD = stagePlan("build");
const PLAN = planWith(BUILD, target("prod", ["build"]), target("late", ["prod"]));
const SUMMARY: Effect = { kind: "summarize-build", id: ID };

/** An effect in few words, for tables. */
function brief(effect: Effect): string {
  switch (effect.kind) {
    case "tell-build":
    case "tell-lane":
      return `${effect.kind} ${effect.command.kind}`;
    case "tell-stage":
      return `tell-stage ${effect.id.stage} ${effect.command.kind}`;
    case "queue-stage":
      return `queue-stage ${effect.id.stage}`;
    case "summarize-stage":
    case "summarize-build":
    case "signal-cancel":
    case "dispatch":
    case "set-timer":
    case "supersede-older":
    case "remove-logs":
    case "trigger":
      return effect.kind;
  }
}

const all = (effects: readonly Effect[]): readonly string[] => effects.map(brief);

function buildAfter(...commands: readonly BuildCommand[]): Lived<Build, BuildEvent, BuildCommand> {
  const build = new Lived(buildActor);
  build.tell({ kind: "create", push: push(), by: "queue" });
  for (const command of commands) build.tell(command);
  return build;
}

/** What follows from the newest event of a build. */
function ofBuild(...commands: readonly BuildCommand[]): readonly string[] {
  const build = buildAfter(...commands);
  const event = build.log.at(-1);
  assert.ok(event !== undefined);
  return all(reactToBuild(ID, build.state, event, SETTINGS));
}

const PLANNED: BuildCommand = { kind: "plan", round: 1, source: source(4), plan: PLAN };
const SUPERSEDE: BuildCommand = { kind: "supersede", number: 4, by: standing(9, [1, 4]) };
const CANCEL: BuildCommand = { kind: "cancel", by: "ada", why: "no" };
const RETRY: BuildCommand = { kind: "retry", key: "k", stage: null, by: "ada", why: "" };
const settle = (stage: string, outcome: "passed" | "failed" | "skipped" = "passed"): BuildCommand => ({
  kind: "settle",
  stage,
  round: 1,
  outcome,
  message: "",
  outputs: {},
  artifact: null,
});

test("a push creates its build", () => {
  const event = { type: "accepted", ...HEAD, number: 4, key: "k", push: push(), by: "queue", since: 0 } as const;
  assert.deepEqual(reactToPush(REPOSITORY, event), [
    { kind: "tell-build", id: ID, command: { kind: "create", push: push(), by: "queue", acceptedAtMs: 5, after: [] } },
  ]);
});

test("a build begins with its plan", () => {
  const build = buildAfter();
  const event = build.log[0];
  assert.ok(event?.type === "created");
  assert.deepEqual(reactToBuild(ID, build.state, event, SETTINGS), [
    {
      kind: "tell-stage",
      id: { ...ID, stage: PLAN_STAGE, round: 1 },
      command: { kind: "queue", work: { kind: "plan", push: event.push }, pool: "arm" },
    },
    SUMMARY,
  ]);
});

const OF_BUILDS: readonly (readonly [string, readonly BuildCommand[], readonly string[]])[] = [
  ["a plan starts what needs nothing", [PLANNED], ["queue-stage build", "summarize-build"]],
  ["an environment enters its lane", [PLANNED, settle("build")], ["tell-lane enter", "summarize-build"]],
  [
    "what can no longer start is skipped",
    [PLANNED, settle("build", "failed")],
    ["tell-stage prod close", "summarize-build"],
  ],
  [
    "skipping goes on link after link",
    [PLANNED, settle("build", "failed"), settle("prod", "skipped")],
    ["tell-stage late close", "summarize-build"],
  ],
  [
    "a build with nothing left is concluded",
    [PLANNED, settle("build"), settle("prod"), settle("late")],
    ["tell-build conclude", "summarize-build"],
  ],
  [
    "the end of a build is only told",
    [{ kind: "abandon", round: 1, outcome: "failed", message: "" }],
    ["summarize-build"],
  ],
  [
    "cancelling before there is a plan cancels the planning",
    [CANCEL],
    [`tell-stage ${PLAN_STAGE} cancel`, "summarize-build"],
  ],
  [
    "cancelling takes every stage that has not ended out of its lane, and cancels it",
    [PLANNED, settle("build"), CANCEL],
    ["tell-lane withdraw", "tell-stage prod cancel", "tell-lane withdraw", "tell-stage late cancel", "summarize-build"],
  ],
  [
    "what is tried again is queued again",
    [PLANNED, settle("build", "failed"), RETRY],
    ["queue-stage build", "summarize-build"],
  ],
  [
    "a plan that could not be made is made again",
    [{ kind: "abandon", round: 1, outcome: "failed", message: "" }, RETRY],
    [`tell-stage ${PLAN_STAGE} queue`, "summarize-build"],
  ],
  [
    "a newer push that supersedes cancels the planning",
    [SUPERSEDE],
    [`tell-stage ${PLAN_STAGE} cancel`, "summarize-build"],
  ],
  ["or what is being built, and no environment", [PLANNED, SUPERSEDE], ["tell-stage build cancel", "summarize-build"]],
  ["a plan that comes after it starts nothing", [SUPERSEDE, PLANNED], ["tell-stage build cancel", "summarize-build"]],
  [
    "a plan that comes after the cancelling starts nothing",
    [CANCEL, PLANNED],
    [
      "tell-stage build cancel",
      "tell-lane withdraw",
      "tell-stage prod cancel",
      "tell-lane withdraw",
      "tell-stage late cancel",
      "summarize-build",
    ],
  ],
  [
    "a request for a further round enters the lane beside the first",
    [
      PLANNED,
      settle("build"),
      { kind: "request", key: "k", environment: "prod", params: {}, by: "ada", byScript: false },
    ],
    ["tell-lane enter", "tell-lane enter", "summarize-build"],
  ],
];

for (const [title, commands, effects] of OF_BUILDS) {
  test(title, () => assert.deepEqual(ofBuild(...commands), effects));
}

test("a rollback enters its lane as one, with who and why", () => {
  const build = buildAfter(PLANNED, settle("build"), settle("prod"));
  const wish = { key: "k", environment: "prod", params: {}, by: "bob", why: "it is slow", rollback: true } as const;
  build.tell({ kind: "promote", ...wish });
  const event = build.log.at(-1);
  assert.ok(event?.type === "requested");
  const entered = reactToBuild(ID, build.state, event, SETTINGS).flatMap((one) =>
    one.kind === "tell-lane" && one.command.kind === "enter" ? [one.command.entry] : [],
  );
  const { round, asked, rollback, askedBy, askedWhy } = entered.find(({ stage }) => stage === "prod") ?? laneEntry(1);
  assert.deepEqual([round, asked, rollback, askedBy, askedWhy], [2, true, true, "bob", "it is slow"]);
});

test("a cancellation that is told again does not reach what was asked for after it", () => {
  const build = buildAfter(PLANNED, settle("build"), settle("prod"), CANCEL, settle("late", "skipped"), {
    kind: "conclude",
  });
  const cancelRequested = build.log.find(({ type }) => type === "cancelRequested");
  assert.ok(cancelRequested !== undefined);
  build.tell({ kind: "promote", key: "k", environment: "prod", params: {}, by: "bob", why: "", rollback: true });
  assert.deepEqual(all(reactToBuild(ID, build.state, cancelRequested, SETTINGS)), ["summarize-build"]);
});

test("what needs approval says so when it enters, and who is behind it", () => {
  const approval = { from: ["@acme/release"], self: false, expiresMs: 1_000 };
  const build = buildAfter({
    kind: "plan",
    round: 1,
    source: { ...source(4), author: "Grace" },
    plan: planWith(target("prod", [], { approval })),
  });
  build.tell({ kind: "request", key: "k", environment: "prod", params: {}, by: "bob", byScript: false });
  const entered = reactToBuild(ID, build.state, { type: "settled", ...HEAD, ...settledEvent() }, SETTINGS).flatMap(
    (one) => (one.kind === "tell-lane" && one.command.kind === "enter" ? [one.command.entry] : []),
  );
  assert.deepEqual(
    entered.map((entry) => [entry.round, entry.approval, entry.causedBy]),
    [
      [1, approval, ["Ada", "ada", "Grace", "queue"]],
      [2, approval, ["Ada", "ada", "Grace", "queue", "bob"]],
    ],
  );
});

test("a planned push has older ones of its branch give way, where its file says so", () => {
  const cancelling: BuildCommand = { ...PLANNED, plan: { ...PLAN, cancelSuperseded: true } };
  const build = buildAfter(cancelling);
  const planned = build.log[1];
  assert.ok(planned?.type === "planned");
  const [first] = reactToBuild(ID, build.state, planned, SETTINGS);
  assert.deepEqual(first, { kind: "supersede-older", id: ID, by: standing(4) });
  for (const changes of [{ ref: "refs/tags/v1" }, { commit: null }]) {
    const other = new Lived(buildActor);
    other.tell({ kind: "create", push: push(changes), by: "ada" });
    other.tell(cancelling);
    assert.ok(!all(reactToBuild(ID, other.state, planned, SETTINGS)).includes("supersede-older"));
  }
});

test("what enters a lane is the build's commit, of this round", () => {
  const build = buildAfter(PLANNED, settle("build"));
  const [enter] = reactToBuild(ID, build.state, { type: "settled", ...HEAD, ...settledEvent() }, SETTINGS);
  assert.deepEqual(enter, {
    kind: "tell-lane",
    id: PROD,
    command: { kind: "enter", entry: { ...laneEntry(4), enteredAtMs: 0 } },
  });
});

function settledEvent() {
  return { stage: "build", round: 1, outcome: "passed", message: "", outputs: {}, artifact: null } as const;
}

test("an event of the past does what is due now", () => {
  const build = buildAfter(PLANNED, settle("build"), settle("prod"));
  const planned = build.log[1];
  assert.ok(planned?.type === "planned");
  assert.deepEqual(all(reactToBuild(ID, build.state, planned, SETTINGS)), ["tell-lane enter", "summarize-build"]);
});

// Stages

const STAGE_ID = { ...ID, stage: "build", round: 1 };
const WORK = workFor(BUILD);
const PROD_WORK = workFor(target("prod", ["build"]), { artifact: ARTIFACT });

function stageAfter(work: Work, ...events: readonly StageEvent[]): Stage {
  const queued: StageEvent = { type: "queued", ...HEAD, pool: "arm", attempt: 1, purpose: "run", work };
  return [queued, ...events].reduce((stage, event, at) => applyToStage(stage, event, at + 1), NO_STAGE);
}

const CLAIMED: StageEvent = { type: "claimed", ...HEAD, executor: "one", attempt: 1, purpose: "run", tookOver: null };
const STARTED: StageEvent = { type: "started", ...HEAD, weak: [] };
const finished = (changes: Partial<StageResult> = {}): StageEvent => ({
  type: "finished",
  ...HEAD,
  result: { ...bareResult("passed", ""), ...changes },
});

test("a queued stage is dispatched to its pool, with the event that the claim will name", () => {
  const queued: StageEvent = { type: "queued", ...HEAD, pool: "arm", attempt: 1, purpose: "run", work: WORK };
  assert.deepEqual(reactToStage(STAGE_ID, stageAfter(WORK), queued, 1), [
    { kind: "dispatch", pool: "arm", command: { ...STAGE_ID, queuedSeq: 1, attempt: 1, purpose: "run", work: WORK } },
    { kind: "summarize-stage", id: STAGE_ID },
  ]);
});

test("a stage with timeouts is looked at again when the one of its state is over", () => {
  const timeouts = { queueMs: 60, startMs: 30, silenceMs: null };
  const work = workFor(stagePlan("build", { timeouts }));
  const queued: StageEvent = { type: "queued", ...HEAD, pool: "arm", attempt: 1, purpose: "run", work };
  const timersOf = (effects: readonly Effect[]): readonly unknown[] =>
    effects.filter(({ kind }) => kind === "set-timer");
  assert.deepEqual(timersOf(reactToStage(STAGE_ID, stageAfter(work), queued, 1)), [
    { kind: "set-timer", id: STAGE_ID, dueAtMs: HEAD.atMs + 60, stageSeq: 1 },
  ]);
  assert.deepEqual(timersOf(reactToStage(STAGE_ID, stageAfter(work, CLAIMED), CLAIMED, 2)), [
    { kind: "set-timer", id: STAGE_ID, dueAtMs: HEAD.atMs + 30, stageSeq: 2 },
  ]);
  assert.deepEqual(timersOf(reactToStage(STAGE_ID, stageAfter(work, CLAIMED, STARTED), CLAIMED, 2)), [], "it began");
});

test("an executor that was too slow to begin is told at once that the stage is not its any more", () => {
  const slow: StageEvent = { ...errored, code: "TOR_START_TIMEOUT" };
  assert.deepEqual(all(reactToStage(STAGE_ID, stageAfter(WORK, CLAIMED, slow), slow, 3)), [
    "tell-stage build reconsider",
    "signal-cancel",
    "summarize-stage",
  ]);
});

test("a stage that is further than queued is not dispatched again", () => {
  const queued: StageEvent = { type: "queued", ...HEAD, pool: "arm", attempt: 1, purpose: "run", work: WORK };
  for (const stage of [stageAfter(WORK, CLAIMED), stageAfter(WORK, CLAIMED, STARTED), stageAfter(WORK, finished())]) {
    assert.deepEqual(all(reactToStage(STAGE_ID, stage, queued, 1)), ["summarize-stage"]);
  }
});

const errored: StageEvent = {
  type: "attemptErrored",
  ...HEAD,
  code: "TOR_DISK_FULL",
  message: "",
  acted: false,
  retryable: true,
};
const cancelled: StageEvent = { type: "cancelRequested", ...HEAD, by: "ada", why: "" };

const OF_STAGES: readonly (readonly [string, StageEvent, readonly string[]])[] = [
  ["a claim is only told", CLAIMED, ["summarize-stage"]],
  ["a start is only told", STARTED, ["summarize-stage"]],
  ["a publish is only told", { type: "publishing", ...HEAD }, ["summarize-stage"]],
  ["an errored attempt is thought over", errored, ["tell-stage build reconsider", "summarize-stage"]],
  ["a wish to cancel is signalled to the executor", cancelled, ["signal-cancel", "summarize-stage"]],
  ["an end is told to the build", finished(), ["tell-build settle", "summarize-stage"]],
];

for (const [title, event, effects] of OF_STAGES) {
  test(title, () => assert.deepEqual(all(reactToStage(STAGE_ID, stageAfter(WORK, CLAIMED), event, 2)), effects));
}

test("an environment's stage leaves its lane before the build hears of it", () => {
  const id = { ...ID, stage: "prod", round: 1 };
  const effects = reactToStage(id, stageAfter(PROD_WORK, CLAIMED), finished({ outcome: "failed" }), 3);
  assert.deepEqual(all(effects), ["tell-lane leave", "tell-build settle", "summarize-stage"]);
  const [leave] = effects;
  const command: LaneCommand = {
    kind: "leave",
    number: 4,
    stage: "prod",
    round: 1,
    outcome: "failed",
    artifact: ARTIFACT,
  };
  assert.deepEqual(leave, { kind: "tell-lane", id: PROD, command });
});

test("what a script asked for comes before the end that it is part of", () => {
  const requests = [
    { kind: "environment", environment: "prod", params: { A: "1" } },
    { kind: "repository", repository: "acme/web", ref: "main", params: {} },
  ] as const;
  const effects = reactToStage(STAGE_ID, stageAfter(WORK, CLAIMED), finished({ requests: [...requests] }), 3);
  assert.deepEqual(all(effects), ["tell-build request", "trigger", "tell-build settle", "summarize-stage"]);
  const [request, trigger] = effects;
  assert.ok(request?.kind === "tell-build" && request.command.kind === "request");
  assert.equal(request.command.key, "build/1/0");
  assert.ok(trigger?.kind === "trigger");
  assert.equal(trigger.key, "acme/api#4/build/1/1", "one of its own among all repositories");
});

test("a stage that was closed without ever being queued is told to the build", () => {
  const closed = applyToStage(NO_STAGE, finished({ outcome: "skipped" }), 1);
  assert.deepEqual(all(reactToStage({ ...ID, stage: "prod", round: 1 }, closed, finished({ outcome: "skipped" }), 1)), [
    "tell-build settle",
    "summarize-stage",
  ]);
});

const PROBLEM = {
  file: ".toroid.yml",
  line: 3,
  column: 5,
  message: "what is this",
  hint: null,
  path: "scrpt",
  frame: "",
};

const PLANS: readonly (readonly [string, Partial<StageResult>, object])[] = [
  [
    "a plan is handed to the build",
    { planned: { kind: "plan", source: source(), plan: PLAN } },
    { kind: "plan", round: 1, source: source(), plan: PLAN, history: NO_HISTORY },
  ],
  [
    "a push that is to be skipped ends the build so",
    { planned: { kind: "skip", source: null, reason: "[skip ci]" } },
    { kind: "abandon", round: 1, outcome: "skipped", message: "[skip ci]" },
  ],
  [
    "a file with a problem fails the build, and says where",
    { outcome: "failed", planned: { kind: "invalid", source: null, problems: [PROBLEM], text: "" } },
    { kind: "abandon", round: 1, outcome: "failed", message: "1 problem in the file: .toroid.yml:3:5 what is this" },
  ],
  [
    "a file with more problems shows the first",
    { outcome: "failed", planned: { kind: "invalid", source: null, problems: [PROBLEM, PROBLEM], text: "" } },
    { kind: "abandon", round: 1, outcome: "failed", message: "2 problems in the file: .toroid.yml:3:5 what is this" },
  ],
  [
    "a plan that could not be made fails the build",
    { outcome: "errored", message: "no such commit" },
    { kind: "abandon", round: 1, outcome: "failed", message: "no such commit" },
  ],
  [
    "cancelled planning cancels the build",
    { outcome: "cancelled", message: "no" },
    { kind: "abandon", round: 1, outcome: "cancelled", message: "no" },
  ],
];

for (const [title, result, command] of PLANS) {
  test(title, () => {
    const id = { ...ID, stage: PLAN_STAGE, round: 1 };
    const [tell] = reactToStage(id, stageAfter({ kind: "plan", push: push() }, CLAIMED), finished(result), 3);
    assert.deepEqual(tell, { kind: "tell-build", id: ID, command });
  });
}

// Lanes

function laneAfter(...commands: readonly LaneCommand[]): Lived<Lane, LaneEvent, LaneCommand> {
  const lane = new Lived(environmentActor);
  for (const command of commands) lane.tell(command);
  return lane;
}

function ofLane(...commands: readonly LaneCommand[]): readonly Effect[] {
  const lane = laneAfter(...commands);
  const event = lane.log.at(-1);
  assert.ok(event !== undefined);
  return reactToLane(PROD, lane.state, event, lane.seq);
}

const enter = (number: number): LaneCommand => ({ kind: "enter", entry: laneEntry(number) });
const needing = (number: number, policy: "newest" | "every" = "newest"): LaneCommand => ({
  kind: "enter",
  entry: laneEntry(number, { policy, approval: { from: [], self: false, expiresMs: 1_000 } }),
});
const approve = (number: number): LaneCommand => ({
  kind: "approve",
  number,
  round: null,
  by: "bob",
  team: null,
  why: "",
});
const rollback = (number: number): LaneCommand => ({
  kind: "enter",
  entry: laneEntry(number, { round: 2, rollback: true, askedBy: "ada" }),
});
const leave: LaneCommand = { kind: "leave", number: 4, stage: "prod", round: 1, outcome: "passed", artifact: null };
const pause: LaneCommand = { kind: "pause", by: "ada", why: "freeze", untilMs: null };

const OF_LANES: readonly (readonly [string, readonly LaneCommand[], readonly string[]])[] = [
  ["whoever enters may go at once", [enter(4)], ["tell-lane admit"]],
  ["a newer entry takes the older ones out", [enter(3), enter(4)], ["tell-lane withdraw", "tell-lane admit"]],
  [
    "an approval lets the one that has it go, before what it makes pointless",
    [needing(3), needing(4), approve(4)],
    ["tell-lane withdraw", "tell-lane admit"],
  ],
  [
    "whoever is let go makes the older ones that wait for approval pointless",
    [needing(3, "every"), enter(4), { kind: "admit" }],
    ["queue-stage prod", "tell-lane withdraw"],
  ],
  ["whoever is let go is queued", [enter(4), { kind: "admit" }], ["queue-stage prod"]],
  [
    "a release lets go on what a rollback held",
    [enter(4), { kind: "admit" }, leave, rollback(3), { kind: "release", by: "ada", why: "" }],
    ["tell-lane admit"],
  ],
  ["whoever leaves makes room", [enter(4), { kind: "admit" }, leave], ["tell-lane admit"]],
  [
    "whoever is taken out is closed, and the next may go",
    [enter(4), { kind: "withdraw", number: 4, stage: "prod", round: 1, outcome: "cancelled", why: "no" }],
    ["tell-stage prod close", "tell-lane admit"],
  ],
  ["a pause moves nothing", [pause], []],
  ["the end of a pause lets the next one go", [pause, { kind: "resume", by: "ada", why: "" }], ["tell-lane admit"]],
];

for (const [title, commands, effects] of OF_LANES) {
  test(title, () => assert.deepEqual(all(ofLane(...commands)), effects));
}

test("what is let go carries the fence and what is live", () => {
  const [queue] = ofLane(enter(4), { kind: "admit" }, leave, enter(5), { kind: "admit" });
  assert.deepEqual(queue, {
    kind: "queue-stage",
    id: { repository: REPOSITORY, number: 5, stage: "prod", round: 1 },
    lane: { environment: "prod", fence: 1_001, previousCommit: commitOf(4), previousArtifact: null },
  });
});
