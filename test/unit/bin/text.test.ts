import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ServerEvent, serverEvents } from "../../../bin/sse.ts";
import { untilOf } from "../../../bin/text/arguments.ts";
import { buildReport } from "../../../bin/text/builds.ts";
import { oneLine, table } from "../../../bin/text/output.ts";
import { age, took } from "../../../bin/text/time.ts";
import { build } from "../../support/summaries.ts";

describe("times", () => {
  for (const [ms, expected] of [
    [0, "0.0s"],
    [431, "0.4s"],
    [12_400, "12s"],
    [65_000, "1m 05s"],
    [3_720_000, "1h 02m"],
  ] as const) {
    test(`${ms} ms took ${expected}`, () => assert.equal(took(ms), expected));
  }
  for (const [ms, expected] of [
    [-5, "0s"],
    [59_999, "59s"],
    [60_000, "1m"],
    [7_200_000, "2h"],
    [3 * 86_400_000, "3d"],
  ] as const) {
    test(`${ms} ms ago is ${expected}`, () => assert.equal(age(1e12 - ms, 1e12), expected));
  }

  test("--until is a duration from now or an instant ahead", () => {
    const now = Date.parse("2026-12-24T12:00:00Z");
    assert.equal(untilOf("1h30m", now), "2026-12-24T13:30:00.000Z");
    assert.equal(untilOf("2026-12-24T18:00Z", now), "2026-12-24T18:00:00.000Z");
    for (const wrong of ["2020-01-01", "tomorrow", "", "5"]) assert.throws(() => untilOf(wrong, now), /--until/);
  });
});

describe("text for a terminal", () => {
  test("is in columns, whatever the cells are coloured with", () => {
    assert.equal(
      table([
        ["a", "\u001b[31mbb\u001b[39m", "c"],
        ["aaa", "b", ""],
      ]),
      "a    \u001b[31mbb\u001b[39m  c\naaa  b\n",
    );
  });

  test("is one line, cut between characters", () => {
    assert.equal(oneLine("one\ntwo"), "one");
    assert.equal(oneLine("😀😀😀😀", 3), "😀😀…");
  });
});

describe("server-sent events", () => {
  async function read(chunks: readonly string[]): Promise<ServerEvent[]> {
    const bytes = chunks.map((chunk) => new TextEncoder().encode(chunk));
    return Array.fromAsync(
      serverEvents(
        (async function* () {
          yield* bytes;
        })(),
      ),
    );
  }

  test("are the same however the bytes are cut", async () => {
    const text = 'id: 7\nevent: bytes\ndata: {"é": 1}\ndata: more\n\n: a comment\n\ndata:x\r\n\r\n';
    const whole = await read([text]);
    assert.deepEqual(whole, [
      { event: "bytes", data: '{"é": 1}\nmore', id: "7" },
      { event: "message", data: "x", id: "7" },
    ]);
    for (let at = 1; at < text.length; at += 1)
      assert.deepEqual(await read([text.slice(0, at), text.slice(at)]), whole);
  });

  test("that the end cuts off are dropped", async () => {
    assert.deepEqual(await read(["data: x\n"]), []);
  });
});

test("a build that baked an AMI says which, by region", () => {
  const amis = { "eu-west-1": "ami-11111111", "us-east-1": "ami-22222222" };
  const artifact = { kind: "ami", key: `sha256:${"a".repeat(64)}`, amis, files: null } as const;
  assert.match(
    buildReport(build(1, { artifact }), 0, false),
    /^ami: ami-11111111 in eu-west-1, ami-22222222 in us-east-1$/m,
  );
  assert.doesNotMatch(buildReport(build(1), 0, false), /^ami:/m);
});
