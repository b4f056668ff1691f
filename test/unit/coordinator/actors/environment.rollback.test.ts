import assert from "node:assert/strict";
import { test } from "node:test";
import { environmentActor, fenceOf, type LaneCommand } from "../../../../coordinator/actors/environment.ts";
import type { LaneEntry, StageOutcome } from "../../../../protocol/events.ts";
import { commitOf, laneEntry } from "../samples.ts";
import { laneOf, type TestLane, waiting } from "./lane-of.ts";

const ADMIT = { kind: "admit" } as const;
const RELEASE = { kind: "release", by: "bob", why: "mended" } as const;
const APPROVAL = { from: [], self: false, expiresMs: 1_000 };

const enter = (number: number, changes: Partial<LaneEntry> = {}): LaneCommand => ({
  kind: "enter",
  entry: laneEntry(number, changes),
});
const rollback = (number: number, round = 2, changes: Partial<LaneEntry> = {}): LaneCommand =>
  enter(number, { round, asked: true, rollback: true, askedBy: "ada", askedWhy: "it is slow", ...changes });
const leave = (number: number, round = 1, outcome: StageOutcome = "passed"): LaneCommand => ({
  kind: "leave",
  number,
  stage: "prod",
  round,
  outcome,
  artifact: null,
});

/** One build after the other goes live. */
const deployed = (...numbers: readonly number[]): readonly LaneCommand[] =>
  numbers.flatMap((number) => [enter(number), ADMIT, leave(number)]);
const before = (lane: TestLane): readonly number[] => lane.state.before.map(({ number }) => number);

test("what was live before is remembered, newest first", () => {
  const lane = laneOf(...deployed(1, 2), enter(3), ADMIT, leave(3, 1, "failed"), ...deployed(4));
  assert.equal(lane.state.live?.number, 4);
  assert.deepEqual(before(lane), [2, 1]);
  assert.equal(lane.state.before[0]?.commit, commitOf(2));
});

test("the same build live again is not before itself", () => {
  const again = enter(2, { round: 2, asked: true });
  assert.deepEqual(before(laneOf(...deployed(1, 2), again, ADMIT, leave(2, 2))), [1]);
});

test("a rollback goes before all that waits, and holds the lane until it is released", () => {
  const lane = laneOf(...deployed(1, 2), enter(3), ADMIT, enter(4), enter(2, { round: 3, asked: true }), rollback(1));
  assert.deepEqual(waiting(lane), [1, 4, 2]);
  assert.deepEqual(lane.state.hold, { number: 1, by: "ada", why: "it is slow", atMs: 1_000 });
  lane.tell(leave(3));
  assert.equal(lane.tell(ADMIT), "admitted");
  assert.equal(lane.state.inFlight?.number, 1);
  lane.tell(leave(1, 2));
  assert.equal(lane.state.live?.number, 1);
  assert.equal(lane.tell(ADMIT), "nothing", "neither what was pushed nor what was asked for");
  assert.equal(lane.tell(enter(5)), "entered");
  assert.equal(lane.tell(ADMIT), "nothing");
  assert.equal(lane.tell(RELEASE), "released");
  assert.equal(lane.tell(RELEASE), "nothing");
  assert.equal(lane.tell(ADMIT), "admitted");
  assert.equal(lane.state.inFlight?.number, 4);
});

test("after a rollback one goes back further, and not to what one came from", () => {
  const lane = laneOf(...deployed(1, 2, 3), rollback(2), ADMIT, leave(2, 2));
  assert.deepEqual(before(lane), [1]);
  for (const command of [rollback(1), ADMIT, leave(1, 2)]) lane.tell(command);
  assert.deepEqual(before(lane), []);
  for (const command of [RELEASE, ...deployed(4)]) lane.tell(command);
  assert.deepEqual([lane.state.live?.number, before(lane)], [4, [1]]);
});

test("a rollback to what never was live takes away nothing that was", () => {
  const lane = laneOf(...deployed(2, 4), rollback(3), ADMIT, leave(3, 2));
  assert.deepEqual([lane.state.live?.number, before(lane)], [3, [2]]);
});

test("a rollback that fails changes nothing that is live, and holds on", () => {
  const lane = laneOf(...deployed(1, 2), rollback(1), ADMIT, leave(1, 2, "failed"));
  assert.deepEqual([lane.state.live?.number, before(lane)], [2, [1]]);
  assert.notEqual(lane.state.hold, null);
});

test("rollbacks go in the order of asking, and the last one is what holds", () => {
  const lane = laneOf(...deployed(1, 2, 3), rollback(2), rollback(1));
  assert.deepEqual(waiting(lane), [2, 1]);
  assert.equal(lane.state.hold?.number, 1);
});

test("a pause holds a rollback too", () => {
  const lane = laneOf(...deployed(1, 2), { kind: "pause", by: "ada", why: "freeze", untilMs: null }, rollback(1));
  assert.equal(lane.tell(ADMIT), "nothing");
  lane.tell({ kind: "resume", by: "ada", why: "" });
  assert.equal(lane.tell(ADMIT), "admitted");
});

test("going back to what was there needs nobody's approval; to what never was, it does", () => {
  const lane = laneOf(...deployed(1, 3), rollback(1, 2, { approval: APPROVAL }));
  assert.equal(lane.tell(ADMIT), "admitted");
  const other = laneOf(...deployed(1, 3), rollback(2, 2, { approval: APPROVAL }));
  assert.equal(other.tell(ADMIT), "nothing");
  other.tell({ kind: "approve", number: 2, round: null, by: "bob", team: null, why: "" });
  assert.equal(other.tell(ADMIT), "admitted");
});

test("the fence grows over rollbacks as over everything else", () => {
  const lane = laneOf(...deployed(1, 2), rollback(1), ADMIT);
  const fences = lane.log.flatMap((event, at) => (event.type === "admitted" ? [fenceOf(event, at + 1)] : []));
  assert.equal(lane.state.inFlight?.fence, fences.at(-1));
  assert.equal(fences.length, 3);
  assert.ok(fences.every((fence, at) => at === 0 || fence > (fences[at - 1] ?? 0)));
});

test("a few of what was live are remembered, and not all for ever", () => {
  const lane = laneOf(...deployed(...Array.from({ length: 50 }, (_, at) => at + 1)));
  assert.deepEqual(before(lane).slice(0, 3), [49, 48, 47]);
  assert.equal(before(lane).length, 20);
});

test("a lane with a hold and a past comes back through its schema", () => {
  const lane = laneOf(...deployed(1, 2), rollback(1));
  assert.deepEqual(environmentActor.snapshot?.parse(JSON.parse(JSON.stringify(lane.state))), lane.state);
});
