import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { laneState } from "../../../coordinator/actors/environment/lane.ts";
import { environmentActor } from "../../../coordinator/actors/environment.ts";
import { maybeLetter } from "../../../coordinator/actors/letter.ts";
import { decode, encode } from "../../../protocol/codec.ts";
import { command } from "../../../protocol/commands.ts";
import { dispositionOf, ToroidError } from "../../../protocol/errors.ts";
import { buildEvent, laneEvent, pushEvent, stageEvent } from "../../../protocol/events.ts";
import { letterEvent } from "../../../protocol/letter.ts";
import { applyToStage, NO_STAGE } from "../../../protocol/stage.ts";
import { commandVersionOf, PROTOCOL_VERSION, versionOf } from "../../../protocol/versions.ts";

/**
 * Messages as earlier versions stored them, in base64, by kind and name: `vN.json` is what version N wrote. These files
 * are never changed; a new version adds one.
 */
const WIRE = join(import.meta.dirname, "..", "..", "data", "wire");
const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  push: pushEvent,
  build: buildEvent,
  stage: stageEvent,
  lane: z.looseObject({ event: laneEvent, state: laneState }),
  letter: z.looseObject({ event: letterEvent, state: maybeLetter }),
  command,
};

function storedBy(file: string): Readonly<Record<string, Readonly<Record<string, string>>>> {
  return JSON.parse(readFileSync(join(WIRE, file), "utf8")) as Record<string, Record<string, string>>;
}

function bytesOf(base64: string | undefined): Uint8Array {
  assert.ok(base64 !== undefined);
  return Buffer.from(base64, "base64");
}

const FILES = globSync("v*.json", { cwd: WIRE }).sort();

test("there are messages of earlier versions to read", () => assert.ok(FILES.includes("v1.json")));

for (const file of FILES) {
  for (const [kind, messages] of Object.entries(storedBy(file))) {
    for (const [name, base64] of Object.entries(messages)) {
      test(`${kind} ${name} of ${file} is read`, () => {
        const schema = SCHEMAS[kind];
        assert.ok(schema !== undefined, `no schema for ${kind}`);
        decode(schema, bytesOf(base64));
      });
    }
  }
}

test("of the version of now every type of event is among them", () => {
  const stored = storedBy(`v${PROTOCOL_VERSION}.json`);
  for (const [kind, union] of Object.entries({
    push: pushEvent,
    build: buildEvent,
    stage: stageEvent,
    lane: laneEvent,
  })) {
    const types = union.options.flatMap(({ shape }) => [...shape.type.values]);
    assert.deepEqual(Object.keys(stored[kind] ?? {}).sort(), [...types].sort(), kind);
  }
});

test("of dead letters every type of event is among them", () => {
  const types = letterEvent.options.flatMap(({ shape }) => [...shape.type.values]);
  assert.deepEqual(Object.keys(storedBy("v4-letters.json")["letter"] ?? {}).sort(), types.sort());
});

test("a stage that an earlier version stored is folded, and goes on", () => {
  const { stage = {} } = storedBy("v1.json");
  const names = ["queued", "claimed", "started", "publishing", "cancelRequested", "finished"];
  const events = names.map((name) => decode(stageEvent, bytesOf(stage[name])));
  const folded = events.reduce((state, event, at) => applyToStage(state, event, at + 1), NO_STAGE);
  assert.equal(folded.status, "finished");
  assert.equal(folded.token, 2);
  assert.equal(folded.result?.outcome, "passed");
});

test("a lane that an earlier version stored is taken on", () => {
  const message = z.looseObject({ event: laneEvent, state: laneState });
  const { lane = {} } = storedBy("v1.json");
  const left = decode(message, bytesOf(lane["left"]));
  const state = environmentActor.apply(left.state, left.event, 3);
  assert.equal(state.live?.number, 4);
  assert.equal(state.inFlight, null);
});

test("a message that needs a newer version is left to one, and says so", () => {
  const newer = { v: PROTOCOL_VERSION + 1, type: "exploded", id: "e", atMs: 1 };
  assert.throws(
    () => decode(stageEvent, encode(newer)),
    (error) =>
      error instanceof ToroidError &&
      error.code === "TOR_VERSION_NEWER" &&
      dispositionOf(error) === "retry" &&
      error.message ===
        `a message is of version ${PROTOCOL_VERSION + 1} of the protocol, and this Toroid knows ${PROTOCOL_VERSION} at most: upgrade it`,
  );
});

test("a version that is no number is no version", () => {
  assert.deepEqual(decode(z.unknown(), encode({ v: "two" })), { v: "two" });
});

test("what wishes for executors is not read by who would send it to any", () => {
  const runsOn = { pool: null, labels: ["gpu"] };
  const wishing = [{ runsOn: { pool: null, labels: [] } }, { runsOn }];
  const planned = { kind: "plan", plan: { stages: wishing } };
  for (const [event, before] of [
    [
      { type: "planned", plan: { stages: wishing } },
      { type: "planned", plan: { stages: wishing.slice(0, 1) } },
    ],
    [
      { type: "finished", result: { planned } },
      { type: "finished", result: { planned: { kind: "skip" } } },
    ],
    [
      { type: "queued", work: { kind: "stage", stage: { runsOn } } },
      { type: "queued", work: { kind: "plan" } },
    ],
    [{ type: "queued", work: { stage: { runsOn: { pool: "big", labels: [] } } } }, { type: "queued" }],
  ] as const) {
    assert.deepEqual([versionOf(event), versionOf(before)], [3, 2]);
  }
  assert.equal(versionOf({ type: "finished", result: { planned: null } }), 1);
});

test("who does not know images that are made is not given one, in a plan or in the work of a stage", () => {
  const [made, there] = [{ image: { kind: "packer" } }, { image: { kind: "host" } }];
  const fetched = [
    { image: { kind: "debian" } },
    { image: { kind: "oci" } },
    { image: { kind: "packer", base: { kind: "oci" } } },
  ];
  for (const stage of fetched) {
    assert.equal(versionOf({ type: "planned", plan: { stages: [there, stage] } }), 4);
    assert.equal(commandVersionOf({ work: { stage } }), 4);
  }
  const plan = { stages: [there, made] };
  assert.equal(versionOf({ type: "planned", plan }), 3);
  assert.equal(versionOf({ type: "planned", plan: { stages: [there] } }), 2);
  assert.equal(versionOf({ type: "finished", result: { planned: { kind: "plan", plan } } }), 3);
  assert.equal(versionOf({ type: "queued", work: { kind: "stage", stage: made } }), 3);
  const generated = { image: { kind: "packer", text: "build {}" } };
  assert.equal(versionOf({ type: "planned", plan: { stages: [made, generated] } }), 4);
  assert.equal(commandVersionOf({ work: { stage: generated } }), 4);
  assert.deepEqual([{ work: { stage: made } }, { work: { stage: there } }, {}].map(commandVersionOf), [3, 2, 2]);
});

test("who does not know of secrets is not given a stage that asks for some", () => {
  const none = { secrets: [], publishSecrets: [] };
  for (const stage of [
    { ...none, secrets: ["A"] },
    { ...none, publishSecrets: ["A"] },
  ]) {
    assert.equal(versionOf({ type: "planned", plan: { stages: [none, stage] } }), 4);
    assert.equal(versionOf({ type: "queued", work: { kind: "stage", stage } }), 4);
    assert.equal(commandVersionOf({ work: { stage } }), 4);
  }
  assert.equal(versionOf({ type: "planned", plan: { stages: [none] } }), 2);
  assert.equal(commandVersionOf({ work: { stage: none } }), 2);
});

test("every event that is written says a version that this code knows", () => {
  const types = [pushEvent, buildEvent, stageEvent, laneEvent].flatMap((union) =>
    union.options.flatMap(({ shape }) => [...shape.type.values]),
  );
  assert.ok(types.length > 15);
  for (const type of types) {
    const version = versionOf({ type });
    assert.ok(version >= 1 && version <= PROTOCOL_VERSION, `${type} is of version ${version}`);
  }
});

test("who does not know AMIs gets none to bake, and none as an artifact, wherever it is said", () => {
  const [ami, files] = [{ kind: "ami" }, { kind: "files" }];
  const stages = [{ ami: null }, { ami: {} }];
  for (const [event, before, lane] of [
    [{ type: "planned", plan: { stages } }, 2],
    [{ type: "finished", result: { planned: { kind: "plan", plan: { stages } } } }, 2],
    [{ type: "finished", result: { artifact: ami } }, 1],
    [{ type: "settled", artifact: ami }, 1],
    [{ type: "queued", work: { kind: "stage", stage: { ami: {} } } }, 2],
    [{ type: "queued", work: { kind: "stage", context: { artifact: ami } } }, 2],
    [{ type: "queued", work: { kind: "stage", context: { previousArtifact: ami } } }, 2],
    [{ type: "admitted", previousArtifact: ami }, 3],
    [{ type: "left", live: { artifact: ami } }, 3],
    [{ type: "paused" }, 3, { live: { artifact: ami } }],
    [{ type: "paused" }, 3, { live: { artifact: files }, before: [{ artifact: ami }] }],
  ] as const) {
    assert.equal(versionOf(event, lane), 4, JSON.stringify([event, lane]));
    const without = JSON.stringify([event, lane ?? null]).replaceAll('"ami"', '"none"');
    const [changed, carried] = JSON.parse(without) as [object, object | null];
    assert.equal(versionOf(changed, carried), before, without);
  }
  assert.deepEqual(
    [
      { work: { stage: { ami: {} } } },
      { work: { context: { artifact: ami } } },
      { work: { stage: { ami: null } } },
    ].map(commandVersionOf),
    [4, 4, 2],
  );
});
