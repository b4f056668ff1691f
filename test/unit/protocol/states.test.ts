import assert from "node:assert/strict";
import { test } from "node:test";
import { ToroidError } from "../../../protocol/errors.ts";
import { buildEvent, stageEvent } from "../../../protocol/events.ts";
import {
  BUILD_TRANSITIONS,
  type BuildStatus,
  nextBuildStatus,
  nextStageStatus,
  STAGE_TRANSITIONS,
  type StageStatus,
} from "../../../protocol/states.ts";

/** Words of a union of events, from its schema: a table that lacks one cannot hide here. */
function typesOf(union: {
  readonly options: readonly { readonly shape: { readonly type: { readonly value: string } } }[];
}) {
  return union.options.map((option) => option.shape.type.value);
}

interface Machine {
  readonly noun: string;
  readonly table: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly events: readonly string[];
  readonly next: (from: string, event: string) => string;
}

const MACHINES: readonly Machine[] = [
  {
    noun: "stage",
    table: STAGE_TRANSITIONS,
    events: typesOf(stageEvent),
    next: (from, event) => nextStageStatus(from as StageStatus, event as never),
  },
  {
    noun: "build",
    table: BUILD_TRANSITIONS,
    events: typesOf(buildEvent),
    next: (from, event) => nextBuildStatus(from as BuildStatus, event as never),
  },
];

for (const { noun, table, events, next } of MACHINES) {
  for (const [from, row] of Object.entries(table)) {
    for (const event of events) {
      const to = row[event];
      if (to === undefined) {
        test(`a ${noun} that is ${from} cannot have ${event}`, () => {
          assert.throws(
            () => next(from, event),
            (error) =>
              error instanceof ToroidError &&
              error.code === "TOR_TRANSITION_ILLEGAL" &&
              error.message === `a ${noun} that is ${from} cannot have ${event}`,
          );
        });
      } else {
        test(`a ${noun} that is ${from} is ${to} after ${event}`, () => assert.equal(next(from, event), to));
      }
    }
  }

  test(`every state of a ${noun} can be reached, and every event happens somewhere`, () => {
    const reached = new Set(["absent"]);
    // A set that grows while it is walked is walked to its end.
    for (const from of reached) for (const to of Object.values(table[from] ?? {})) reached.add(to);
    assert.deepEqual([...reached].sort(), Object.keys(table).sort());
    const happens = new Set(Object.values(table).flatMap((row) => Object.keys(row)));
    assert.deepEqual([...happens].sort(), [...events].sort());
  });

  test(`every ${noun} can still end`, () => {
    for (const from of Object.keys(table)) {
      const seen = new Set([from]);
      for (const at of seen) for (const to of Object.values(table[at] ?? {})) seen.add(to);
      assert.ok(seen.has("finished") || from === "archived", from);
    }
  });
}

test("a finished stage stays as it is; a finished build goes on only when asked for more or again, or is archived", () => {
  assert.deepEqual(STAGE_TRANSITIONS.finished, {});
  const { archived, ...more } = BUILD_TRANSITIONS.finished;
  assert.deepEqual(more, { requested: "running", retried: "running", replanned: "planning" });
  assert.equal(archived, "archived");
  assert.deepEqual(BUILD_TRANSITIONS.archived, {});
});
