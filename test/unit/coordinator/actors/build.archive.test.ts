import assert from "node:assert/strict";
import { test } from "node:test";
import type { Build } from "../../../../coordinator/actors/build/state.ts";
import { type BuildCommand, buildActor } from "../../../../coordinator/actors/build.ts";
import { withBuild } from "../../../../coordinator/projections/summaries.ts";
import type { BuildEvent } from "../../../../protocol/events.ts";
import { Lived, planWith, push, source, stagePlan, standing, target } from "../samples.ts";

const PLAN = planWith(stagePlan("build"), target("prod", ["build"], { automatic: false }));
const ID = { repository: "acme/api", number: 1 };

function finished(): Lived<Build, BuildEvent, BuildCommand> {
  const build = new Lived(buildActor);
  build.tell({ kind: "create", push: push(), by: "queue" });
  build.tell({ kind: "plan", round: 1, source: source(), plan: PLAN });
  build.tell({
    kind: "settle",
    stage: "build",
    round: 1,
    outcome: "passed",
    message: "",
    outputs: {},
    artifact: null,
  });
  build.nowMs = 5_000;
  assert.equal(build.tell({ kind: "conclude" }), "finished");
  build.nowMs = 9_000;
  return build;
}

const ASK = { key: "k", environment: "prod", params: {}, by: "ada" } as const;
const LATE: readonly BuildCommand[] = [
  { kind: "create", push: push(), by: "queue" },
  { kind: "plan", round: 1, source: source(), plan: PLAN },
  { kind: "settle", stage: "prod", round: 1, outcome: "passed", message: "", outputs: {}, artifact: null },
  { kind: "cancel", by: "ada", why: "no" },
  { kind: "supersede", number: 1, by: standing(2, [1]) },
  { kind: "abandon", round: 1, outcome: "failed", message: "" },
  { kind: "conclude" },
  { kind: "archive", endedByMs: 10_000 },
];
const ASKED: readonly BuildCommand[] = [
  { kind: "request", ...ASK, byScript: false },
  { kind: "promote", ...ASK, why: "", rollback: false },
  { kind: "promote", ...ASK, why: "", rollback: true },
  { kind: "retry", key: "r", stage: null, by: "ada", why: "" },
];

test("only a build that ended, and long enough ago, is archived", () => {
  const young = new Lived(buildActor);
  assert.equal(young.tell({ kind: "archive", endedByMs: 10_000 }), "nothing");
  young.tell({ kind: "create", push: push(), by: "queue" });
  assert.equal(young.tell({ kind: "archive", endedByMs: 10_000 }), "nothing");
  const build = finished();
  assert.equal(build.tell({ kind: "archive", endedByMs: 4_999 }), "nothing");
  assert.equal(build.tell({ kind: "archive", endedByMs: 5_000 }), "archived");
});

test("one that somebody asked something of since is not", () => {
  const build = finished();
  build.tell({ kind: "promote", ...ASK, why: "", rollback: false });
  assert.equal(build.tell({ kind: "archive", endedByMs: 10_000 }), "nothing");
});

test("nothing that comes late changes a build that is archived, and who asks for something hears why it cannot be", () => {
  const build = finished();
  build.tell({ kind: "archive", endedByMs: 5_000 });
  const left = new Lived(buildActor);
  const tombstone = build.log.at(-1);
  assert.ok(tombstone !== undefined);
  left.happen(tombstone);
  for (const one of [build, left]) {
    for (const command of LATE) assert.equal(one.tell(command), "nothing", command.kind);
    for (const command of ASKED) assert.equal(one.tell(command), "TOR_ARCHIVED", command.kind);
    assert.equal(one.state.archivedAtMs, 9_000);
  }
});

test("any beginning of the log before `archived` can be read, so that it may be removed one by one", () => {
  const build = finished();
  build.tell({ kind: "archive", endedByMs: 5_000 });
  const tombstone = build.log.at(-1);
  assert.ok(tombstone !== undefined);
  for (let left = build.log.length - 1; left >= 0; left -= 1) {
    let state = buildActor.initial;
    for (const event of [...build.log.slice(0, left), tombstone]) state = buildActor.apply(state, event, 1);
    assert.deepEqual([state.status, state.archivedAtMs], ["archived", 9_000]);
  }
});

test("a summary stays as it was, and says since when it is all there is", () => {
  const build = finished();
  const before = withBuild(null, ID, build.state, 4);
  assert.ok(before !== null);
  build.tell({ kind: "archive", endedByMs: 5_000 });
  const left = new Lived(buildActor);
  const tombstone = build.log.at(-1);
  assert.ok(tombstone !== undefined);
  left.happen(tombstone);
  for (const { state } of [build, left])
    assert.deepEqual(withBuild(before, ID, state, 5), { ...before, archivedAtMs: 9_000, seq: 5 });
  assert.equal(withBuild(null, ID, build.state, 5)?.status, "finished", "known from the log, if there was none");
});
