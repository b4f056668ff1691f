import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Planned,
  planOf,
  type Source,
  shouldPublish,
  whyNotPublished,
} from "../../../../protocol/pipeline/plan.ts";
import { onBranch, onTag, PUSH, planned, stageOf } from "./support.ts";

/** `run`, or the reason for skipping. */
function outcome(text: string, source: Source): string {
  const made: Planned = planOf(".toroid.yml", `script: make\n${text}\n`, source);
  return made.kind === "skip" ? made.reason : made.kind === "plan" ? "run" : JSON.stringify(made.problems);
}

test("without `on` every branch and tag runs, and other refs too", () => {
  for (const source of [onBranch("x"), onTag("v1"), { ...PUSH, branch: null, ref: "refs/pull/1/head" }])
    assert.equal(outcome("", source), "run");
});

test("branches alone leave tags out, and tags alone branches", () => {
  assert.equal(outcome("on: { branches: main }", onTag("v1")), "`on` names branches only, and `v1` is a tag");
  assert.equal(outcome("on: { tags: 'v*' }", onBranch("main")), "`on` names tags only, and `main` is a branch");
  assert.equal(outcome("on: { tags: 'v*', branches: main }", onTag("v1")), "run");
  assert.equal(outcome("on: { tags: 'v*', branches: main }", onBranch("main")), "run");
});

test("a ref that matches no pattern is skipped with its name", () => {
  assert.equal(
    outcome("on: { push: { branches: [main] } }", onBranch("dev")),
    "the branch `dev` is not among `on.branches`",
  );
  assert.equal(outcome("on: { tags: 'v*' }", onTag("w1")), "the tag `w1` is not among `on.tags`");
  assert.equal(
    outcome("on: { branches: ['!wip/**'] }", onBranch("wip/a")),
    "the branch `wip/a` is not among `on.branches`",
  );
  assert.equal(
    outcome("on: { branches: main }", { ...PUSH, branch: null, ref: "refs/pull/1/head" }),
    "`refs/pull/1/head` is neither a branch nor a tag, and `on` names those",
  );
});

test("paths ask for one changed file among them", () => {
  const on = "on: { push: { paths: ['api/**', '!api/docs/**'] } }";
  assert.equal(outcome(on, { ...PUSH, changedPaths: ["README.md", "api/a.ts"] }), "run");
  assert.equal(
    outcome(on, { ...PUSH, changedPaths: ["api/docs/a.md"] }),
    "the one file that changed is not among `on.paths`",
  );
  assert.equal(
    outcome(on, { ...PUSH, changedPaths: ["a", "b"] }),
    "none of the 2 files that changed is among `on.paths`",
  );
  assert.equal(outcome(on, { ...PUSH, changedPaths: [] }), "no file changed, and `on.paths` asks for one");
});

test("paths let through what is unknown and tags", () => {
  assert.equal(outcome("on: { paths: 'api/**' }", { ...PUSH, changedPaths: null }), "run");
  assert.equal(outcome("on: { paths: 'api/**' }", onTag("v1", { changedPaths: ["a"] })), "run");
});

test("a commit message skips its build in three ways, whatever the case", () => {
  for (const marker of ["[skip ci]", "[CI skip]", "[Skip Toroid]"])
    assert.match(outcome("", { ...PUSH, message: `Fix\n\nbody ${marker}` }), /^the commit message says `\[/);
  assert.equal(outcome("", { ...PUSH, message: "skip ci" }), "run");
});

test("`skip` adds texts, turns the markers off, or parks the repository", () => {
  assert.equal(outcome("skip: '[docs]'", { ...PUSH, message: "[docs] typo" }), "the commit message says `[docs]`");
  assert.equal(outcome("skip: ['[docs]']", { ...PUSH, message: "[skip ci]" }), "the commit message says `[skip ci]`");
  assert.equal(outcome("skip: false", { ...PUSH, message: "[skip ci]" }), "run");
  assert.equal(outcome("skip: true", PUSH), "the file says `skip: true`");
});

test("who skips says which build stages there would be, since somebody may wait for them", () => {
  const file = "script: make\nmatrix: { NODE: ['22', '24'] }\nenvironments: { prod: { run: ./deploy } }\n";
  const skipped = planOf("f", file, { ...PUSH, message: "[skip ci]" });
  assert.deepEqual(skipped.kind === "skip" && skipped.stages, ["build NODE=22", "build NODE=24"]);
});

test("a broken file is invalid whatever it filters, unless the commit message skips", () => {
  const invalid = "on: { branches: other }\nscipt: make\n";
  assert.equal(planOf("f", invalid, PUSH).kind, "invalid");
  assert.deepEqual(planOf("f", invalid, { ...PUSH, message: "[skip ci]" }), {
    kind: "skip",
    reason: "the commit message says `[skip ci]`",
    stages: [],
  });
  assert.equal(planOf("f", "scipt: make\nskip: false\n", { ...PUSH, message: "[skip ci]" }).kind, "invalid");
  assert.equal(planOf("f", "script: [", { ...PUSH, message: "[skip ci]" }).kind, "skip");
});

/** Whether this push publishes, and what is said when not. */
function publishing(publish: string, source: Source): string {
  const stage = stageOf(planned(`script: make\npublish: ${publish}\n`, source), "build");
  const why = whyNotPublished(stage, source);
  assert.equal(shouldPublish(stage, source), why === null);
  assert.equal(stage.idempotent, why !== null, "a build that publishes must not be run again unasked");
  return why ?? "publish";
}

test("without `on` the default branch and every tag publish", () => {
  assert.equal(publishing("make push", PUSH), "publish");
  assert.equal(publishing("make push", onTag("v1")), "publish");
  assert.equal(
    publishing("make push", onBranch("dev")),
    "without `publish.on` only tags and `main` publish, not `dev`",
  );
  assert.match(publishing("make push", onBranch("main", { defaultBranch: null })), /not known$/);
});

test("with `on` only what it names publishes", () => {
  const publish = "{ run: make push, on: { tags: 'v*' } }";
  assert.equal(publishing(publish, onTag("v1")), "publish");
  assert.equal(publishing(publish, onTag("w1")), "the tag `w1` is not among `publish.on.tags`");
  assert.equal(publishing(publish, PUSH), "the branch `main` is not among `publish.on.branches`");
  assert.equal(publishing("{ run: make push, on: { branches: 'release/*' } }", onBranch("release/1")), "publish");
});

test("a ref that is no branch or tag never publishes", () => {
  const source = { ...PUSH, branch: null, ref: "refs/pull/1/head" };
  assert.match(publishing("make push", source), /cannot publish$/);
  assert.match(publishing("{ run: make push, on: { branches: '**' } }", source), /cannot publish$/);
});

test("a stage without a publish phase does not publish", () => {
  assert.equal(shouldPublish(stageOf(planned("script: make\n"), "build"), PUSH), false);
});
