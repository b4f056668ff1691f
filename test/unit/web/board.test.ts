import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Me } from "../../../protocol/access.ts";
import { boardOf, changesUpTo, concernsOf, failedStage, failureIn, wordOf } from "../../../web/live/board.ts";
import { matching } from "../../../web/live/build-filter.ts";
import { actOf } from "../../../web/live/keys.ts";
import { whyNot } from "../../../web/live/why-not.ts";
import { BUILDS_KEPT, EMPTY_WORLD, withBuild, withEnvironment } from "../../../web/live/world.ts";
import { build, environment, stage } from "../../support/summaries.ts";

const plan = [
  stage("_plan"),
  stage("build"),
  stage("stage", { environment: "stage", needs: ["build"] }),
  stage("prod", { environment: "prod", needs: ["stage"] }),
];
const paused = { by: "Ada", why: "holiday", atMs: 1, untilMs: null, of: null };
const approval = { from: [], self: false, endsAtMs: 9, change: { from: null, to: "199eddf" } };
const waits = { number: 7, stage: "prod", round: 1, approval: null, approvedBy: null, rollback: false, why: "" };

describe("the board", () => {
  test("has repositories by name, and environments as builds go through them", () => {
    let world = withBuild(EMPTY_WORLD, build(1, { repository: "acme/zoo", stages: [stage("build")] }));
    world = withBuild(world, build(3, { stages: plan }));
    for (const name of ["prod", "aside", "stage"]) world = withEnvironment(world, environment({ environment: name }));
    assert.deepEqual(
      boardOf(world).map((row) => [row.repository, row.environments.map((e) => e.environment)]),
      [
        ["acme/api", ["stage", "prod", "aside"]],
        ["acme/zoo", []],
      ],
    );
  });

  test("says of an environment what matters most", () => {
    const failure = { build: build(1), stage: stage("prod", { outcome: "failed" }) };
    assert.equal(wordOf(environment(), null), "open");
    assert.equal(wordOf(environment(), failure), "failed");
    assert.equal(wordOf(environment({ waiting: [waits] }), failure), "waiting");
    assert.equal(wordOf(environment({ inFlight: waits, waiting: [waits] }), failure), "running");
    assert.equal(wordOf(environment({ inFlight: waits, waiting: [{ ...waits, approval }] }), null), "approval");
    assert.equal(wordOf(environment({ paused, waiting: [{ ...waits, approval }] }), null), "paused");
  });

  test("tells of the last failure in an environment until something passed there", () => {
    const failed = build(2, { stages: [stage("prod", { environment: "prod", outcome: "failed", finishedAtMs: 20 })] });
    const passed = build(1, { stages: [stage("prod", { environment: "prod", round: 2, finishedAtMs: 30 })] });
    assert.equal(failureIn(environment(), [failed])?.build.number, 2);
    assert.equal(failureIn(environment(), [failed, passed]), null);
    assert.equal(failureIn(environment({ environment: "stage" }), [failed]), null);
  });

  test("finds what people look for", () => {
    const row = { repository: "acme/api", builds: [build(1)], environments: [environment()] };
    assert.deepEqual([...concernsOf(row)], []);
    const busy = environment({ paused, inFlight: waits, waiting: [{ ...waits, approval }] });
    const bad = build(2, { outcome: "failed", stages: [stage("prod", { environment: "prod", outcome: "failed" })] });
    assert.deepEqual([...concernsOf({ ...row, builds: [bad], environments: [busy] })].sort(), [
      "approval",
      "failed",
      "paused",
      "running",
    ]);
  });

  test("retries from the stage that failed last, not from what failed in a round before", () => {
    const stages = [stage("build", { outcome: "failed" }), stage("build", { round: 2 })];
    assert.equal(failedStage(build(1, { stages })), null);
    const again = [...stages, stage("prod", { outcome: "skipped" }), stage("eu", { outcome: "errored" })];
    assert.equal(failedStage(build(1, { stages: again }))?.name, "eu");
  });

  test("shows what an approval lets in: pushes to the same ref since what is live", () => {
    const builds = [build(5), build(4, { ref: "refs/heads/other" }), build(3), build(2)];
    const numbers = (live: number | null): readonly number[] => changesUpTo(builds, 5, live).map((one) => one.number);
    assert.deepEqual(numbers(2), [5, 3]);
    assert.deepEqual(numbers(null), [5], "nothing to compare with");
    assert.deepEqual(changesUpTo(builds, 9, 2), [], "a build that is not known");
  });
});

test("what a tab knows is bounded, and what still runs stays", () => {
  let world = withBuild(EMPTY_WORLD, build(1, { status: "running", outcome: null }));
  for (let number = 2; number <= BUILDS_KEPT + 1; number += 1) world = withBuild(world, build(number));
  assert.ok(world.builds.size <= BUILDS_KEPT);
  assert.ok(world.builds.has("acme/api#1") && world.builds.has(`acme/api#${BUILDS_KEPT + 1}`));
  assert.equal(world.builds.has("acme/api#2"), false);
});

test("a list shows what its filter lets through", () => {
  const builds = [
    build(1),
    build(2, { branch: "next", author: "Grace <grace@example.com>" }),
    build(3, { status: "planning", outcome: null }),
  ];
  const numbers = (filter: object): readonly number[] =>
    matching(builds, { repository: null, ...filter }).map((one) => one.number);
  assert.deepEqual(numbers({}), [1, 2, 3]);
  assert.deepEqual(numbers({ branch: "next" }), [2]);
  assert.deepEqual(numbers({ state: "active" }), [3]);
  assert.deepEqual(numbers({ state: "passed", author: "grace" }), [2]);
});

test("a key does something by itself, and another after g", () => {
  assert.deepEqual(actOf("j", null), { kind: "step", by: 1 });
  assert.deepEqual(actOf("e", "g"), { kind: "go", to: "/executors" });
  assert.equal(actOf("j", "g"), null);
  assert.equal(actOf("e", null), null);
});

test("what a role does not allow is said, by name and pattern of repositories", () => {
  const who = (scope: Me["scope"], repositories: string[] | null): Me => ({
    name: "ada",
    signedIn: true,
    auth: "configured",
    ways: ["token"],
    scope,
    grants: [{ scope, repositories }],
  });
  assert.equal(whyNot(null, "admin", null), null, "it is not known who asks: the coordinator will say");
  assert.equal(whyNot(who("operate", ["acme/*"]), "operate", "Acme/api"), null);
  assert.equal(whyNot(who("admin", null), "operate", null), null);
  assert.match(whyNot(who("operate", ["acme/*"]), "operate", "other/api") ?? "", /ada has not .*other\/api/);
  assert.match(whyNot(who("operate", ["acme/a.i"]), "operate", "acme/api") ?? "", /has not/);
  assert.match(whyNot(who("operate", ["acme/*"]), "operate", null) ?? "", /all repositories/);
  assert.match(whyNot(who("read", null), "operate", "acme/api") ?? "", /“operate”/);
});
