import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildsOf, EMPTY_WORLD, withBuild, withEnvironment } from "../../../web/live/world.ts";
import { chosenStage, stageLabel } from "../../../web/parts/stage-choice.ts";
import { layoutStages, NODE } from "../../../web/parts/stage-layout.ts";
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

  test("has everything right of what it needs, and nothing on anything else", () => {
    const { nodes, edges, width, height } = layoutStages(stages);
    for (const { from, to } of edges) assert.ok(from.x + NODE.width < to.x, `${from.stage.name} → ${to.stage.name}`);
    assert.equal(new Set(nodes.map(({ x, y }) => `${x} ${y}`)).size, stages.length);
    for (const { x, y } of nodes) assert.ok(x + NODE.width <= width && y + NODE.height <= height);
    assert.equal(edges.length, 2 + 4 + 2);
  });

  test("shows the newest round of a stage", () => {
    const { nodes } = layoutStages([...stages, stage("prod", { round: 2, needs: ["eu"] })]);
    assert.deepEqual(
      nodes.filter((n) => n.stage.name === "prod").map((n) => n.stage.round),
      [2],
    );
  });

  test("ends for stages that need each other or what is not there", () => {
    const { nodes } = layoutStages([stage("a", { needs: ["b", "gone"] }), stage("b", { needs: ["a"] })]);
    assert.equal(nodes.length, 2);
    assert.equal(layoutStages([]).nodes.length, 0);
  });
});

describe("the stage that is shown", () => {
  const stages = [stage("_plan"), stage("build"), stage("prod", { status: "running", outcome: null })];

  test("is the one of the address, else the one that runs", () => {
    assert.equal(chosenStage({ stages }, { name: "build", round: 1 })?.name, "build");
    assert.equal(chosenStage({ stages }, null)?.name, "prod");
    assert.equal(chosenStage({ stages }, { name: "gone", round: 1 })?.name, "prod");
    assert.equal(chosenStage({ stages: [] }, null), null);
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
