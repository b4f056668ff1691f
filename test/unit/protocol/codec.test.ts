import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Packr } from "msgpackr";
import { z } from "zod";
import { decode, encode, FRAME_VERSION, MESSAGE_LIMIT_BYTES } from "../../../protocol/codec.ts";
import { command } from "../../../protocol/commands.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { buildEvent, laneEvent, pushEvent, stageEvent } from "../../../protocol/events.ts";
import { logChunk } from "../../../protocol/log.ts";
import { buildSummary } from "../../../protocol/summary.ts";
import { planWith, push, source, stagePlan, workFor } from "../coordinator/samples.ts";

// The library renames the key `__proto__`, so that no message can reach a prototype; `v` is a version, at the top.
const json = fc
  .jsonValue({ noUnicodeString: false })
  .filter((value) => !/"(__proto__|v)":/.test(JSON.stringify(value)));

function refused(bytes: Uint8Array, schema: z.ZodType = z.unknown()): ToroidError {
  try {
    decode(schema, bytes);
  } catch (error) {
    assert.ok(error instanceof ToroidError, `not ours: ${String(error)}`);
    assert.equal(error.code, "TOR_DECODE");
    return error;
  }
  throw new Error("it was not refused");
}

test("whatever JSON can say comes back", () => {
  fc.assert(
    fc.property(json, (value) => {
      // Zero has one sign on the wire of an integer.
      assert.deepEqual(decode(z.unknown(), encode(value)), JSON.parse(JSON.stringify(value)));
    }),
  );
});

test("bytes and large numbers come back as they were", () => {
  const value = {
    data: new Uint8Array([0, 255, 128]),
    ms: 1_785_000_000_000,
    most: Number.MAX_SAFE_INTEGER,
    half: 0.5,
  };
  const back = decode(
    z.object({ data: z.instanceof(Uint8Array), ms: z.number(), most: z.number(), half: z.number() }),
    encode(value),
  );
  assert.deepEqual({ ...back, data: [...back.data] }, { ...value, data: [0, 255, 128] });
});

test("events and commands come back through their schemas", () => {
  const head = { id: "e1", atMs: 1_785_000_000_123 };
  const plan = planWith(stagePlan("build"));
  const created = { type: "created", ...head, push: push(), by: "queue" } as const;
  assert.deepEqual(decode(buildEvent, encode(created)), created);
  const planned = { type: "planned", ...head, source: source(), plan } as const;
  assert.deepEqual(decode(buildEvent, encode(planned)), planned);
  const queued = {
    type: "queued",
    ...head,
    pool: "default",
    attempt: 1,
    purpose: "run",
    work: workFor(stagePlan("build")),
  } as const;
  assert.deepEqual(decode(stageEvent, encode(queued)), queued);
  const hint = {
    repository: "acme/api",
    number: 1,
    stage: "build",
    round: 1,
    queuedSeq: 9,
    attempt: 1,
    purpose: "run",
    work: queued.work,
  };
  assert.deepEqual(decode(command, encode(hint)), hint);
  const accepted = { type: "accepted", ...head, number: 1, key: "k", push: push(), by: "queue", since: 0 } as const;
  assert.deepEqual(decode(pushEvent, encode(accepted)), accepted);
  const paused = { type: "paused", ...head, pause: { by: "ada", why: "freeze", atMs: 1, untilMs: null } } as const;
  assert.deepEqual(decode(laneEvent, encode(paused)), paused);
});

test("a field that this version does not know is kept", () => {
  const event = { type: "cancelRequested", id: "e", atMs: 1, by: "ada", why: "", mood: "bad" };
  assert.deepEqual(decode(buildEvent, encode(event)), event);
});

test("a message says which part of it is not as it should be", () => {
  const wrong = { type: "cancelRequested", id: "e", atMs: "yesterday", by: "ada", why: "" };
  assert.match(refused(encode(wrong), buildEvent).message, /^a message does not have the shape it should at atMs: /);
  assert.match(refused(encode({ type: "exploded" }), buildEvent).message, / at type: /);
  assert.match(refused(encode("text"), buildEvent).message, / at its top: /);
});

test("another frame version, no version and foreign bytes are told apart", () => {
  const bytes = encode({ a: 1 });
  bytes[0] = FRAME_VERSION + 1;
  assert.match(refused(bytes).message, /frame version 2 cannot be read by this version/);
  assert.match(refused(new Uint8Array()).message, /frame version none/);
  assert.match(refused(new Uint8Array([FRAME_VERSION])).message, /is not msgpack/);
  assert.match(refused(Buffer.from('{"toroid":1}')).message, /frame version 123/);
  assert.match(refused(Buffer.concat([encode(1), Buffer.from([0])])).message, /is not msgpack/);
});

test("what is too large is neither written nor read", () => {
  const fits = "x".repeat(MESSAGE_LIMIT_BYTES - 6);
  assert.equal(encode(fits).byteLength, MESSAGE_LIMIT_BYTES);
  assert.equal(decode(z.string(), encode(fits)), fits);
  assert.throws(
    () => encode(`${fits}x`),
    (error) =>
      error instanceof ToroidError && error.code === "TOR_INVALID_INPUT" && /over the limit/.test(error.message),
  );
  assert.match(refused(new Uint8Array(MESSAGE_LIMIT_BYTES + 1)).message, /over the limit/);
});

test("foreign bytes are refused and never crash a decoder, nor spoil the next message", () => {
  const schemas = [buildEvent, stageEvent, laneEvent, pushEvent, command, logChunk, buildSummary, z.unknown()];
  const good = encode({ type: "cancelRequested", id: "e", atMs: 1, by: "ada", why: "" });
  const framed = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.concat([Buffer.from([FRAME_VERSION]), bytes]));
  const bent = fc.array(fc.tuple(fc.nat(good.byteLength - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
    const copy = Uint8Array.from(good);
    for (const [at, byte] of changes) copy[at] = byte;
    return copy;
  });
  const cut = fc.nat(good.byteLength).map((length) => good.slice(0, length));
  fc.assert(
    fc.property(
      fc.oneof(framed, bent, cut, fc.uint8Array({ maxLength: 50 })),
      fc.constantFrom(...schemas),
      (bytes, schema) => {
        try {
          decode(schema, bytes);
        } catch (error) {
          assert.ok(error instanceof ToroidError && error.code === "TOR_DECODE", String(error));
        }
        assert.equal(decode(buildEvent, good).type, "cancelRequested");
      },
    ),
    { numRuns: 5_000 },
  );
});

test("claims of enormous sizes and depths are refused at once", () => {
  const bombs = [
    [0xdd, 0xff, 0xff, 0xff, 0xff], // an array of four billion
    [0xdf, 0xff, 0xff, 0xff, 0xff], // a map of four billion
    [0xc6, 0xff, 0xff, 0xff, 0xff], // four gigabytes
    [0xdb, 0xff, 0xff, 0xff, 0xff],
    Array<number>(500_000).fill(0x91), // an array in an array in an array
    Array<number>(500_000).fill(0x81),
  ];
  for (const bomb of bombs) {
    const began = performance.now();
    refused(Buffer.from([FRAME_VERSION, ...bomb]));
    assert.ok(performance.now() - began < 2_000);
  }
  assert.deepEqual(decode(z.unknown(), encode({ a: 1 })), { a: 1 });
});

test("extensions of msgpack do not bring objects with behaviour of their own", () => {
  const foreign = new Packr({ moreTypes: true, structuredClone: true });
  for (const value of [new Error("x"), new Set([1]), /x/, new Map([[{}, 1]])]) {
    const bytes = Buffer.concat([Buffer.from([FRAME_VERSION]), foreign.pack({ type: value, id: value })]);
    refused(bytes, buildEvent);
  }
});

test("a key named __proto__ stays data", () => {
  const bytes = Buffer.concat([
    Buffer.from([FRAME_VERSION, 0x81, 0xa9]),
    Buffer.from("__proto__"),
    Buffer.from([0x81, 0xa1, 0x61, 0x01]),
  ]);
  try {
    decode(z.record(z.string(), z.unknown()), bytes);
  } catch (error) {
    assert.ok(error instanceof ToroidError);
  }
  assert.equal(Object.hasOwn(Object.prototype, "a"), false);
});
