/**
 * A small world, all of it: every order of every step of coordinators, executors and people, with things going wrong
 * between any two of them. `simulation.test.ts` goes further into a large world, by chance.
 *
 *   TOROID_MODEL_TROUBLE=1   one more thing goes wrong in each world: minutes, and gigabytes
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Explored, explore } from "./model/explore.ts";
import type { Told } from "./model/logs.ts";
import type { Scenario } from "./model/world.ts";
import { planWith, REPOSITORY, target } from "./samples.ts";

const MORE = Number(process.env["TOROID_MODEL_TROUBLE"] ?? 0);
const MOST_STATES = 10_000_000;

const ONE_BUILD: Scenario = {
  plan: planWith(target("prod", [])),
  builds: 1,
  executors: 2,
  coordinators: 2,
  trouble: 2,
  people: [],
  wishes: 0,
  fails: false,
  isAtomic: true,
};
const TWO_BUILDS: Scenario = { ...ONE_BUILD, builds: 2, trouble: 1 };

const PROD = { repository: REPOSITORY, environment: "prod" };
const CANCEL: Told = {
  kind: "build",
  id: { repository: REPOSITORY, number: 1 },
  command: { kind: "cancel", by: "ada", why: "wrong branch" },
};
const PAUSE: Told = { kind: "lane", id: PROD, command: { kind: "pause", by: "ada", why: "freeze", untilMs: null } };
const RESUME: Told = { kind: "lane", id: PROD, command: { kind: "resume", by: "ada", why: "over" } };
const RELEASE: Told = { kind: "lane", id: PROD, command: { kind: "release", by: "ada", why: "mended" } };
const promote = (rollback: boolean): Told => ({
  kind: "build",
  id: { repository: REPOSITORY, number: 1 },
  command: { kind: "promote", key: "k", environment: "prod", params: {}, by: "ada", why: "it is slow", rollback },
});

/** Explores all of it, and prints the way to the first state in which something is wrong. */
function prove(t: TestContext, scenario: Scenario): Explored {
  const explored = explore({ ...scenario, trouble: scenario.trouble + MORE }, MOST_STATES);
  const { states, steps, rests, depth, wrong } = explored;
  t.diagnostic(`${states} states, ${steps} steps, ${rests} states of rest, ${depth} deep`);
  assert.equal(wrong, null, wrong === null ? "" : `${wrong.what}\n${wrong.trace.join("\n")}`);
  return explored;
}

/** Finds how what is wrong comes about, and says it. */
function disprove(t: TestContext, scenario: Scenario, what: string): void {
  const { states, wrong } = explore(scenario, MOST_STATES, (found) => found.includes(what));
  assert.ok(wrong !== null, `nothing is wrong in ${states} states`);
  t.diagnostic(`${wrong.what}, after ${wrong.trace.length} steps, the last of them:`);
  for (const step of wrong.trace.slice(-10)) t.diagnostic(`  ${step}`);
}

/** These ends there were, and no others, unless more goes wrong than usual. */
function ended({ outcomes }: Explored, ...expected: readonly string[]): void {
  const counted = MORE > 0 ? expected.filter((one) => outcomes.has(one)) : [...outcomes];
  assert.deepEqual(counted.toSorted(), expected.toSorted(), "how stages ended");
}

const TIMEOUT = { timeout: MORE > 0 ? 3_600_000 : 120_000 };

test("one build, two things go wrong, and every decision can be overtaken before it is appended", TIMEOUT, (t) => {
  ended(prove(t, { ...ONE_BUILD, isAtomic: false }), "passed", "unknown");
});

test("a stage that may be repeated is, and ends once", TIMEOUT, (t) => {
  const plan = planWith(target("prod", [], { idempotent: true }));
  ended(prove(t, { ...ONE_BUILD, plan, fails: true }), "passed", "failed");
});

test("a stage that waits for too long ends, or is another's", TIMEOUT, (t) => {
  const timeouts = { queueMs: 0, startMs: 0, silenceMs: null };
  const plan = planWith(target("prod", [], { timeouts }));
  ended(prove(t, { ...ONE_BUILD, plan }), "passed", "unknown", "timedOut");
});

test("two builds go through one environment in order, whatever goes wrong", TIMEOUT, (t) => {
  ended(prove(t, TWO_BUILDS), "passed", "unknown", "superseded", "waits");
});

test("two builds go through one environment that takes every one of them", TIMEOUT, (t) => {
  const plan = planWith(target("prod", [], { queue: "every" }));
  ended(prove(t, { ...TWO_BUILDS, plan, coordinators: 1 }), "passed", "unknown", "superseded", "waits");
});

test("two builds that were accepted in the wrong order go in the right one, whatever goes wrong", TIMEOUT, (t) => {
  for (const queue of ["newest", "every"] as const) {
    const plan = planWith(target("prod", [], { queue }));
    const explored = prove(t, { ...TWO_BUILDS, plan, coordinators: 1, isReversed: true });
    ended(explored, "passed", "unknown", "superseded", "waits");
  }
});

test("two builds go through two environments, one after the other", TIMEOUT, (t) => {
  const plan = planWith(target("stage", []), target("prod", ["stage"]));
  const explored = prove(t, { ...TWO_BUILDS, plan, coordinators: 1, trouble: 0, fails: true });
  ended(explored, "passed", "failed", "skipped", "superseded");
});

test("a person cancels, pauses and resumes while something goes wrong", TIMEOUT, (t) => {
  const people = [CANCEL, PAUSE, RESUME];
  const explored = prove(t, { ...ONE_BUILD, coordinators: 1, trouble: 1, people, wishes: 2 });
  ended(explored, "passed", "unknown", "cancelled", "waits");
});

test("a person cancels, pauses and resumes with two builds on their way", TIMEOUT, (t) => {
  const people = [CANCEL, PAUSE, RESUME];
  const explored = prove(t, { ...TWO_BUILDS, coordinators: 1, trouble: 0, people, wishes: 2 });
  ended(explored, "passed", "cancelled", "superseded", "waits");
});

test("a person goes back to the older build, and the newer one waits while that holds", TIMEOUT, (t) => {
  const explored = prove(t, { ...TWO_BUILDS, coordinators: 1, trouble: 0, people: [promote(true)], wishes: 1 });
  ended(explored, "passed", "superseded", "waits");
});

test("a person goes back and releases what that holds", TIMEOUT, (t) => {
  const people = [promote(true), RELEASE];
  ended(prove(t, { ...ONE_BUILD, coordinators: 1, trouble: 0, people, wishes: 2 }), "passed", "waits");
});

test("a person promotes a build while something goes wrong", TIMEOUT, (t) => {
  const explored = prove(t, { ...ONE_BUILD, coordinators: 1, trouble: 1, people: [promote(false)], wishes: 1 });
  ended(explored, "passed", "unknown", "waits");
});

test("without the fence a stage ends twice", TIMEOUT, (t) => {
  disprove(t, { ...ONE_BUILD, without: "fence" }, "two recorded ends");
});

test("when a claim is not compared a stage that is not idempotent runs twice", TIMEOUT, (t) => {
  disprove(t, { ...ONE_BUILD, without: "claim-compare" }, "ran twice");
});

test("when plans do not tell what a commit contains, the older of two goes live over the newer", TIMEOUT, (t) => {
  const plan = planWith(target("prod", [], { queue: "every" }));
  const scenario: Scenario = { ...TWO_BUILDS, plan, coordinators: 1, isReversed: true, without: "ancestry" };
  disprove(t, scenario, "an older build");
});

test("when coordinators do not compare a lane lets two go at once", TIMEOUT, (t) => {
  const scenario: Scenario = { ...TWO_BUILDS, isAtomic: false, without: "coordinator-compare" };
  disprove(t, scenario, "while another was in flight");
});
