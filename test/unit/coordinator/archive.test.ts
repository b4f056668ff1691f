import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { environmentActor } from "../../../coordinator/actors/environment.ts";
import { buildOfLaneEvent, isLate } from "../../../coordinator/archive/late.ts";
import {
  cursorAfter,
  type Finding,
  FROM_THE_START,
  keepingAfter,
  LEAST_KEPT_MS,
  neededBuilds,
  trimBelow,
} from "../../../coordinator/archive/policy.ts";
import { summaryOf } from "../../../coordinator/projections/lanes.ts";
import type { LaneEvent } from "../../../protocol/events.ts";
import { commitOf, Lived, laneEntry, REPOSITORY } from "./samples.ts";

const DAY_MS = 86_400_000;
const found = (...findings: readonly [number, Finding][]): ReadonlyMap<number, Finding> => new Map(findings);

test("builds are kept for as long as was asked while there is room", () => {
  const relaxed = { keepMs: 90 * DAY_MS, halvings: 0 };
  assert.deepEqual(keepingAfter(relaxed, 90 * DAY_MS, 0.8), relaxed);
  assert.deepEqual(keepingAfter({ keepMs: null, halvings: 0 }, null, 0.5), { keepMs: null, halvings: 0 });
});

test("while the stream is too full the time is halved at each look, and no build of the last hour goes", () => {
  let keeping = { keepMs: 90 * DAY_MS, halvings: 0 } as ReturnType<typeof keepingAfter>;
  const hours: number[] = [];
  for (const share of [0.81, 0.9, 0.75]) {
    keeping = keepingAfter(keeping, 90 * DAY_MS, share);
    hours.push((keeping.keepMs ?? 0) / 3_600_000);
  }
  assert.deepEqual(hours, [45 * 24, 22.5 * 24, 11.25 * 24], "on until there is room again");
  for (let looks = 0; looks < 100; looks += 1) keeping = keepingAfter(keeping, 90 * DAY_MS, 1);
  assert.equal(keeping.keepMs, LEAST_KEPT_MS);
  assert.deepEqual(keepingAfter(keeping, 90 * DAY_MS, 0.6), { keepMs: 90 * DAY_MS, halvings: 0 });
});

test("events of lanes go when their stream is half full, a quarter of it stays, and all that waits to be reacted to", () => {
  const log = { usedShare: 0.5, messages: 2_000, lastSeq: 9_000, reactedTo: 9_000 };
  assert.equal(trimBelow(log), null);
  assert.equal(trimBelow({ ...log, usedShare: 0.625 }), 8_201, "of 2,000 messages in 62.5 % 800 are in 25 %");
  assert.equal(trimBelow({ ...log, usedShare: 1 }), 8_501);
  assert.equal(trimBelow({ ...log, usedShare: 1, reactedTo: 4_000 }), 4_001);
  assert.equal(trimBelow({ ...log, usedShare: 1, reactedTo: 0 }), null);
  assert.equal(trimBelow({ ...log, usedShare: 1, messages: 9_000, lastSeq: 300 }), null);
});

test("what is to be kept for ever goes too before the stream is full, the oldest first", () => {
  const { keepMs } = keepingAfter({ keepMs: null, halvings: 0 }, null, 0.85);
  assert.equal(keepMs, 182.5 * DAY_MS);
});

test("an environment needs what is live there, what was before, and what is on its way", () => {
  const lane = new Lived(environmentActor);
  for (const number of [1, 2, 3, 4]) {
    lane.tell({ kind: "enter", entry: laneEntry(number) });
    lane.tell({ kind: "admit" });
    if (number === 4) break;
    lane.tell({ kind: "leave", number, stage: "prod", round: 1, outcome: "passed", artifact: null });
  }
  lane.tell({ kind: "enter", entry: laneEntry(6) });
  const summary = summaryOf({ repository: REPOSITORY, environment: "prod" }, lane.state, []);
  assert.deepEqual(
    [...neededBuilds([summary])].sort((a, b) => a - b),
    [1, 2, 3, 4, 6],
  );
});

test("whatever is found when, a cursor passes nothing that it does not remember, and finds all in the end", () => {
  const finding = fc.constantFrom<Finding>("archived", "kept", "later");
  fc.assert(
    fc.property(fc.array(fc.array(finding, { minLength: 1, maxLength: 12 }), { maxLength: 8 }), (looks) => {
      const archived = new Set<number>();
      let cursor = FROM_THE_START;
      for (const look of looks) {
        const numbers = [...cursor.kept, ...look.map((_, at) => cursor.next + at)];
        // What was archived stays so.
        const seen = new Map(
          numbers.map((number, at) => {
            const one: Finding = look[at % look.length] ?? "later";
            return [number, archived.has(number) ? "archived" : one];
          }),
        );
        for (const [number, one] of seen) if (one === "archived") archived.add(number);
        cursor = cursorAfter(cursor, seen);
        for (let number = 1; number < cursor.next; number += 1)
          assert.notEqual(archived.has(number), cursor.kept.includes(number), `#${number}`);
      }
    }),
  );
});

test("a cursor stops at the first build that is too young, and looks again at those that were kept", () => {
  const first = cursorAfter(
    FROM_THE_START,
    found([1, "archived"], [2, "kept"], [3, "archived"], [4, "later"], [5, "archived"]),
  );
  assert.deepEqual(first, { next: 4, kept: [2] });
  assert.deepEqual(cursorAfter(first, found([2, "archived"], [4, "kept"])), { next: 5, kept: [4] });
  assert.deepEqual(
    cursorAfter(first, found([4, "archived"])),
    { next: 5, kept: [2] },
    "what was not looked at is kept",
  );
});

test("events are late when they are older than half of what every build is kept for", () => {
  assert.deepEqual([isLate(0, LEAST_KEPT_MS / 2), isLate(0, LEAST_KEPT_MS / 2 + 1)], [false, true]);
});

test("the build of every event of a lane is known", () => {
  const lane = new Lived(environmentActor);
  lane.tell({ kind: "pause", by: "ada", why: "no", untilMs: null });
  lane.tell({ kind: "resume", by: "ada", why: "" });
  lane.tell({ kind: "enter", entry: laneEntry(1, { commit: commitOf(1) }) });
  lane.tell({ kind: "admit" });
  lane.tell({ kind: "enter", entry: laneEntry(2) });
  lane.tell({ kind: "withdraw", number: 2, stage: "prod", round: 1, outcome: "cancelled", why: "" });
  lane.tell({ kind: "leave", number: 1, stage: "prod", round: 1, outcome: "passed", artifact: null });
  assert.deepEqual(
    lane.log.map((event: LaneEvent) => [event.type, buildOfLaneEvent(REPOSITORY, event)?.number ?? null]),
    [
      ["paused", null],
      ["resumed", null],
      ["entered", 1],
      ["admitted", 1],
      ["entered", 2],
      ["withdrawn", 2],
      ["left", 1],
    ],
  );
});
