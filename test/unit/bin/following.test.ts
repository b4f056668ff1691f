/** Commands that follow what changes: builds, events, wait. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import type { ServerResponse } from "node:http";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { build, environment, stage } from "../../support/summaries.ts";
import { until } from "../../support/until.ts";
import { type Answer, FakeCoordinator, refusal } from "./fake-coordinator.ts";
import { BIN, start, toroid } from "./toroid.ts";

/** Each command is a process, and others run beside it. */
const PATIENCE = { withinMs: 25_000 };
const LIST = "GET /api/v1/builds";
const EVENTS = "GET /api/v1/events";
const running = (number: number, more: Parameters<typeof build>[1] = {}) =>
  build(number, { status: "running", outcome: null, finishedAtMs: null, ...more });

/** Answers in turn; the last one from then on. */
function inTurn(...answers: readonly Answer[]): Answer {
  let at = 0;
  return (response, asked) => {
    const answer = answers[Math.min(at++, answers.length - 1)];
    if (typeof answer === "function") answer(response, asked);
    else
      response
        .writeHead(answer?.status ?? 200, { "content-type": "application/json" })
        .end(JSON.stringify(answer?.json));
  };
}

/** Sends events, and stays open unless told otherwise. */
function sse(events: readonly (readonly [event: string, data: unknown, id?: string])[], ends = false): Answer {
  return (response: ServerResponse) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const [event, data, id] of events) {
      response.write(`${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    }
    if (ends) response.end();
  };
}

describe("builds", { concurrency: 2 }, () => {
  test("asks for what the flags say, shows what waits and why, and how to go on", async () => {
    const waiting = running(43, { waiting: "prod: it waits for approval by anybody" });
    await using server = await FakeCoordinator.start({
      [LIST]: { json: { builds: [waiting, build(42)], next: "42" } },
    });
    const flags = ["--branch", "main", "--state", "failed", "--author", "Ada", "--limit", "2", "--before", "44"];
    const { exit, out, err } = await toroid(["builds", "acme/api", ...flags, "--server", server.url]);
    assert.equal(exit, 0);
    assert.match(out, /acme\/api#43 +running .*Teach it to count +waits: prod: it waits for approval by anybody\n/);
    assert.equal(err, "more: toroid builds acme/api --before 42 (and the same filters)\n");
    const query = { repository: "acme/api", branch: "main", state: "failed", author: "Ada", limit: "2", before: "44" };
    assert.deepEqual(server.asked[0]?.query, query);
  });

  test("-f shows each change of state once, of those that are wanted, also what a broken connection missed", async () => {
    await using server = await FakeCoordinator.start({
      [LIST]: inTurn(
        { json: { builds: [running(42), build(41)], next: null } },
        { json: { builds: [running(43), build(42), build(41)], next: null } },
      ),
      [EVENTS]: inTurn(
        sse(
          [
            ["environment", environment()],
            ["build", running(42)],
            ["build", running(9, { branch: "other" })],
          ],
          true,
        ),
        sse([["build", build(43, { outcome: "failed" })]]),
      ),
    });
    const { child, ended } = start(["builds", "-f", "acme/api", "--branch", "main", "--json", "--server", server.url]);
    let said = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (said += text));
    await until("the last change", () => said.includes('"failed"'), PATIENCE);
    child.kill("SIGINT");
    const { exit, out } = await ended;
    assert.equal(exit, 130);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { number: number; outcome: string | null });
    assert.deepEqual(
      lines.map(({ number, outcome }) => `${number} ${outcome ?? "running"}`),
      ["41 passed", "42 running", "42 passed", "43 running", "43 failed"],
    );
  });
});

describe("events", { concurrency: 2 }, () => {
  test("a line each, and behind a broken connection goes on where it was", async () => {
    await using server = await FakeCoordinator.start({
      [EVENTS]: inTurn(
        sse([["build", running(42), "7"]], true),
        sse(
          [
            ["environment", environment(), "8"],
            ["resync", {}],
          ],
          true,
        ),
        sse([["build", build(42), "12"]]),
      ),
    });
    const { child, ended } = start(["events", "acme/api", "--json", "--after", "6", "--server", server.url]);
    let said = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (said += text));
    await until("the last event", () => said.includes('"id":"12"'), PATIENCE);
    child.kill("SIGINT");
    const { exit, out, err } = await ended;
    assert.equal(exit, 130);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; id: string | null });
    assert.deepEqual(
      lines.map(({ event, id }) => [event, id]),
      [
        ["build", "7"],
        ["environment", "8"],
        ["resync", "8"],
        ["build", "12"],
      ],
    );
    assert.deepEqual(
      server.asked.map(({ headers }) => headers["last-event-id"]),
      ["6", "7", "8"],
    );
    assert.match(err, /^toroid: connection lost, trying again\ntoroid: connected again\n/);
  });

  test("are sentences for people, without control characters of others", async () => {
    const hostile = running(42, { waiting: "\u001b[31mbuild: it waits" });
    await using server = await FakeCoordinator.start({
      [EVENTS]: sse([
        ["build", hostile],
        ["build", build(1, { repository: "acme/other" })],
        ["environment", environment()],
      ]),
    });
    const { child, ended } = start(["events", "acme/api", "--server", server.url]);
    let said = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (said += text));
    await until("the environment", () => said.includes("environment"), PATIENCE);
    child.kill("SIGINT");
    const { out } = await ended;
    assert.match(out, /^build acme\/api#42 running: .*it waits\nenvironment acme\/api prod: open; live acme\/api#41/);
    assert.doesNotMatch(out, /(?!\n)[\p{Cc}\p{Cf}]|other/u);
  });
});

describe("wait", { concurrency: 2 }, () => {
  const ONE = "GET /api/v1/builds/acme/api/42";

  test("says how far it is, a line for each change in a pipe, and exits as the build ended", async () => {
    await using server = await FakeCoordinator.start({
      [ONE]: inTurn(
        { json: running(42, { stages: [stage("build", { status: "running", outcome: null })] }) },
        { json: running(42, { waiting: "prod: prod is paused by ann: freeze" }) },
        { json: running(42, { waiting: "prod: prod is paused by ann: freeze" }) },
        { json: build(42, { outcome: "failed", message: "prod failed" }) },
      ),
    });
    const { exit, out, err } = await toroid(["wait", "acme/api#42", "--server", server.url]);
    assert.deepEqual([exit, out], [1, "acme/api#42 failed: prod failed\n"]);
    assert.equal(err, "acme/api#42 running: build\nacme/api#42 waits: prod: prod is paused by ann: freeze\n");
  });

  test("on a terminal says it in one line that is written over, and leaves nothing of it", async () => {
    await using server = await FakeCoordinator.start({
      [ONE]: inTurn(
        { json: running(42, { stages: [stage("build", { status: "running", outcome: null })] }) },
        { json: running(42, { waiting: "prod: it waits for approval by anybody, ".repeat(5) }) },
        { json: build(42) },
      ),
    });
    const line = `stty cols 60; '${process.execPath}' '${BIN}' wait acme/api#42 --server ${server.url}`;
    const { stdout } = await promisify(execFile)("script", ["-qec", line, "/dev/null"], {
      env: { ...process.env, TERM: "xterm", NO_COLOR: "1" },
    });
    const shown = stdout.replaceAll("\r\n", "\n").split("\r\u001b[2K");
    assert.equal(shown[1], "acme/api#42 running: build");
    assert.match(shown[2] ?? "", /^acme\/api#42 waits: prod: it waits .{20,}…$/);
    assert.ok(Array.from(shown[2] ?? "").length < 60, stdout);
    assert.equal(shown.at(-1), "acme/api#42 passed\n");
  });

  test("by commit waits until there is a build of it", async () => {
    await using server = await FakeCoordinator.start({
      [LIST]: inTurn({ json: { builds: [], next: null } }, { json: { builds: [build(42)], next: null } }),
      [ONE]: { json: build(42) },
    });
    const { exit, out, err } = await toroid([
      "wait",
      "acme/api",
      "--commit",
      "199eddf",
      "--json",
      "--server",
      server.url,
    ]);
    assert.equal(exit, 0);
    assert.deepEqual(JSON.parse(out), build(42));
    assert.match(err, /^acme\/api: no build of 199eddf yet\n/);
  });

  test("for an environment is over when that one is", async () => {
    const half = running(42, {
      stages: [
        stage("stage", { environment: "stage" }),
        stage("prod", { environment: "prod", status: "waiting", outcome: null }),
      ],
    });
    await using server = await FakeCoordinator.start({ [ONE]: { json: half } });
    const done = await toroid(["wait", "acme/api#42", "--environment", "stage", "--server", server.url]);
    assert.deepEqual([done.exit, done.out], [0, "acme/api#42 stage passed\n"]);
  });

  test("ends with 124 when it was told to wait no longer, and with 130 at Ctrl-C", async () => {
    await using server = await FakeCoordinator.start({ [ONE]: { json: running(42) } });
    const late = await toroid(["wait", "acme/api#42", "--timeout", "100ms", "--server", server.url]);
    assert.deepEqual([late.exit, late.out], [124, ""]);
    assert.match(late.err, /has not ended in time: it was waited for no longer \(TOR_WAIT_TIMEOUT\)\n$/);
    const { child, ended } = start(["wait", "acme/api#42", "--server", server.url]);
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
    await until("it to wait", () => said.includes("running"), PATIENCE);
    child.kill("SIGINT");
    assert.equal((await ended).exit, 130);
  });

  test("goes on when the coordinator is away for a moment, and gives up what is not there", async () => {
    await using server = await FakeCoordinator.start({
      [ONE]: inTurn(refusal(503, "TOR_NATS_UNREACHABLE", "NATS is away"), { json: build(42) }),
    });
    const { exit, err } = await toroid(["wait", "acme/api#42", "--server", server.url]);
    assert.deepEqual([exit, err], [0, "the coordinator does not answer, trying again\n"]);
    assert.equal((await toroid(["wait", "acme/api#9", "--server", server.url])).exit, 4);
    assert.equal((await toroid(["wait", "acme/api", "--server", server.url])).exit, 2);
    assert.equal((await toroid(["wait", "acme/api", "--commit", "xyz", "--server", server.url])).exit, 2);
  });
});
