import assert from "node:assert/strict";
import { test } from "node:test";
import { superseded } from "../../../../coordinator/actors/environment/lane.ts";
import { environmentActor, type LaneCommand } from "../../../../coordinator/actors/environment.ts";
import type { LaneEntry, StageOutcome } from "../../../../protocol/events.ts";
import { ARTIFACT, commitOf, Lived, laneEntry } from "../samples.ts";
import { laneOf, type TestLane, waiting } from "./lane-of.ts";

const ADMIT = { kind: "admit" } as const;
const PAUSE = { kind: "pause", by: "ada", why: "freeze", untilMs: null } as const;

const enter = (number: number, changes: Partial<LaneEntry> = {}): LaneCommand => ({
  kind: "enter",
  entry: laneEntry(number, changes),
});
const leave = (number: number, outcome: StageOutcome = "passed", round = 1): LaneCommand => ({
  kind: "leave",
  number,
  stage: "prod",
  round,
  outcome,
  artifact: ARTIFACT,
});
const withdraw = (number: number): LaneCommand => ({
  kind: "withdraw",
  number,
  stage: "prod",
  round: 1,
  outcome: "cancelled",
  why: "no longer wanted",
});

const inFlight = (lane: TestLane): number | undefined => lane.state.inFlight?.number;

test("one goes, the others wait", () => {
  const lane = laneOf(enter(1), ADMIT, enter(2), ADMIT, enter(3), ADMIT);
  assert.equal(inFlight(lane), 1);
  assert.deepEqual(waiting(lane), [2, 3]);
});

test("the next goes when the one in flight has left", () => {
  const lane = laneOf(enter(1), enter(2), ADMIT, leave(1));
  assert.equal(lane.tell(ADMIT), "admitted");
  assert.equal(inFlight(lane), 2);
  assert.deepEqual(waiting(lane), []);
});

test("they go in push order, however they arrive", () => {
  const lane = laneOf(enter(3), enter(1), enter(2));
  assert.deepEqual(waiting(lane), [1, 2, 3]);
});

test("a further round goes by when it was asked for, and does not disturb push order", () => {
  const lane = laneOf(enter(5), enter(1, { round: 2 }), enter(4));
  assert.deepEqual(waiting(lane), [4, 5, 1]);
});

test("the admitted event has the fence, and names what was live", () => {
  const lane = laneOf(enter(1), ADMIT, leave(1), enter(2), ADMIT);
  const admitted = lane.log.at(-1);
  assert.ok(admitted?.type === "admitted");
  assert.equal(lane.state.inFlight?.fence, admitted.fence);
  assert.equal(admitted.previousCommit, commitOf(1));
});

test("fences grow though the clock goes back, and go on above those of a lane that an older backup does not know", () => {
  const lane = laneOf();
  const fences: number[] = [];
  const deploy = (number: number, nowMs: number): void => {
    lane.nowMs = nowMs;
    for (const command of [enter(number), ADMIT]) lane.tell(command);
    fences.push(lane.state.inFlight?.fence ?? 0);
    lane.tell(leave(number));
  };
  deploy(1, 5_000);
  deploy(2, 1_000);
  deploy(3, 5_001);
  assert.deepEqual(fences, [5_000, 5_001, 5_002]);
  const restored = laneOf();
  restored.nowMs = 9_000;
  for (const command of [enter(2), ADMIT]) restored.tell(command);
  assert.equal(restored.state.inFlight?.fence, 9_000);
});

test("a fence of an earlier version is its event's sequence, and the next one is greater", () => {
  const lane = laneOf(enter(1), enter(2));
  const entry = lane.state.waiting[0];
  assert.ok(entry !== undefined);
  lane.happen({ type: "admitted", id: "e", atMs: 1, entry, previousCommit: null, previousArtifact: null });
  assert.equal(lane.state.inFlight?.fence, lane.seq);
  for (const command of [leave(1), ADMIT]) lane.tell(command);
  assert.ok((lane.state.inFlight?.fence ?? 0) > lane.seq);
});

test("what passed is live, with its artifact and by whom; what did not changes nothing", () => {
  const lane = laneOf(enter(1), ADMIT, leave(1), enter(2), ADMIT, leave(2, "failed"));
  const live = { number: 1, round: 1, commit: commitOf(1), artifact: ARTIFACT, atMs: 1_000, by: "Ada" };
  assert.deepEqual(lane.state.live, live);
  assert.equal(lane.state.inFlight, null);
});

test("a repeated entry is the same entry, wherever it is by now", () => {
  const lane = laneOf(enter(1), enter(1));
  assert.deepEqual(waiting(lane), [1]);
  lane.tell(ADMIT);
  assert.equal(lane.tell(enter(1)), "nothing", "in flight");
  lane.tell(leave(1));
  assert.equal(lane.tell(enter(1)), "nothing", "gone");
  lane.tell(enter(2));
  lane.tell(withdraw(2));
  assert.equal(lane.tell(enter(2)), "nothing", "withdrawn");
});

test("only the one in flight can leave; repeated, it is nothing", () => {
  const lane = laneOf(enter(1), ADMIT, enter(2));
  assert.equal(lane.tell(leave(1)), "left");
  assert.equal(lane.tell(leave(1)), "nothing");
  assert.equal(lane.tell(leave(9)), "nothing");
});

test("one that ended while it waited is taken out", () => {
  const lane = laneOf(enter(1), ADMIT, enter(2));
  assert.equal(lane.tell(leave(2, "cancelled")), "withdrawn");
  assert.deepEqual(waiting(lane), []);
  assert.equal(inFlight(lane), 1);
});

test("only what waits can be withdrawn", () => {
  const lane = laneOf(enter(1), ADMIT, enter(2));
  assert.equal(lane.tell(withdraw(1)), "nothing");
  assert.equal(lane.tell(withdraw(2)), "withdrawn");
  assert.equal(lane.tell(withdraw(2)), "nothing");
});

test("a paused lane lets nothing go, and what is in flight finishes", () => {
  const lane = laneOf(enter(1), ADMIT, enter(2), PAUSE);
  assert.equal(lane.tell(leave(1)), "left");
  assert.equal(lane.tell(ADMIT), "nothing");
  assert.equal(lane.tell(enter(3)), "entered");
  assert.equal(lane.tell({ kind: "resume", by: "bob", why: "over" }), "resumed");
  assert.equal(lane.tell(ADMIT), "admitted");
  assert.equal(inFlight(lane), 2);
});

test("a pause has who, why and until; it can be changed, and repeated it is nothing", () => {
  const lane = laneOf(PAUSE);
  assert.deepEqual(lane.state.pause, { by: "ada", why: "freeze", atMs: 1_000, untilMs: null });
  lane.nowMs = 2_000;
  assert.equal(lane.tell(PAUSE), "nothing");
  assert.equal(lane.tell({ ...PAUSE, untilMs: 9_000 }), "paused");
  assert.equal(lane.state.pause?.untilMs, 9_000);
});

test("a pause without a reason, or that ends in the past, is refused", () => {
  const lane = laneOf();
  assert.equal(lane.tell({ ...PAUSE, why: "  " }), "TOR_INVALID_INPUT");
  assert.equal(lane.tell({ ...PAUSE, untilMs: 1_000 }), "TOR_INVALID_INPUT");
  assert.equal(lane.state.pause, null);
});

test("a pause runs out at its time and not before", () => {
  const lane = laneOf({ ...PAUSE, untilMs: 5_000 });
  lane.nowMs = 4_999;
  assert.equal(lane.tell({ kind: "expire" }), "nothing");
  lane.nowMs = 5_000;
  assert.equal(lane.tell({ kind: "expire" }), "resumed");
  assert.equal(lane.tell({ kind: "expire" }), "nothing");
  const forever = laneOf(PAUSE);
  forever.nowMs = Number.MAX_SAFE_INTEGER;
  assert.equal(forever.tell({ kind: "expire" }), "nothing");
});

test("a lane that is not paused cannot be resumed", () => {
  assert.equal(laneOf().tell({ kind: "resume", by: "ada", why: "" }), "nothing");
});

test("what is older than what is live is superseded, and says by what", () => {
  const lane = laneOf(enter(5), ADMIT, leave(5), enter(4));
  assert.equal(lane.tell(ADMIT), "withdrawn");
  const withdrawn = lane.log.at(-1);
  assert.ok(withdrawn?.type === "withdrawn");
  assert.deepEqual([withdrawn.number, withdrawn.outcome], [4, "superseded"]);
  assert.equal(withdrawn.why, "#5, which is newer, is live already");
});

test("what is older than what went before does not follow it, though that failed", () => {
  const lane = laneOf(enter(5), ADMIT, leave(5, "failed"), enter(4));
  assert.equal(lane.tell(ADMIT), "withdrawn");
  const withdrawn = lane.log.at(-1);
  assert.ok(withdrawn?.type === "withdrawn");
  assert.equal(withdrawn.why, "#5, which is newer, went before it");
});

test("a person's wish may go back to an older build, and newer pushes go on from there", () => {
  const lane = laneOf(enter(5), ADMIT, leave(5), enter(2, { round: 2 }));
  assert.equal(lane.tell(ADMIT), "admitted");
  lane.tell(leave(2, "passed", 2));
  assert.equal(lane.state.live?.number, 2);
  lane.tell(enter(4));
  assert.equal(lane.tell(ADMIT), "withdrawn", "5 was there already");
  lane.tell(enter(6));
  assert.equal(lane.tell(ADMIT), "admitted");
});

test("of those that wait for themselves, the newest makes the older pointless", () => {
  const lane = laneOf(enter(1), ADMIT, enter(2), enter(3), enter(4, { policy: "every" }), enter(5));
  assert.deepEqual(
    superseded(lane.state).map(({ entry, why }) => [entry.number, why]),
    [
      [2, "#5, which is newer, waits for the same environment"],
      [3, "#5, which is newer, waits for the same environment"],
    ],
  );
});

test("a person's wish is superseded by nothing, and supersedes nothing", () => {
  assert.deepEqual(superseded(laneOf(enter(1, { round: 2 }), enter(2)).state), []);
  assert.deepEqual(superseded(laneOf(enter(1), enter(2, { round: 2 })).state), []);
});

test("an unknown end stops the lane until a person has looked", () => {
  const lane = laneOf(enter(1), ADMIT, enter(2), leave(1, "unknown"));
  assert.equal(lane.tell(ADMIT), "nothing");
  assert.equal(lane.state.live, null);
  assert.equal(lane.state.pause?.by, "toroid");
  assert.match(lane.state.pause?.why ?? "", /^#1 ended in an unknown state/);
  lane.tell({ kind: "resume", by: "ada", why: "looked, it did nothing" });
  assert.equal(lane.tell(ADMIT), "admitted");
});

test("a lane as it is stored comes back through its schema", () => {
  const lane = laneOf(enter(1), ADMIT, leave(1), enter(2), ADMIT, enter(3), PAUSE);
  assert.deepEqual(environmentActor.snapshot?.parse(JSON.parse(JSON.stringify(lane.state))), lane.state);
});

test("a lane stored by a version that knew less is read", () => {
  const { furthest: _, ...older } = laneOf(enter(1), ADMIT).state;
  assert.equal(environmentActor.snapshot?.parse(older).furthest, 0);
});

test("a lane of a busy year stays small", () => {
  const lane = new Lived(environmentActor);
  for (let number = 1; number <= 1_000; number += 1) {
    for (const command of [enter(number), ADMIT, leave(number)]) lane.tell(command);
  }
  assert.ok(JSON.stringify(lane.state).length < 20_000);
});
