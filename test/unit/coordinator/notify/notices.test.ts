import assert from "node:assert/strict";
import { test } from "node:test";
import type { Build } from "../../../../coordinator/actors/build/state.ts";
import { buildActor } from "../../../../coordinator/actors/build.ts";
import { environmentActor } from "../../../../coordinator/actors/environment.ts";
import { draftsOf } from "../../../../coordinator/notify/audience.ts";
import { type Note, notesOfBuild, notesOfLane } from "../../../../coordinator/notify/notices.ts";
import { NOBODY, type NotifySettings } from "../../../../coordinator/notify/settings.ts";
import type { StageOutcome } from "../../../../protocol/events.ts";
import { ARTIFACT, Lived, laneEntry, planWith, push, REPOSITORY, source, stagePlan, target } from "../samples.ts";

const ID = { repository: REPOSITORY, number: 7 };
const PROD = { repository: REPOSITORY, environment: "prod" };
const SETTINGS: NotifySettings = {
  ...NOBODY,
  targets: [
    { name: "team", channel: "slack", url: "https://hooks.example/x", for: ["**"], allow: ["**"], on: "always" },
  ],
  github: { url: "https://git.example", api: "", for: ["**"], auth: { kind: "token", token: "t" } },
};

function lived(...stages: readonly ReturnType<typeof stagePlan>[]) {
  const build = new Lived(buildActor);
  build.tell({ kind: "create", push: push(), by: "queue" });
  build.tell({ kind: "plan", round: 1, source: source(), plan: planWith(...stages) });
  return build;
}

function settle(build: ReturnType<typeof lived>, stage: string, outcome: StageOutcome, round = 1, message = ""): void {
  build.tell({
    kind: "settle",
    stage,
    round,
    outcome,
    message,
    outputs: {},
    artifact: outcome === "passed" ? ARTIFACT : null,
  });
}

/** What is said of the last event: kind, state and message. */
function said(build: { readonly state: Build; readonly log: readonly unknown[] }): readonly string[] {
  const event = build.log.at(-1) as Parameters<typeof notesOfBuild>[2];
  return notesOfBuild(ID, build.state, event).map(({ notice }) =>
    `${notice.stage ?? notice.kind} ${notice.state} ${notice.message}`.trim(),
  );
}

test("a build is told when its last build stage has ended, whatever its environments do", () => {
  const build = lived(stagePlan("a"), stagePlan("b"), target("prod", ["a", "b"]));
  assert.deepEqual(said(build), ["build pending", "a pending", "b pending"]);
  settle(build, "a", "passed");
  assert.deepEqual(said(build), ["a passed"]);
  settle(build, "b", "failed", 1, "exited with 1");
  assert.deepEqual(said(build), ["b failed exited with 1", "build failed b failed: exited with 1"]);
  settle(build, "prod", "skipped");
  assert.deepEqual(said(build), [], "its lane tells of it");
  build.tell({ kind: "conclude" });
  assert.deepEqual(said(build), []);
});

test("what may fail does not count, and what was cancelled for a newer one is superseded", () => {
  const forgiving = lived(stagePlan("a"), stagePlan("b", { allowFailure: true }));
  settle(forgiving, "b", "failed");
  settle(forgiving, "a", "passed");
  assert.deepEqual(said(forgiving), ["a passed", "build passed"]);
  const cancelled = lived(stagePlan("a"));
  cancelled.tell({ kind: "cancel", by: "ada", why: "wrong branch" });
  settle(cancelled, "a", "cancelled", 1, "wrong branch");
  assert.deepEqual(said(cancelled), ["a cancelled wrong branch", "build cancelled a was cancelled: wrong branch"]);
});

test("a retry begins the build anew, with a place after the one before", () => {
  const build = lived(stagePlan("a"), stagePlan("b"));
  settle(build, "a", "passed");
  settle(build, "b", "failed");
  const ended = notesOfBuild(ID, build.state, build.log.at(-1) as never).at(-1);
  build.tell({ kind: "conclude" });
  build.tell({ kind: "retry", key: "r", stage: null, by: "ada", why: "" });
  assert.deepEqual(said(build), ["build pending", "b pending"]);
  const [again] = notesOfBuild(ID, build.state, build.log.at(-1) as never);
  assert.deepEqual(
    [ended?.order, again?.order],
    [
      [7, 1, 9],
      [7, 2, 0],
    ],
  );
});

test("a lane that stops because nobody knows is told as paused as well", () => {
  const lane = new Lived(environmentActor);
  lane.tell({ kind: "enter", entry: laneEntry(7) });
  lane.tell({ kind: "admit" });
  lane.tell({ kind: "leave", number: 7, stage: "prod", round: 1, outcome: "unknown", artifact: null });
  const notes = notesOfLane(
    PROD,
    lane.state,
    lane.log.at(-1) as never,
    lane.seq,
    lived(stagePlan("a")).state,
    "executor 1 was lost",
  );
  assert.deepEqual(
    notes.map(({ notice }) => [notice.kind, notice.state, notice.message]),
    [
      ["deployment", "unknown", "executor 1 was lost"],
      ["paused", "pending", "#7 ended in an unknown state: look at what it did, then resume"],
    ],
  );
});

test("an event that comes again makes the same deliveries, and one id says one thing", () => {
  const build = lived(stagePlan("a"), stagePlan("b"), target("prod", ["a", "b"]));
  settle(build, "a", "passed");
  settle(build, "b", "passed");
  const lane = new Lived(environmentActor);
  lane.tell({ kind: "enter", entry: laneEntry(7, { approval: { from: [], self: true, expiresMs: 60_000 } }) });
  lane.tell({ kind: "pause", by: "bob", why: "freeze", untilMs: null });
  lane.tell({ kind: "resume", by: "bob", why: "" });
  lane.tell({ kind: "withdraw", number: 7, stage: "prod", round: 1, outcome: "cancelled", why: "" });
  const all = (): readonly Note[] => [
    ...build.log.flatMap((event) => notesOfBuild(ID, build.state, event)),
    ...lane.log.flatMap((event, at) => notesOfLane(PROD, lane.state, event, at + 1, build.state, "")),
  ];
  const drafts = () => all().flatMap((note) => draftsOf(note, SETTINGS));
  const byId = new Map(drafts().map(({ id, about }) => [id, about]));
  for (const { id, about } of drafts()) assert.equal(byId.get(id), about, id);
  assert.equal(byId.size, 10);
});
