import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stageOf } from "../../../bin/commands/logs.ts";
import type { StageOutcome } from "../../../protocol/events.ts";
import type { StageSummary } from "../../../protocol/summary.ts";
import { build, stage } from "../../support/summaries.ts";
import { until } from "../../support/until.ts";
import { type Answer, FakeCoordinator } from "./fake-coordinator.ts";
import { start, toroid } from "./toroid.ts";

const LOG = "GET /api/v1/builds/acme/api/42/stages/build/log";
const BUILD = { "GET /api/v1/builds/acme/api/42": { json: build(42, { stages: [stage("build")] }) } };

function event(name: string, id: number, data: object): string {
  return `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

function bytes(offset: number, text: string): string {
  return event("bytes", offset + text.length, { offset, text: Buffer.from(text).toString("base64") });
}

function streamed(...events: readonly string[]): Answer {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const e of events) response.write(e);
    response.end();
  };
}

/** A build whose stage is, at each look, in the next of these attempts or outcomes. */
function attempts(...looks: readonly (number | StageOutcome)[]): Readonly<Record<string, Answer>> {
  let at = -1;
  const answer: Answer = (response) => {
    at = Math.min(at + 1, looks.length - 1);
    const look = looks[at] ?? 1;
    const changes: Partial<StageSummary> =
      typeof look === "number" ? { attempt: look, status: "running", outcome: null } : { outcome: look };
    response.end(JSON.stringify(build(42, { stages: [stage("build", changes)] })));
  };
  return { "GET /api/v1/builds/acme/api/42": answer };
}

describe("logs", { concurrency: 2 }, () => {
  test("prints the bytes of the stage as they are", async () => {
    const raw = Buffer.from([0x68, 0x69, 0x0a, 0xff, 0x1b, 0x5b, 0x33, 0x31, 0x6d]);
    await using server = await FakeCoordinator.start({ ...BUILD, [LOG]: (response) => void response.end(raw) });
    const { exit, out } = await toroid(["logs", "acme/api#42", "--server", server.url]);
    assert.equal(exit, 0);
    assert.equal(out, raw.toString("utf8"));
    assert.deepEqual(server.asked.at(-1)?.query, { round: "1", follow: "0", attempt: "1" });
  });

  test("says what is not kept any more, whichever way it is read", async () => {
    const sinceMs = Date.UTC(2026, 9, 1);
    const since = new Date(sinceMs).toISOString();
    const plain: Answer = (response) => {
      response.writeHead(200, { "toroid-log-removed-bytes": "5", "toroid-log-removed-since": since });
      response.end("hi\n");
    };
    const events = streamed(
      event("removed", 5, { offset: 0, bytes: 5, sinceMs }),
      bytes(5, "hi\n"),
      event("end", 8, { offset: 8, droppedBytes: 0, outcome: "passed" }),
    );
    for (const [answer, flag] of [
      [plain, []],
      [events, ["-f"]],
    ] as const) {
      await using server = await FakeCoordinator.start({ ...BUILD, [LOG]: answer });
      const { exit, out, err } = await toroid(["logs", "acme/api#42", ...flag, "--server", server.url]);
      assert.deepEqual([exit, out], [0, "hi\n"]);
      assert.match(err, /^toroid: 5 bytes before this are not kept any more, since 2026-10-01T00:00:00.000Z$/m);
    }
  });

  test("names a stage with spaces and slashes in its address", async () => {
    const named = { "GET /api/v1/builds/acme/api/42": { json: build(42, { stages: [stage("build A=x/y")] }) } };
    await using server = await FakeCoordinator.start({
      ...named,
      "GET /api/v1/builds/acme/api/42/stages/build%20A%3Dx%2Fy/log": (response) => void response.end("hi\n"),
    });
    const { exit, out } = await toroid(["logs", "acme/api#42", "build A=x/y", "--server", server.url]);
    assert.deepEqual([exit, out], [0, "hi\n"]);
  });

  test("-f prints as events come, until the stage failed, and exits with 1", async () => {
    const end = event("end", 8, { offset: 8, droppedBytes: 12, outcome: "failed" });
    await using server = await FakeCoordinator.start({
      ...BUILD,
      [LOG]: streamed(
        event("phase", 0, { offset: 0, phase: "script", atMs: 1 }),
        bytes(0, "one\n"),
        bytes(4, "two\n"),
        end,
      ),
    });
    const { exit, out, err } = await toroid(["logs", "acme/api#42", "-f", "--server", server.url]);
    assert.deepEqual([exit, out], [1, "one\ntwo\n"]);
    assert.equal(err, "toroid: 12 bytes over the limit are not in this log\n");
  });

  test("-f goes on where it was when the connection broke", async () => {
    const answer: Answer = (response, asked) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      if (asked.headers["last-event-id"] === "4") {
        response.write(bytes(4, "two\n"));
        response.end(event("end", 8, { offset: 8, droppedBytes: 0, outcome: "passed" }));
      } else {
        response.write(bytes(0, "one\n"), () => response.destroy());
      }
    };
    await using server = await FakeCoordinator.start({ ...BUILD, [LOG]: answer });
    const { exit, out, err } = await toroid(["logs", "acme/api#42", "-f", "--server", server.url]);
    assert.deepEqual([exit, out, err], [0, "one\ntwo\n", "toroid: connection lost, trying again\n"]);
  });

  test("-f goes on with the next attempt when one was lost", async () => {
    const answer: Answer = (response, asked) => {
      const attempt = asked.query["attempt"];
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(bytes(0, `attempt ${attempt}\n`));
      response.end(event("end", 10, { offset: 10, droppedBytes: 0, outcome: attempt === "1" ? null : "passed" }));
    };
    await using server = await FakeCoordinator.start({ ...attempts(1, 2), [LOG]: answer });
    const { exit, out, err } = await toroid(["logs", "acme/api#42", "-f", "--server", server.url]);
    assert.deepEqual([exit, out], [0, "attempt 1\nattempt 2\n"]);
    assert.equal(err, "toroid: attempt 1 was lost; going on with attempt 2\n");
    assert.equal(server.asked.at(-1)?.headers["last-event-id"], undefined);
  });

  test("-f waits for the outcome when the log ends before the stage does, and prints nothing twice", async () => {
    const end = event("end", 4, { offset: 4, droppedBytes: 0, outcome: null });
    await using server = await FakeCoordinator.start({
      ...attempts(1, 1, "failed"),
      [LOG]: streamed(bytes(0, "one\n"), end),
    });
    const { exit, out, err } = await toroid(["logs", "acme/api#42", "-f", "--server", server.url]);
    assert.deepEqual([exit, out, err], [1, "one\n", ""]);
  });

  test("--json prints a line an event", async () => {
    const end = event("end", 4, { offset: 4, droppedBytes: 0, outcome: "passed" });
    await using server = await FakeCoordinator.start({ ...BUILD, [LOG]: streamed(bytes(0, "one\n"), end) });
    const { exit, out } = await toroid(["logs", "acme/api#42", "--json", "--server", server.url]);
    assert.equal(exit, 0);
    const lines = out.trimEnd().split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      [
        { kind: "bytes", offset: 0, text: "one\n" },
        { kind: "end", offset: 4, droppedBytes: 0, outcome: "passed" },
      ],
    );
  });

  test("-f ends with 130 at Ctrl-C", async () => {
    const answer: Answer = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(bytes(0, "one\n"));
    };
    await using server = await FakeCoordinator.start({ ...BUILD, [LOG]: answer });
    const { child, ended } = start(["logs", "acme/api#42", "-f", "--server", server.url]);
    await until("the stream", () => server.asked.length === 2);
    child.kill("SIGINT");
    assert.equal((await ended).exit, 130);
  });

  test("of an unknown stage exits with 4 and names the nearest", async () => {
    await using server = await FakeCoordinator.start(BUILD);
    const { exit, err } = await toroid(["logs", "acme/api#42", "biuld", "--server", server.url]);
    assert.deepEqual(
      [exit, err],
      [4, "toroid: acme/api#42 has no stage biuld: did you mean `build`? (TOR_NOT_FOUND)\n"],
    );
  });
});

describe("the stage whose log is meant", () => {
  const plan = stage("_plan");
  const built = stage("build");
  const waiting = stage("prod", { status: "waiting", outcome: null, attempt: 0 });
  const cases: readonly [string, ReturnType<typeof stage>[], string | null, string][] = [
    ["the one that runs", [plan, built, stage("prod", { status: "running", outcome: null })], null, "prod 1"],
    [
      "the one that failed, when none runs",
      [plan, stage("test", { outcome: "failed" }), built, waiting],
      null,
      "test 1",
    ],
    ["the last that ran, when all passed", [plan, built, waiting], null, "build 1"],
    ["the named one", [plan, built, waiting], "prod", "prod 1"],
    ["the named one's newest round", [built, stage("prod"), stage("prod", { round: 2 })], "prod", "prod 2"],
  ];
  for (const [what, stages, name, expected] of cases) {
    test(`is ${what}`, () => {
      const found = stageOf(build(42, { stages }), name, null);
      assert.equal(`${found.name} ${found.round}`, expected);
    });
  }
});
