import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { superseded } from "../../../../coordinator/actors/environment/lane.ts";
import { environmentActor, type LaneCommand } from "../../../../coordinator/actors/environment.ts";
import { encode } from "../../../../protocol/codec.ts";
import type { LaneEntry, Standing } from "../../../../protocol/events.ts";
import { shortOf } from "../../../../protocol/work.ts";
import { commitOf, Lived, laneEntry, standing } from "../samples.ts";
import { laneOf, type TestLane, waiting } from "./lane-of.ts";
import { known, reordered } from "./order-history.ts";

const ADMIT = { kind: "admit" } as const;
const EVERY = { policy: "every" } as const;

/** Build `number`, which contains builds `on`. */
function enter(number: number, on: readonly number[] = [], changes: Partial<LaneEntry> = {}): LaneCommand {
  return { kind: "enter", entry: laneEntry(number, { ...standing(number, on), ...changes }) };
}

function leave(number: number, outcome: "passed" | "failed" = "passed", round = 1): LaneCommand {
  return { kind: "leave", number, stage: "prod", round, outcome, artifact: null };
}

const givingWay = (lane: TestLane): readonly (readonly [number, string])[] =>
  superseded(lane.state).map(({ entry, why }) => [entry.number, why]);

test("of those that wait, what another contains goes first, or gives way to it", () => {
  const every = laneOf(enter(1, [3], EVERY), enter(2, [], EVERY), enter(3, [], EVERY));
  assert.deepEqual(waiting(every), [3, 1, 2]);
  assert.deepEqual(givingWay(every), []);
  const newest = laneOf(enter(1, [2]), enter(2));
  assert.deepEqual(givingWay(newest), [[2, "#1, which contains its commit, waits for the same environment"]]);
});

/** A lane, and what becomes of build 5 that enters it. */
const LATE: readonly [string, readonly LaneCommand[], LaneCommand, string | null][] = [
  ["live", [enter(4, [5]), ADMIT, leave(4)], enter(5), "#4, which contains its commit, is live already"],
  ["in flight", [enter(4, [5]), ADMIT], enter(5), "#4, which contains its commit, went before it"],
  ["gone", [enter(4, [5]), ADMIT, leave(4, "failed")], enter(5), "#4, which contains its commit, went before it"],
  [
    "gone and contained in what is live",
    [enter(3, [5]), ADMIT, leave(3), enter(4, [3, 5]), ADMIT, leave(4)],
    enter(5),
    "#4, which contains its commit, is live already",
  ],
  [
    "gone before something unrelated that is live",
    [enter(3, [5]), ADMIT, leave(3), enter(4), ADMIT, leave(4)],
    enter(5),
    "#3, which contains its commit, went before it",
  ],
  [
    "live because somebody promoted it",
    [enter(4, [5], { round: 2, asked: true }), ADMIT, leave(4, "passed", 2)],
    enter(5),
    "#4, which contains its commit, is live already",
  ],
  ["asked for by a person", [enter(4, [5]), ADMIT, leave(4)], enter(5, [], { asked: true }), null],
  ["a build that somebody asked for", [enter(4, [5]), ADMIT, leave(4)], enter(5, [], { origin: "wish" }), null],
  ["moving the branch back", [enter(4, [5]), ADMIT, leave(4)], enter(5, [], { origin: "rewind" }), null],
  [
    "pushed again after the branch was moved back",
    [enter(3, [5, 4]), ADMIT, leave(3), enter(4, [], { origin: "rewind" }), ADMIT, leave(4)],
    enter(5, [4]),
    null,
  ],
  [
    "what the branch had become something else after",
    [enter(4), ADMIT, leave(4)],
    enter(5, [], { after: [shortOf(commitOf(4))] }),
    "#4, which is newer, is live already",
  ],
  [
    "contained in what its branch had become, which is live",
    [enter(4), ADMIT, leave(4)],
    enter(5, [], { tip: shortOf(commitOf(4)) }),
    "#4, which contains its commit, is live already",
  ],
  ["unrelated", [enter(4), ADMIT, leave(4)], enter(5), null],
  ["of the commit that is live", [enter(4), ADMIT, leave(4)], enter(5, [], { commit: commitOf(4) }), null],
  // Numbers are those of acceptance: 6 and 7 were accepted after it.
  ["on top of what is live, accepted before that", [enter(6), ADMIT, leave(6)], enter(5, [6]), null],
  ["on top of what failed, accepted before that", [enter(6), ADMIT, leave(6, "failed")], enter(5, [6]), null],
  [
    "on top of what the branch was moved back to",
    [enter(6, [], { origin: "rewind" }), ADMIT, leave(6)],
    enter(5, [6]),
    "#6, which is newer, is live already",
  ],
  [
    "on top of what went, though something newer is live",
    [enter(6), ADMIT, leave(6), enter(7), ADMIT, leave(7)],
    enter(5, [6]),
    "#7, which is newer, is live already",
  ],
];

for (const [name, before, entering, why] of LATE) {
  test(`a build ${name}: ${why === null ? "it goes" : "superseded"}`, () => {
    const lane = laneOf(...before, entering);
    assert.deepEqual(givingWay(lane), why === null ? [] : [[5, why]]);
    const { inFlight } = lane.state;
    if (inFlight !== null) lane.tell(leave(inFlight.number, "failed"));
    assert.equal(lane.tell(ADMIT), why === null ? "admitted" : "withdrawn");
    const last = lane.log.at(-1);
    if (why !== null) assert.ok(last?.type === "withdrawn" && last.outcome === "superseded" && last.number === 5);
  });
}

test("what is accepted between two that are out of order is older than both, once they went", () => {
  const lane = laneOf(enter(3), ADMIT, leave(3), enter(1, [3]), ADMIT, leave(1), enter(2));
  assert.equal(lane.state.live?.number, 1);
  assert.deepEqual(givingWay(lane), [[2, "#3, which is newer, went before it"]]);
});

test("a rollback is followed by what was pushed after it and by nothing that it contains", () => {
  const back = enter(1, [7], { round: 2, asked: true, rollback: true, askedBy: "ada" });
  const lane = laneOf(enter(1), ADMIT, leave(1), enter(5, [1]), ADMIT, leave(5), back, ADMIT, leave(1, "passed", 2));
  lane.tell({ kind: "release", by: "ada", why: "" });
  lane.tell(enter(7));
  assert.deepEqual(givingWay(lane), [[7, "#1, which contains its commit, is live already"]]);
  lane.tell(enter(8, [5, 1]));
  assert.equal(lane.tell(ADMIT), "withdrawn");
  assert.equal(lane.tell(ADMIT), "admitted");
  assert.equal(lane.state.inFlight?.number, 8);
});

test("a lane in which many wait fits into a message", () => {
  const lane = new Lived(environmentActor);
  const many = Array.from({ length: 128 }, (_, at) => 10_000 + at);
  for (let number = 1; number <= 1_000; number += 1) lane.tell(enter(number, [number - 1, ...many], EVERY));
  assert.equal(lane.state.waiting.length, 1_000);
  assert.ok(encode(lane.state).length < 900_000, `${encode(lane.state).length} bytes`);
  assert.equal(lane.state.waiting[0]?.ancestors.length, 129);
  assert.equal(lane.state.waiting[999]?.ancestors.length, 16);
});

/** Pushes of a branch enter in any order, at any time, go one after the other and fail at times. */
function run(
  pushes: readonly Standing[],
  entering: readonly number[],
  chances: readonly number[],
  policy: "newest" | "every",
) {
  const lane = new Lived(environmentActor);
  const went: number[] = [];
  const advance = (): void => {
    for (const { entry } of superseded(lane.state)) {
      lane.tell({ kind: "withdraw", number: entry.number, stage: "prod", round: 1, outcome: "superseded", why: "" });
    }
    while (lane.tell(ADMIT) === "withdrawn");
  };
  const end = (passes: boolean): void => {
    const { inFlight } = lane.state;
    if (inFlight === null) return;
    went.push(pushes.findIndex(({ number }) => number === inFlight.number));
    lane.tell(leave(inFlight.number, passes ? "passed" : "failed"));
    advance();
  };
  for (const [step, at] of entering.entries()) {
    const one = pushes[at];
    if (one === undefined) throw new Error(`there is no push ${at}`);
    lane.tell({ kind: "enter", entry: laneEntry(one.number, { ...one, policy }) });
    advance();
    const chance = chances[step] ?? 0;
    if (chance > 0) end(chance > 1);
  }
  while (lane.state.inFlight !== null) end(true);
  assert.deepEqual(lane.state.waiting, []);
  return went;
}

const runs = reordered("grow", "merge").chain(({ repository, accepted }) =>
  fc.record({
    pushes: fc.constant(known(repository, accepted)),
    entering: fc.shuffledSubarray([...accepted], { minLength: accepted.length }),
    chances: fc.array(fc.nat(3), { maxLength: accepted.length }),
    policy: fc.constantFrom("newest" as const, "every" as const),
  }),
);

test("whenever they are accepted and enter, pushes go in the order of the branch, and its newest goes", () => {
  fc.assert(
    fc.property(runs, ({ pushes, entering, chances, policy }) => {
      const went = run(pushes, entering, chances, policy);
      assert.deepEqual(
        went,
        went.toSorted((a, b) => a - b),
      );
      assert.equal(went.at(-1), pushes.length - 1);
    }),
    { numRuns: 1_000 },
  );
});

test("where every one goes, all go that wait together, in the order of the branch", () => {
  fc.assert(
    fc.property(runs, ({ pushes, entering }) => {
      const lane = new Lived(environmentActor);
      lane.tell({ kind: "pause", by: "ada", why: "freeze", untilMs: null });
      for (const at of entering) lane.tell({ kind: "enter", entry: laneEntry(1, { ...pushes[at], ...EVERY }) });
      assert.deepEqual(
        waiting(lane),
        pushes.map(({ number }) => number),
      );
    }),
  );
});
