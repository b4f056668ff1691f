import assert from "node:assert/strict";
import { test } from "node:test";
import { startable } from "../../../../coordinator/actors/build/rounds.ts";
import { type BuildCommand, buildActor } from "../../../../coordinator/actors/build.ts";
import type { StageOutcome, Standing } from "../../../../protocol/events.ts";
import { type History, type Push, shortOf } from "../../../../protocol/work.ts";
import { commitOf, Lived, planWith, push, source, stagePlan, standing, target } from "../samples.ts";

const SUPERSEDE = { kind: "supersede", number: 1, by: standing(9, [1]) } as const;
const CANCEL = { kind: "cancel", by: "ada", why: "wrong branch" } as const;
const CONCLUDE = { kind: "conclude" } as const;
const PLAN: BuildCommand = {
  kind: "plan",
  round: 1,
  source: source(),
  plan: planWith(stagePlan("a"), stagePlan("b"), target("prod", ["a", "b"])),
};

const settle = (stage: string, outcome: StageOutcome = "passed"): BuildCommand => ({
  kind: "settle",
  stage,
  round: 1,
  outcome,
  message: "",
  outputs: {},
  artifact: null,
});

function buildAfter(of: Partial<Push>, ...commands: readonly BuildCommand[]) {
  const build = new Lived(buildActor);
  for (const command of [{ kind: "create", push: push(of), by: "queue" } as const, ...commands]) build.tell(command);
  return build;
}

const starts = (build: ReturnType<typeof buildAfter>): readonly string[] =>
  startable(build.state).map(({ stage }) => stage.name);

test("a build that a newer push supersedes builds nothing more", () => {
  const build = buildAfter({}, PLAN);
  assert.equal(build.tell(SUPERSEDE), "superseded");
  assert.equal(build.tell({ ...SUPERSEDE, by: standing(10, [1, 9]) }), "nothing");
  assert.deepEqual(starts(build), []);
  for (const command of [settle("a", "cancelled"), settle("b", "cancelled"), settle("prod", "skipped")]) {
    build.tell(command);
  }
  assert.equal(build.tell(CONCLUDE), "finished");
  assert.deepEqual(
    [build.state.outcome, build.state.message],
    ["superseded", "#9, which is newer, was pushed to the same branch"],
  );
});

test("it is superseded while it is planned, too, and stays so if the plan comes all the same", () => {
  const build = buildAfter({});
  assert.equal(build.tell(SUPERSEDE), "superseded");
  assert.equal(build.tell({ kind: "abandon", round: 1, outcome: "cancelled", message: "#9 is newer" }), "finished");
  assert.equal(build.state.outcome, "superseded");
  const late = buildAfter({}, SUPERSEDE, PLAN);
  assert.deepEqual(starts(late), []);
});

test("what failed before it was superseded failed", () => {
  const build = buildAfter(
    {},
    PLAN,
    settle("a", "failed"),
    SUPERSEDE,
    settle("b", "cancelled"),
    settle("prod", "skipped"),
  );
  build.tell(CONCLUDE);
  assert.equal(build.state.outcome, "failed");
});

test("what has built all it could goes on to its environments", () => {
  const built = buildAfter({}, PLAN, settle("a"), settle("b"));
  assert.equal(built.tell(SUPERSEDE), "nothing");
  assert.deepEqual(starts(built), ["prod"]);
});

test("what finished before the cancellation reached it goes on as well, and ends once", () => {
  const build = buildAfter({}, PLAN, settle("a"), SUPERSEDE, settle("b"));
  assert.deepEqual(starts(build), ["prod"]);
  build.tell(settle("prod"));
  assert.equal(build.tell(CONCLUDE), "finished");
  assert.equal(build.state.outcome, "passed");
});

test("a person who cancels comes first, and an ended build is left alone", () => {
  const cancelled = buildAfter({}, PLAN, CANCEL);
  assert.equal(cancelled.tell(SUPERSEDE), "nothing");
  const ended = buildAfter({}, PLAN, settle("a", "failed"), settle("b"), settle("prod", "skipped"), CONCLUDE);
  assert.equal(ended.tell(SUPERSEDE), "nothing");
});

test("only a push to a branch gives way: not a tag, and not what somebody asked for", () => {
  for (const changes of [{ ref: "refs/tags/v1" }, { commit: null }, { ref: "main" }]) {
    assert.equal(buildAfter(changes, PLAN).tell(SUPERSEDE), "nothing", JSON.stringify(changes));
  }
});

test("a build that is not created yet is told again later", () => {
  assert.equal(new Lived(buildActor).tell(SUPERSEDE), "TOR_CONFLICT");
});

test("a person may cancel what is superseded, and their word is what is told", () => {
  const build = buildAfter({}, PLAN, SUPERSEDE);
  assert.equal(build.tell(CANCEL), "cancelRequested");
  for (const name of ["a", "b", "prod"]) build.tell(settle(name, "cancelled"));
  build.tell(CONCLUDE);
  assert.deepEqual([build.state.outcome, build.state.message], ["cancelled", "wrong branch"]);
});

const HISTORY = { ancestors: [], tip: null, rewinds: false };
const by = (number: number, on: readonly number[], changes: Partial<Standing> = {}) => ({
  ...SUPERSEDE,
  number: 5,
  by: standing(number, on, changes),
});
const planned = (history: Partial<History>): BuildCommand => ({
  ...PLAN,
  source: source(5),
  history: { ...HISTORY, ...history },
});
const ON_FOUR = planned({ ancestors: [shortOf(commitOf(4))] });

const MOVED_BACK = by(9, [], { commit: commitOf(4), origin: "rewind" });

/** Build 5 of commit 5, whatever it is told by another, before and after it is planned. */
const CELLS: readonly [string, BuildCommand | null, BuildCommand, "superseded" | "nothing"][] = [
  ["one that contains it, accepted later", null, by(9, [5]), "superseded"],
  ["the same, once it is planned", ON_FOUR, by(9, [5]), "superseded"],
  ["one that contains it, accepted before it, once it is planned", ON_FOUR, by(3, [5]), "superseded"],
  ["the same, but the branch was moved back to it", planned({ rewinds: true }), by(3, [5]), "nothing"],
  ["which nobody knows before it is planned", null, by(3, [5]), "nothing"],
  ["one that it contains, accepted after it", ON_FOUR, by(9, [], { commit: commitOf(4) }), "nothing"],
  ["the same, before it is planned", null, by(9, [], { commit: commitOf(4) }), "nothing"],
  ["the same, but the branch was moved back to that", ON_FOUR, MOVED_BACK, "superseded"],
  ["one that has nothing to do with it, accepted later", ON_FOUR, by(9, [2]), "superseded"],
  ["the same, before it is planned", null, by(9, [2]), "nothing"],
  ["one that replaced it, before it is planned", null, by(9, [2], { before: shortOf(commitOf(5)) }), "superseded"],
  ["one that has nothing to do with it, accepted before it", ON_FOUR, by(3, [2]), "nothing"],
];

for (const [name, plan, command, expected] of CELLS) {
  test(`told to give way by ${name}: ${expected}`, () => {
    const build = buildAfter({ commit: commitOf(5) }, ...(plan === null ? [] : [plan]));
    assert.equal(build.tell(command), expected);
  });
}

test("the forge's word that its branch had moved on counts before it is planned", () => {
  const build = new Lived(buildActor);
  const after = [shortOf(commitOf(3))];
  build.tell({ kind: "create", push: push({ commit: commitOf(5) }), by: "queue", after });
  assert.equal(build.tell(by(3, [])), "superseded");
});

test("what was accepted later, and is not created yet, is not waited for: it looks around itself", () => {
  assert.equal(new Lived(buildActor).tell({ ...SUPERSEDE, number: 10 }), "nothing");
});
