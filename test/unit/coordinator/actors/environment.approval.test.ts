import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApprovalCommand } from "../../../../coordinator/actors/environment/approval.ts";
import { superseded } from "../../../../coordinator/actors/environment/lane.ts";
import { environmentActor, type LaneCommand } from "../../../../coordinator/actors/environment.ts";
import type { LaneEntry } from "../../../../protocol/events.ts";
import type { Approval } from "../../../../protocol/pipeline/plan.ts";
import { commitOf, laneEntry } from "../samples.ts";
import { laneOf, type TestLane, waiting } from "./lane-of.ts";

const HOUR_MS = 3_600_000;
const ADMIT = { kind: "admit" } as const;
const ANYBODY: Approval = { from: [], self: false, expiresMs: HOUR_MS };

/** Needs approval by anybody but Ada, who pushed it, unless changed. */
const enter = (number: number, changes: Partial<LaneEntry> = {}): LaneCommand => ({
  kind: "enter",
  entry: laneEntry(number, { approval: ANYBODY, ...changes }),
});
const plain = (number: number, changes: Partial<LaneEntry> = {}): LaneCommand =>
  enter(number, { approval: null, ...changes });
const decide = (
  kind: "approve" | "reject",
  number: number,
  changes: Partial<ApprovalCommand> = {},
): ApprovalCommand => ({
  kind,
  number,
  round: null,
  by: "bob",
  team: null,
  why: "",
  ...changes,
});
const approve = (number: number, changes: Partial<ApprovalCommand> = {}): ApprovalCommand =>
  decide("approve", number, changes);
const leave = (number: number): LaneCommand => ({
  kind: "leave",
  number,
  stage: "prod",
  round: 1,
  outcome: "passed",
  artifact: null,
});

const inFlight = (lane: TestLane): number | undefined => lane.state.inFlight?.number;

/** The sentence of a refusal. */
function why(lane: TestLane, command: LaneCommand): string {
  const decided = environmentActor.decide(lane.state, command, { id: "x", atMs: lane.nowMs });
  assert.ok(decided.kind === "refuse", `${command.kind} gave ${decided.kind}`);
  return `${decided.code}: ${decided.why}`;
}

test("what needs approval waits for it, and then goes", () => {
  const lane = laneOf(enter(1));
  assert.equal(lane.tell(ADMIT), "nothing");
  assert.equal(lane.tell(approve(1, { why: "looks good" })), "approved");
  assert.deepEqual(lane.state.waiting[0]?.approved, { by: "bob", team: null, why: "looks good", atMs: 1_000 });
  assert.equal(lane.tell(ADMIT), "admitted");
  assert.equal(inFlight(lane), 1);
});

test("approval is asked for on arrival: it can be given while another one is in flight", () => {
  const lane = laneOf(plain(1), ADMIT, enter(2));
  assert.equal(lane.tell(approve(2)), "approved");
  assert.equal(lane.tell(ADMIT), "nothing");
  lane.tell(leave(1));
  assert.equal(lane.tell(ADMIT), "admitted");
});

test("an approval says what was live when it was given", () => {
  const lane = laneOf(plain(1), ADMIT, leave(1), enter(2), approve(2));
  const approved = lane.log.at(-1);
  assert.ok(approved?.type === "approved");
  assert.equal(approved.liveCommit, commitOf(1));
});

test("what waits for approval holds up nobody who may go", () => {
  const lane = laneOf(enter(1, { policy: "every" }), plain(2, { policy: "every" }));
  assert.equal(lane.tell(ADMIT), "admitted");
  assert.equal(inFlight(lane), 2);
  assert.deepEqual(
    superseded(lane.state).map(({ entry, why: because }) => `${entry.number}: ${because}`),
    ["1: #2, which is newer, went before it"],
  );
  assert.match(why(lane, approve(1)), /^TOR_CONFLICT: #1 cannot go any more: #2, which is newer, went before it$/);
});

test("a request that needs approval holds up no push, and no push a request", () => {
  const lane = laneOf(enter(1, { asked: true, round: 2 }), plain(3));
  assert.equal(lane.tell(ADMIT), "admitted");
  assert.equal(inFlight(lane), 3);
  lane.tell(leave(3));
  lane.tell(approve(1));
  assert.equal(lane.tell(ADMIT), "admitted", "it may go back");
});

test("of those that wait for approval, the newest makes the older pointless", () => {
  const lane = laneOf(enter(1), enter(2));
  assert.deepEqual(
    superseded(lane.state).map(({ entry }) => entry.number),
    [1],
  );
});

test("what a person agreed to gives way only to what may go as well", () => {
  const lane = laneOf(plain(1), ADMIT, enter(2), approve(2), enter(3));
  assert.deepEqual(superseded(lane.state), []);
  lane.tell(approve(3));
  assert.deepEqual(
    superseded(lane.state).map(({ entry }) => entry.number),
    [2],
  );
});

test("a rejection takes it out, with who and why, though it was approved before", () => {
  const lane = laneOf(enter(1), approve(1));
  assert.equal(
    lane.tell(decide("reject", 1, { by: "cyd", team: "ops", why: "the migration is missing" })),
    "withdrawn",
  );
  const withdrawn = lane.log.at(-1);
  assert.ok(withdrawn?.type === "withdrawn");
  assert.deepEqual(
    [withdrawn.outcome, withdrawn.why, withdrawn.rejectedBy],
    ["cancelled", "rejected by cyd of ops: the migration is missing", "cyd"],
  );
  assert.deepEqual(waiting(lane), []);
});

test("the first approval counts, and repeated it is nothing", () => {
  const lane = laneOf(enter(1), approve(1));
  assert.equal(lane.tell(approve(1)), "nothing");
  assert.equal(lane.tell(approve(1, { by: "cyd" })), "nothing");
  assert.equal(lane.state.waiting[0]?.approved?.by, "bob");
});

test("only whom the file names may decide, in their own name or their team's", () => {
  const lane = laneOf(enter(1, { approval: { ...ANYBODY, from: ["@acme/release", "Cyd"] } }));
  assert.equal(
    why(lane, approve(1)),
    "TOR_NOT_ALLOWED: bob may not decide this: the file names `@acme/release` and `Cyd`",
  );
  assert.match(why(lane, decide("reject", 1)), /^TOR_NOT_ALLOWED: bob may not decide this/);
  assert.match(why(lane, approve(1, { team: "@acme/web" })), /^TOR_NOT_ALLOWED: bob of @acme\/web may not/);
  assert.equal(
    laneOf(enter(1, { approval: { ...ANYBODY, from: ["Cyd"] } })).tell(approve(1, { by: "cyd" })),
    "approved",
  );
  assert.equal(lane.tell(approve(1, { team: "@acme/release" })), "approved");
});

test("nobody approves their own, by whatever name, unless the file lets them; rejecting it is their right", () => {
  const lane = laneOf(enter(1));
  for (const by of ["Ada", "ada", "ADA"]) {
    assert.equal(
      why(lane, approve(1, { by })),
      `TOR_NOT_ALLOWED: ${by} is behind this build, and the file lets nobody approve their own`,
    );
  }
  assert.match(why(lane, approve(1, { by: "local" })), /^TOR_NOT_ALLOWED: .* say who you are/);
  const lenient = laneOf(enter(1, { approval: { ...ANYBODY, self: true } }));
  assert.equal(lenient.tell(approve(1, { by: "ada" })), "approved");
  assert.equal(
    laneOf(enter(1, { approval: { ...ANYBODY, self: true } })).tell(approve(1, { by: "local" })),
    "approved",
  );
  assert.equal(lane.tell(decide("reject", 1, { by: "ada" })), "withdrawn");
});

test("a decision about what does not wait for one says so", () => {
  const lane = laneOf(enter(1), approve(1), ADMIT, plain(2));
  assert.equal(why(lane, approve(1)), "TOR_CONFLICT: #1 does not wait here any more: it is under way");
  assert.equal(why(lane, approve(2)), "TOR_CONFLICT: #2 needs no approval here");
  assert.equal(why(lane, decide("reject", 9)), "TOR_CONFLICT: #9 does not wait here for approval");
  lane.tell(leave(1));
  assert.equal(why(lane, approve(1)), "TOR_CONFLICT: #1 does not wait here any more: it is live");
});

test("of several rounds of a build the one that is named is approved, or the one that waits for it", () => {
  const rounds = [enter(1, { asked: true, round: 2 }), enter(1, { asked: true, round: 3 })];
  const lane = laneOf(...rounds, approve(1, { round: 3 }));
  assert.deepEqual(
    lane.state.waiting.map(({ round, approved }) => [round, approved !== null]),
    [
      [2, false],
      [3, true],
    ],
  );
  lane.tell(approve(1));
  assert.ok(lane.state.waiting.every(({ approved }) => approved !== null));
});

test("an approval that nobody gives runs out at its time and not before; a given one does not", () => {
  const lane = laneOf(enter(1), enter(2, { asked: true, round: 2 }), approve(2));
  lane.nowMs = 1_000 + HOUR_MS - 1;
  assert.equal(lane.tell({ kind: "expire" }), "nothing");
  lane.nowMs += 1;
  assert.equal(lane.tell({ kind: "expire" }), "withdrawn");
  const withdrawn = lane.log.at(-1);
  assert.ok(withdrawn?.type === "withdrawn");
  assert.deepEqual(
    [withdrawn.number, withdrawn.outcome, withdrawn.why, withdrawn.rejectedBy],
    [1, "cancelled", "nobody approved it within 1h", null],
  );
  assert.equal(lane.tell({ kind: "expire" }), "nothing");
  assert.deepEqual(waiting(lane), [2]);
});

test("a pause holds what was approved, and lets people decide all the same", () => {
  const lane = laneOf({ kind: "pause", by: "ada", why: "freeze", untilMs: null }, enter(1));
  assert.equal(lane.tell(approve(1)), "approved");
  assert.equal(lane.tell(ADMIT), "nothing");
  lane.tell({ kind: "resume", by: "ada", why: "" });
  assert.equal(lane.tell(ADMIT), "admitted");
});

test("a lane with approvals comes back through its schema", () => {
  const lane = laneOf(enter(1), approve(1), ADMIT, enter(2));
  assert.deepEqual(environmentActor.snapshot?.parse(JSON.parse(JSON.stringify(lane.state))), lane.state);
});
