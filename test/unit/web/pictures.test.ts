import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildsOf, EMPTY_WORLD, withBuild, withEnvironment } from "../../../web/live/world.ts";
import { layoutBuild, NODE } from "../../../web/parts/build-graph.ts";
import { chosenStage, stageLabel } from "../../../web/parts/stage-choice.ts";

import { build, environment, stage } from "../../support/summaries.ts";

describe("the picture of a build", () => {
  const stages = [
    stage("_plan"),
    stage("build A"),
    stage("build B"),
    stage("eu", { needs: ["build A", "build B"] }),
    stage("us", { needs: ["build A", "build B"] }),
    stage("prod", { needs: ["eu", "us"] }),
  ];

  const artifact = { kind: "files", digest: "sha256:0", bytes: 1, files: 1 } as const;
  const edgesOf = (of: Parameters<typeof layoutBuild>[0]): readonly string[] =>
    layoutBuild(of)
      .edges.map(({ from, to }) => `${from.key} > ${to.key}`)
      .toSorted();

  test("has everything right of what it needs, and nothing on anything else", () => {
    for (const made of [artifact, null]) {
      const { nodes, edges, width, height } = layoutBuild({ stages, artifact: made });
      for (const { from, to } of edges) assert.ok(from.x + NODE.width < to.x, `${from.key} → ${to.key}`);
      assert.equal(new Set(nodes.map(({ x, y }) => `${x} ${y}`)).size, stages.length + (made === null ? 1 : 2));
      for (const { x, y } of nodes) assert.ok(x + NODE.width <= width && y >= 0 && y + NODE.height <= height);
    }
  });

  test("leads from the commit over what was made to the environments", () => {
    const some = [stage("_plan"), stage("build"), stage("prod", { environment: "prod", needs: ["build"] })];
    assert.deepEqual(edgesOf({ stages: some, artifact: null }), [
      "commit > stage _plan",
      "stage _plan > stage build",
      "stage build > stage prod",
    ]);
    assert.deepEqual(edgesOf({ stages: some, artifact }), [
      "artifact > stage prod",
      "commit > stage _plan",
      "stage _plan > stage build",
      "stage build > artifact",
    ]);
  });

  test("shows the newest round of a stage", () => {
    const { nodes } = layoutBuild({ stages: [...stages, stage("prod", { round: 2, needs: ["eu"] })], artifact: null });
    const rounds = nodes.flatMap(({ thing }) =>
      thing.kind === "stage" && thing.stage.name === "prod" ? [thing.stage.round] : [],
    );
    assert.deepEqual(rounds, [2]);
  });

  test("ends for stages that need each other or what is not there, and keeps names apart", () => {
    const odd = [
      stage("a", { needs: ["b", "gone"] }),
      stage("b", { needs: ["a"] }),
      stage("commit"),
      stage("artifact"),
    ];
    assert.equal(layoutBuild({ stages: odd, artifact }).nodes.length, 6);
    assert.equal(layoutBuild({ stages: [], artifact: null }).nodes.length, 1);
  });
});

describe("the stage that is shown", () => {
  const stages = [stage("_plan"), stage("build"), stage("prod", { status: "running", outcome: null })];

  test("is the one of the address, else the one that runs", () => {
    assert.equal(chosenStage({ stages }, { name: "build", round: 1 })?.name, "build");
    assert.equal(chosenStage({ stages }, null)?.name, "prod");
    assert.equal(chosenStage({ stages }, { name: "gone", round: 1 })?.name, "prod");
    assert.equal(chosenStage({ stages: [] }, null), null);
    const again = [stage("a", { outcome: "failed" }), stage("a", { round: 2 }), stage("b")];
    assert.equal(chosenStage({ stages: again }, null)?.name, "b", "what was tried again is past");
  });

  test("is called as people call it", () => {
    assert.equal(stageLabel({ name: "_plan", round: 1 }), "plan");
    assert.equal(stageLabel({ name: "prod", round: 2 }), "prod (2)");
  });
});

describe("what a page knows", () => {
  test("of a build never goes back, in whatever order it hears", () => {
    const newer = build(1, { stages: [stage("build", { seq: 9 })], seq: 3 });
    const older = build(1, { stages: [stage("build", { seq: 5 })], seq: 3 });
    for (const order of [
      [older, newer],
      [newer, older],
    ]) {
      assert.equal(order.reduce(withBuild, EMPTY_WORLD).builds.get("acme/api#1"), newer);
    }
  });

  test("is listed newest first, by repository when one is named", () => {
    const builds = [
      build(1, { createdAtMs: 10 }),
      build(2, { createdAtMs: 30 }),
      build(1, { repository: "acme/web", createdAtMs: 20 }),
    ];
    const world = builds.reduce(withBuild, EMPTY_WORLD);
    assert.deepEqual(
      buildsOf(world, null).map((b) => `${b.repository}#${b.number}`),
      ["acme/api#2", "acme/web#1", "acme/api#1"],
    );
    assert.equal(buildsOf(world, "acme/web").length, 1);
  });

  test("of an environment is the last it heard", () => {
    const paused = environment({ paused: { by: "a", why: "b", atMs: 1, untilMs: null, of: null } });
    const world = [environment(), paused].reduce(withEnvironment, EMPTY_WORLD);
    assert.equal(world.environments.get("acme/api prod"), paused);
  });
});
