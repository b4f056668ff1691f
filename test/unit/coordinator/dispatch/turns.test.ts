import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  FIRST_TURNS,
  nextTurn,
  PATIENCE,
  PRIORITIES,
  type Turns,
  type Waiters,
} from "../../../../coordinator/dispatch/turns.ts";
import type { Priority } from "../../../../protocol/pipeline/plan.ts";

/** How many of each priority a repository has waiting. */
type Load = Readonly<Record<string, Readonly<Partial<Record<Priority, number>>>>>;
interface Gone {
  readonly priority: Priority;
  readonly repository: string;
  /** What waited, before it went. */
  readonly waited: Waiters;
}

function waitersOf(load: Record<string, Partial<Record<Priority, number>>>): Waiters {
  const of = (priority: Priority): readonly string[] =>
    Object.keys(load).filter((repository) => (load[repository]?.[priority] ?? 0) > 0);
  return Object.fromEntries(PRIORITIES.map((priority) => [priority, of(priority)]));
}

/** Everything goes, one after the other; `arrivals` come in after so many. */
function run(first: Load, arrivals: readonly (readonly [number, string, Priority])[] = [], most = 10_000): Gone[] {
  const load = structuredClone(first) as Record<string, Partial<Record<Priority, number>>>;
  const gone: Gone[] = [];
  let turns: Turns = FIRST_TURNS;
  while (gone.length < most) {
    for (const [after, repository, priority] of arrivals) {
      if (after !== gone.length) continue;
      load[repository] = { ...load[repository], [priority]: (load[repository]?.[priority] ?? 0) + 1 };
    }
    const waited = waitersOf(load);
    const turn = nextTurn(waited, turns);
    if (turn === null) {
      if (arrivals.every(([after]) => after <= gone.length)) break;
      gone.push({ priority: "low", repository: "-", waited });
      continue;
    }
    const of = load[turn.repository] ?? {};
    const left = (of[turn.priority] ?? 0) - 1;
    assert.ok(left >= 0, "who is next waits");
    load[turn.repository] = { ...of, [turn.priority]: left };
    gone.push({ priority: turn.priority, repository: turn.repository, waited });
    turns = turn.turns;
  }
  return gone;
}

const NAMES = ["a/a", "b/b", "c/c", "d/d", "e/e"];
const priority = fc.constantFrom<Priority>(...PRIORITIES);
const load = fc.dictionary(
  fc.constantFrom(...NAMES),
  fc.record({ high: fc.nat(12), normal: fc.nat(40), low: fc.nat(12) }),
);
const arrivals = fc.array(fc.tuple(fc.nat(200), fc.constantFrom(...NAMES), priority), { maxLength: 60 });

test("something goes whenever something waits, until nothing does", () => {
  fc.assert(
    fc.property(load, (first) => {
      const count = Object.values(first)
        .flatMap((one) => Object.values(one))
        .reduce((sum, one) => sum + one, 0);
      assert.equal(run(first).length, count);
    }),
  );
});

test("of one priority no repository goes more than twice while another waits that has no turn at all", () => {
  fc.assert(
    fc.property(load, arrivals, (first, more) => {
      const gone = run(first, more);
      for (const one of PRIORITIES) {
        const higher = PRIORITIES.slice(0, PRIORITIES.indexOf(one) + 1);
        for (const waits of NAMES) {
          let others = new Map<string, number>();
          for (const { repository, priority: went, waited } of gone) {
            const isServed = repository === waits && higher.includes(went);
            if (isServed || waited[one]?.includes(waits) !== true) others = new Map();
            else if (went === one) {
              const times = (others.get(repository) ?? 0) + 1;
              assert.ok(times <= 2, `${repository} went ${times} times while ${waits} waited`);
              others.set(repository, times);
            }
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("a higher priority goes first, and a lower one that waits goes after so many at most", () => {
  fc.assert(
    fc.property(load, arrivals, (first, more) => {
      const since: Record<Priority, number> = { high: 0, normal: 0, low: 0 };
      for (const { priority: went, repository, waited } of run(first, more)) {
        if (repository === "-") continue;
        const present = PRIORITIES.filter((one) => (waited[one] ?? []).length > 0);
        // Only what was passed over for long enough goes before something higher.
        if (went !== present[0]) assert.ok(since[went] >= PATIENCE[went], `${went} went before ${present[0]}`);
        for (const one of PRIORITIES) since[one] = one === went || !present.includes(one) ? 0 : since[one] + 1;
        // Several may be due at once, and go one after the other.
        for (const one of PRIORITIES) assert.ok(since[one] <= PATIENCE[one] + 2, `${one} waited for ${since[one]}`);
      }
    }),
    { numRuns: 300 },
  );
});

test("a repository that comes late is next, or one round away, however much another has", () => {
  const gone = run({ "a/big": { normal: 200 } }, [[50, "b/small", "normal"]]);
  const at = gone.findIndex(({ repository }) => repository === "b/small");
  assert.ok(at - 50 <= 1, `it was after ${at - 50}`);
});

test("environments of a repository are paid for with its builds", () => {
  const gone = run({ "a/a": { high: 1, normal: 1 }, "b/b": { normal: 2 } });
  assert.deepEqual(
    gone.map((one) => `${one.repository} ${one.priority}`),
    ["a/a high", "b/b normal", "a/a normal", "b/b normal"],
  );
});
