import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { isAgreed, type Lane, nextOf, staleness, superseded } from "../../../../coordinator/actors/environment/lane.ts";
import { environmentActor, type LaneCommand } from "../../../../coordinator/actors/environment.ts";
import type { LaneEvent } from "../../../../protocol/events.ts";
import { Lived, laneEntry } from "../samples.ts";

/** The stage of every third build needs approval by anybody but Ada. */
const APPROVAL = { from: [], self: false, expiresMs: 200 };

/** Round 1 is a push's, rounds 2 and 4 somebody asked for, the latter as a rollback, round 3 is of a script. */
const place = fc.record({
  number: fc.integer({ min: 1, max: 8 }),
  stage: fc.constant("prod"),
  round: fc.constantFrom(1, 1, 1, 1, 2, 3, 4),
});
const outcome = fc.constantFrom(
  "passed",
  "passed",
  "failed",
  "errored",
  "cancelled",
  "unknown",
) as fc.Arbitrary<"passed">;

const anyCommand: fc.Arbitrary<LaneCommand> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("enter" as const),
      entry: place.map((p) =>
        laneEntry(p.number, {
          ...p,
          asked: p.round === 2 || p.round === 4,
          rollback: p.round === 4,
          policy: p.number % 2 === 0 ? "every" : "newest",
          approval: p.number % 3 === 0 ? APPROVAL : null,
        }),
      ),
    }),
  },
  { weight: 8, arbitrary: fc.constant({ kind: "admit" as const }) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(place, outcome)
      .map(([at, end]) => ({ kind: "leave" as const, ...at, outcome: end, artifact: null })),
  },
  {
    weight: 2,
    arbitrary: place.map((at) => ({ kind: "withdraw" as const, ...at, outcome: "cancelled" as const, why: "" })),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("approve" as const, "approve" as const, "reject" as const),
      number: fc.constantFrom(3, 6),
      round: fc.constant(null),
      by: fc.constantFrom("ada", "bob"),
      team: fc.constant(null),
      why: fc.constant(""),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "pause" as const, by: "ada", why: "freeze", untilMs: null }) },
  { weight: 1, arbitrary: fc.constant({ kind: "release" as const, by: "ada", why: "" }) },
  { weight: 3, arbitrary: fc.constant({ kind: "resume" as const, by: "ada", why: "" }) },
  { weight: 1, arbitrary: fc.constant({ kind: "expire" as const }) },
);

const key = (one: { readonly number: number; readonly round: number }): string => `${one.number}/${one.round}`;

/** Leaves what is in flight, whatever it is; a plain random `leave` seldom meets it. */
function leaving(state: Lane, command: LaneCommand): LaneCommand {
  if (command.kind !== "leave" || state.inFlight === null || command.number % 2 === 0) return command;
  const { number, stage, round } = state.inFlight;
  return { ...command, number, stage, round };
}

/** Every lane that random commands make, looked at after each of them. */
function forEveryLane(
  look: (lane: Lived<Lane, LaneEvent, LaneCommand>, command: LaneCommand, came: string) => void,
): void {
  fc.assert(
    fc.property(fc.array(anyCommand, { maxLength: 60 }), (commands) => {
      const lane = new Lived(environmentActor);
      for (const random of commands) {
        lane.nowMs += 10;
        const command = leaving(lane.state, random);
        look(lane, command, lane.tell(command));
      }
    }),
    { numRuns: 500 },
  );
}

test("at most one is in flight: each that was admitted left before the next", () => {
  forEveryLane((lane) => {
    let open: string | null = null;
    for (const event of lane.log) {
      if (event.type === "admitted") {
        assert.equal(open, null);
        open = key(event.entry);
      }
      if (event.type === "left") {
        assert.equal(open, key(event));
        open = null;
      }
    }
    assert.equal(lane.state.inFlight === null ? null : key(lane.state.inFlight), open);
  });
});

test("pushes are admitted in increasing order, whatever fails or is asked for in between", () => {
  forEveryLane((lane) => {
    const numbers = lane.log.flatMap((one) => (one.type === "admitted" && !one.entry.asked ? [one.entry.number] : []));
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
  });
});

test("nothing is lost: what entered was admitted or withdrawn once, or still waits", () => {
  forEveryLane((lane) => {
    const entered = lane.log.flatMap((one) => (one.type === "entered" ? [key(one.entry)] : []));
    const ends = lane.log.flatMap((one) => {
      if (one.type === "admitted") return [key(one.entry)];
      return one.type === "withdrawn" ? [key(one)] : [];
    });
    assert.equal(new Set(entered).size, entered.length, "entered twice");
    assert.deepEqual([...ends, ...lane.state.waiting.map(key)].sort(), [...entered].sort());
  });
});

test("the fence only grows", () => {
  let last = 0;
  forEveryLane((lane) => {
    if (lane.log.length <= 1) last = 0;
    const fence = lane.state.inFlight?.fence ?? last;
    assert.ok(fence >= last);
    last = fence;
  });
});

test("what waits stands in push order, and those asked for in the order of asking", () => {
  forEveryLane((lane) => {
    const numbers = lane.state.waiting.filter((one) => !one.asked).map((one) => one.number);
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
    );
    for (const rollback of [true, false]) {
      const asked = lane.state.waiting.filter((one) => one.asked && one.rollback === rollback);
      const times = asked.map((one) => one.enteredAtMs);
      assert.deepEqual(
        times,
        [...times].sort((a, b) => a - b),
      );
    }
    const first = lane.state.waiting.findIndex((one) => !one.rollback);
    assert.ok(first === -1 || lane.state.waiting.slice(first).every((one) => !one.rollback));
  });
});

test("the same command again gives nothing", () => {
  forEveryLane((lane, command, came) => {
    // The next one to go, or to run out, is another one.
    if (command.kind === "admit" || command.kind === "expire" || came.startsWith("TOR_")) return;
    // Of several rounds of a build that wait for approval, the next one is another one, too.
    if (command.kind === "approve" || command.kind === "reject") return;
    assert.equal(lane.tell(command), "nothing", JSON.stringify(command));
  });
});

test("what is live was in flight and passed", () => {
  forEveryLane((lane) => {
    const deployed = lane.log.flatMap((one) => (one.type === "left" && one.outcome === "passed" ? [key(one)] : []));
    assert.equal(lane.state.live === null ? undefined : key(lane.state.live), deployed.at(-1));
  });
});

test("a lane that is open and has one waiting that may go lets it go or withdraws one", () => {
  forEveryLane((lane) => {
    const { inFlight, pause, hold, waiting } = lane.state;
    if (inFlight !== null || pause !== null) return;
    if (!waiting.some((one) => isAgreed(one) && (hold === null || one.rollback))) return;
    assert.notEqual(
      environmentActor.decide(lane.state, { kind: "admit" }, { id: "x", atMs: lane.nowMs }).kind,
      "nothing",
    );
  });
});

test("what needs approval goes only after somebody gave it who may", () => {
  forEveryLane((lane) => {
    const approved = new Set<string>();
    for (const event of lane.log) {
      if (event.type === "approved") {
        assert.equal(event.agreement.by, "bob");
        approved.add(key(event));
      }
      if (event.type !== "admitted") continue;
      // Going back to what was there needs nobody.
      if (!event.entry.rollback) assert.equal(event.entry.approval !== null, event.entry.number % 3 === 0);
      if (event.entry.approval !== null) assert.ok(approved.has(key(event.entry)), key(event.entry));
    }
  });
});

test("once a rollback is asked for nothing but rollbacks goes, until it is released", () => {
  forEveryLane((lane) => {
    let held = false;
    for (const event of lane.log) {
      if (event.type === "entered" && event.entry.rollback) held = true;
      if (event.type === "released") held = false;
      if (event.type === "admitted" && held) assert.ok(event.entry.rollback, `${key(event.entry)} went all the same`);
    }
    assert.equal(lane.state.hold !== null, held);
  });
});

test("what was before is what one goes back to: other builds, each once, that were live", () => {
  forEveryLane((lane) => {
    const { live, before } = lane.state;
    const numbers = before.map(({ number }) => number);
    assert.equal(new Set(numbers).size, numbers.length);
    assert.ok(live === null || !numbers.includes(live.number));
    const deployed = new Set(lane.log.flatMap((one) => (one.type === "left" && one.live !== null ? [one.number] : [])));
    for (const number of numbers) assert.ok(deployed.has(number));
  });
});

test("whoever waits for approval holds up nobody: without them the same one would go", () => {
  forEveryLane((lane) => {
    const next = nextOf(lane.state);
    const others = nextOf({ ...lane.state, waiting: lane.state.waiting.filter(isAgreed) });
    if (next?.kind === "admit" || next === null) assert.deepEqual(next, others);
  });
});

test("what waits by itself is superseded by what is newer alone, and what was agreed to by what may go alone", () => {
  forEveryLane((lane) => {
    const { waiting } = lane.state;
    const gone = superseded(lane.state).map(({ entry }) => entry);
    const kept = waiting.filter((one) => !gone.includes(one) && !one.asked);
    for (const entry of gone) {
      assert.ok(!entry.asked);
      const gaveWayTo = kept.some((one) => one.number > entry.number && (isAgreed(one) || !isAgreed(entry)));
      assert.ok(gaveWayTo || staleness(lane.state, entry) !== null, key(entry));
    }
  });
});
