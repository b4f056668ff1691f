import assert from "node:assert/strict";
import { test } from "node:test";
import { type Letter, type LetterCommand, letterActor } from "../../../../coordinator/actors/letter.ts";
import type { LetterEvent } from "../../../../protocol/letter.ts";

const HEAD = { id: "e", atMs: 1 };
const STAGE = { kind: "stage", repository: "acme/api", number: 1, stage: "build", round: 1 } as const;
const BURY = { kind: "bury", letter: "x", why: "no JSON", content: STAGE } as const;
const EVENTS: Readonly<Record<string, LetterEvent>> = {
  replayAsked: { type: "replayAsked", ...HEAD, by: "ann", why: "mended" },
  replayed: { type: "replayed", ...HEAD, became: { build: null, what: "done" } },
  refusedAgain: { type: "refusedAgain", ...HEAD, why: "still no JSON" },
  discarded: { type: "discarded", ...HEAD, by: "bob", why: "noise" },
};

function after(...names: readonly string[]): Letter | null {
  const buried: LetterEvent = { type: "buried", ...HEAD, letter: "x", why: "no JSON", content: STAGE };
  return [buried, ...names.map((name) => EVENTS[name] as LetterEvent)].reduce(
    (state: Letter | null, event, seq) => letterActor.apply(state, event, seq),
    null,
  );
}

const STATES: Readonly<Record<string, Letter | null>> = {
  absent: null,
  open: after(),
  replaying: after("replayAsked"),
  replayed: after("replayAsked", "replayed"),
  "open again": after("replayAsked", "refusedAgain"),
  discarded: after("discarded"),
};
const COMMANDS: Readonly<Record<string, LetterCommand>> = {
  bury: BURY,
  replay: { kind: "replay", by: "ann", why: "" },
  discard: { kind: "discard", by: "bob", why: "noise" },
  passed: { kind: "settle", outcome: { kind: "replayed", became: { build: null, what: "done" } } },
  refused: { kind: "settle", outcome: { kind: "refused", why: "again" } },
};

/** What each answers in each state: an event, nothing, or the code of a refusal. */
const TABLE: Readonly<Record<string, readonly string[]>> = {
  //             bury,     replay,          discard,         passed,           refused
  absent: ["buried", "TOR_NOT_FOUND", "TOR_NOT_FOUND", "TOR_NOT_FOUND", "TOR_NOT_FOUND"],
  open: ["nothing", "replayAsked", "discarded", "nothing", "nothing"],
  replaying: ["nothing", "nothing", "TOR_CONFLICT", "replayed", "refusedAgain"],
  replayed: ["nothing", "nothing", "TOR_REFUSED", "nothing", "nothing"],
  "open again": ["nothing", "replayAsked", "discarded", "nothing", "nothing"],
  discarded: ["nothing", "TOR_REFUSED", "nothing", "nothing", "nothing"],
};

test("every state of a dead letter answers every command in one way", () => {
  for (const [name, state] of Object.entries(STATES)) {
    const answers = Object.values(COMMANDS).map((command) => {
      const decision = letterActor.decide(state, command, HEAD);
      if (decision.kind === "append") return decision.event.type;
      return decision.kind === "refuse" ? decision.code : decision.kind;
    });
    assert.deepEqual(answers, TABLE[name], name);
  }
});

test("a letter says why it was refused the last time, and keeps who did what", () => {
  const again = STATES["open again"];
  assert.deepEqual([again?.state, again?.why, again?.replays], ["open", "still no JSON", 1]);
  assert.deepEqual(
    again?.history.map(({ what, by, why }) => [what, by, why]),
    [
      ["refused", null, "no JSON"],
      ["replay", "ann", "mended"],
      ["refused", null, "still no JSON"],
    ],
  );
});

test("however often it is refused, its history has an end", () => {
  const many = Array.from({ length: 200 }, () => ["replayAsked", "refusedAgain"]).flat();
  const state = after(...many);
  assert.deepEqual([state?.history.length, state?.replays], [50, 200]);
});

test("what has no beginning any more stays nothing", () => {
  for (const event of Object.values(EVENTS)) assert.equal(letterActor.apply(null, event, 1), null);
});
