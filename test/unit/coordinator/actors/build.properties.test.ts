import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { blocked, isComplete, roundsOf, settledOf, startable } from "../../../../coordinator/actors/build/rounds.ts";
import type { Build } from "../../../../coordinator/actors/build/state.ts";
import { type BuildCommand, buildActor } from "../../../../coordinator/actors/build.ts";
import type { BuildEvent, StageOutcome } from "../../../../protocol/events.ts";
import type { StagePlan } from "../../../../protocol/pipeline/plan.ts";
import { Lived, planWith, push, source, stagePlan, target } from "../samples.ts";

/** A plan as a file makes it: builds, which need nothing, then environments, each after some of what stands before. */
const anyPlan: fc.Arbitrary<readonly StagePlan[]> = fc
  .tuple(
    fc.array(fc.boolean(), { minLength: 1, maxLength: 3 }),
    fc.array(
      fc.record({
        needs: fc.uniqueArray(fc.nat(7), { minLength: 1, maxLength: 3 }),
        any: fc.boolean(),
        manual: fc.boolean(),
      }),
      {
        maxLength: 5,
      },
    ),
  )
  .map(([builds, environments]) => [
    ...builds.map((allowFailure, at) => stagePlan(`s${at}`, { allowFailure })),
    ...environments.map(({ needs, any, manual }, at) => {
      const before = builds.length + at;
      const names = needs.filter((need) => need < before).map((need) => `s${need}`);
      const join = any ? "any" : "all";
      return target(`s${before}`, names.length === 0 ? ["s0"] : names, { join, automatic: !manual });
    }),
  ]);

const outcome: fc.Arbitrary<StageOutcome> = fc.constantFrom(
  "passed",
  "passed",
  "passed",
  "failed",
  "errored",
  "cancelled",
);

type Move =
  | { readonly kind: "settle"; readonly pick: number; readonly outcome: StageOutcome }
  | { readonly kind: "skip"; readonly pick: number }
  | { readonly kind: "request"; readonly pick: number }
  | { readonly kind: "retry" }
  | { readonly kind: "cancel" }
  | { readonly kind: "conclude" };

const anyMove: fc.Arbitrary<Move> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("settle" as const), pick: fc.nat(50), outcome }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("skip" as const), pick: fc.nat(50) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("request" as const), pick: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.constant({ kind: "retry" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "cancel" as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: "conclude" as const }) },
);

/** Only what can happen: what settles had started, what is skipped was blocked. */
function commandOf(build: Build, move: Move, at: number): BuildCommand | null {
  const choose = <T>(from: readonly T[], pick: number): T | undefined => from[pick % Math.max(1, from.length)];
  switch (move.kind) {
    case "settle":
    case "skip": {
      const one = choose(move.kind === "settle" ? startable(build) : blocked(build), move.pick);
      if (one === undefined) return null;
      const ended = move.kind === "settle" ? move.outcome : "skipped";
      const end = { outcome: ended, message: "", outputs: {}, artifact: null };
      return { kind: "settle", stage: one.stage.name, round: one.round, ...end };
    }
    case "request": {
      const one = choose(build.plan?.stages.filter(({ environment }) => environment !== null) ?? [], move.pick);
      return {
        kind: "request",
        key: `k${at}`,
        environment: one?.environment ?? "none",
        params: {},
        by: "ada",
        byScript: false,
      };
    }
    case "retry":
      return { kind: "retry", key: `k${at}`, stage: null, by: "ada", why: "" };
    case "cancel":
      return { kind: "cancel", by: "ada", why: "no" };
    case "conclude":
      return { kind: "conclude" };
  }
}

function planned(stages: readonly StagePlan[]): Lived<Build, BuildEvent, BuildCommand> {
  const build = new Lived(buildActor);
  build.tell({ kind: "create", push: push(), by: "queue" });
  build.tell({ kind: "plan", round: 1, source: source(), plan: planWith(...stages) });
  return build;
}

function forEveryBuild(
  look: (build: Lived<Build, BuildEvent, BuildCommand>, command: BuildCommand, before: Build) => void,
): void {
  fc.assert(
    fc.property(anyPlan, fc.array(anyMove, { maxLength: 40 }), (stages, moves) => {
      const build = planned(stages);
      for (const [at, move] of moves.entries()) {
        const command = commandOf(build.state, move, at);
        if (command === null) continue;
        const before = build.state;
        build.tell(command);
        look(build, command, before);
      }
    }),
    { numRuns: 500 },
  );
}

test("a build concludes only when every round has settled", () => {
  forEveryBuild((build, command, before) => {
    if (command.kind !== "conclude" || build.state === before) return;
    for (const { stage, round } of roundsOf(before)) assert.notEqual(settledOf(before, stage.name, round), null);
  });
});

test("the same command again gives nothing", () => {
  forEveryBuild((build, command) => {
    const again = build.tell(command);
    assert.ok(
      ["nothing", "TOR_NOT_FOUND", "TOR_CONFLICT", "TOR_REFUSED"].includes(again),
      `${JSON.stringify(command)} gave ${again}`,
    );
  });
});

test("no round is both startable and blocked, and none comes twice", () => {
  forEveryBuild(({ state }) => {
    const key = (one: { readonly stage: StagePlan; readonly round: number }): string =>
      `${one.stage.name}/${one.round}`;
    const both = [...startable(state), ...blocked(state)].map(key);
    assert.equal(new Set(both).size, both.length);
    const all = roundsOf(state).map(key);
    assert.equal(new Set(all).size, all.length);
  });
});

test("what could start can start until it has settled or the build is cancelled", () => {
  forEveryBuild((build, command, before) => {
    // What needs a stage that may fail waits for it again when that is tried again; it goes on if it has begun.
    if (command.kind === "retry") return;
    if (build.state.cancel !== null || build.state.status !== "running") return;
    const now = startable(build.state).map(({ stage, round }) => `${stage.name}/${round}`);
    for (const { stage, round } of startable(before)) {
      if (settledOf(build.state, stage.name, round) !== null) continue;
      // A further round passes over what nobody asked for, but then waits for it when somebody does.
      if (round > 1) continue;
      assert.ok(now.includes(`${stage.name}/${round}`), `${stage.name}/${round} cannot start any more`);
    }
  });
});

test("no build is ever stuck: something can start, is blocked, or all is over", () => {
  forEveryBuild(({ state }) => {
    if (state.status !== "running" || state.cancel !== null) return;
    assert.ok(isComplete(state) || startable(state).length + blocked(state).length > 0);
  });
});

test("a build that goes its way to the end finishes, and as it must", () => {
  fc.assert(
    fc.property(anyPlan, fc.array(outcome, { minLength: 40, maxLength: 40 }), (stages, outcomes) => {
      const build = planned(stages);
      for (const [at, end] of outcomes.entries()) {
        const settle = commandOf(build.state, { kind: "settle", pick: at, outcome: end }, at);
        const skip = commandOf(build.state, { kind: "skip", pick: at }, at);
        for (const command of [settle, skip]) if (command !== null) build.tell(command);
      }
      assert.equal(build.tell({ kind: "conclude" }), "finished");
      const counted = build.state.settled.filter(
        ({ stage }) => stages.find(({ name }) => name === stage)?.allowFailure === false,
      );
      const failed = counted.some((one) => one.outcome === "failed" || one.outcome === "errored");
      assert.equal(build.state.outcome === "failed", failed);
    }),
  );
});

test("once everything that is tried again passes, nothing of the plan is left out", () => {
  fc.assert(
    fc.property(anyPlan, fc.array(anyMove, { maxLength: 25 }), (stages, moves) => {
      const build = planned(stages);
      for (const [at, move] of moves.entries()) {
        const command = commandOf(build.state, move, at);
        if (command !== null && command.kind !== "cancel") build.tell(command);
      }
      // What the plan reaches by itself, without anything that only a request brings.
      const reached = new Set<string>();
      for (const { name, automatic, needs, join } of stages) {
        const all = join === "all" ? needs.every((need) => reached.has(need)) : needs.some((need) => reached.has(need));
        if (automatic && (all || needs.length === 0)) reached.add(name);
      }
      // Then nothing fails any more, and whatever ended badly is tried again until nothing did.
      for (let turn = 0; turn < 200; turn += 1) {
        const next = startable(build.state)[0];
        const skip = blocked(build.state)[0];
        const end = { message: "", outputs: {}, artifact: null };
        if (next !== undefined) {
          const { stage, round } = next;
          build.tell({ kind: "settle", stage: stage.name, round, outcome: "passed", ...end });
        } else if (skip !== undefined) {
          const { stage, round } = skip;
          build.tell({ kind: "settle", stage: stage.name, round, outcome: "skipped", ...end });
        } else {
          build.tell({ kind: "conclude" });
          if (build.tell({ kind: "retry", key: `last ${turn}`, stage: null, by: "ada", why: "" }) !== "retried") break;
        }
      }
      assert.equal(build.state.status, "finished");
      for (const { stage, round, asked } of roundsOf(build.state)) {
        if (stage.allowFailure || asked || !reached.has(stage.name)) continue;
        assert.equal(settledOf(build.state, stage.name, round)?.outcome, "passed", `${stage.name}/${round}`);
      }
    }),
    { numRuns: 500 },
  );
});
