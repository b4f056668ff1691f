import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { build, environment, stage } from "../../support/summaries.ts";
import { tempDir } from "../../support/temp.ts";
import { type Answer, FakeCoordinator, refusal } from "./fake-coordinator.ts";
import { toroid } from "./toroid.ts";

const PAUSED = environment({
  paused: { by: "ann", why: "freeze", atMs: 1_760_000_000_000, untilMs: 1_760_003_600_000, of: null },
  inFlight: { number: 42, stage: "prod", round: 1 },
  waiting: [{ number: 43, stage: "prod", round: 1, approval: null, approvedBy: null, rollback: false, why: "" }],
});
const REPOSITORIES: Answer = {
  json: { repositories: [{ repository: "acme/api", builds: 43, environments: [PAUSED] }] },
};
const BUILDS: Answer = { json: { builds: [build(43, { outcome: null, status: "running" }), build(42)], next: null } };

describe("status", { concurrency: 2 }, () => {
  test("lists environments with who holds them and why, then builds, on standard output alone", async () => {
    await using server = await FakeCoordinator.start({
      "GET /api/v1/repositories": REPOSITORIES,
      "GET /api/v1/builds": BUILDS,
    });
    const { exit, out, err } = await toroid(["status", "--server", server.url]);
    assert.equal(exit, 0);
    assert.equal(err, "");
    assert.match(out, /acme\/api\s+prod\s+paused\s+paused by ann until 2025-10-09T\S+: freeze; live acme\/api#41/);
    assert.match(out, /acme\/api#43\s+running\s+main\s+199eddf\s+\S+\s+Ada\s+Teach it to count\n/);
    assert.equal(server.asked.find((a) => a.path === "/api/v1/builds")?.query["limit"], "10");
  });

  test("--json prints what the server said", async () => {
    await using server = await FakeCoordinator.start({ "GET /api/v1/builds/acme/api/42": { json: build(42) } });
    const { exit, out } = await toroid(["--json", "status", "acme/api#42"], { env: { TOROID_URL: server.url } });
    assert.equal(exit, 0);
    assert.deepEqual(JSON.parse(out), build(42));
  });

  test("of a build that failed exits with 1 and says what its stages wait for", async () => {
    const failed = build(42, {
      outcome: "failed",
      message: "build failed",
      stages: [
        stage("build", { outcome: "failed", message: "exit code 7" }),
        stage("prod", {
          status: "waiting",
          outcome: null,
          waiting: "waits for build",
          startedAtMs: null,
          claimedAtMs: null,
        }),
      ],
      problems: [
        {
          file: ".toroid.yml",
          line: 3,
          column: 5,
          message: "unknown key",
          hint: "did you mean `script`?",
          path: "x",
          frame: "",
        },
        {
          file: ".toroid.yml",
          line: 1,
          column: 1,
          message: "",
          hint: null,
          path: "y",
          frame: ".toroid.yml:1:1: a\n  1 | b\n    | ^",
        },
      ],
    });
    await using server = await FakeCoordinator.start({ "GET /api/v1/builds/acme/api/42": { json: failed } });
    const { exit, out } = await toroid(["status", "acme/api#42", "--server", server.url]);
    assert.equal(exit, 1);
    assert.match(out, /^acme\/api#42 failed: build failed\n/);
    assert.match(
      out,
      /\.toroid\.yml:3:5: unknown key\n {2}= did you mean `script`\?\n\n\.toroid\.yml:1:1: a\n {2}1 \| b\n {4}\| \^\n/,
    );
    assert.match(out, /build\s+failed\s+1m 05s\s+host-1\s+exit code 7\nprod\s+waiting\s+host-1\s+waits for build\n/);
  });

  test("lets no control character of a pusher reach the terminal", async () => {
    const hostile = build(42, { commitMessage: "\u001b]0;pwned\u0007 hello\u202e", author: "\u001b[31m" });
    await using server = await FakeCoordinator.start({ "GET /api/v1/builds/acme/api/42": { json: hostile } });
    const { out } = await toroid(["status", "acme/api#42", "--server", server.url]);
    assert.match(out, /hello/);
    assert.doesNotMatch(out, /(?!\n)[\p{Cc}\p{Cf}]/u);
  });
});

describe("pause and resume", { concurrency: 2 }, () => {
  test("say why and until when, and print what the environment is now", async () => {
    await using server = await FakeCoordinator.start({
      "POST /api/v1/environments/acme/api/prod/pause": { json: PAUSED },
    });
    const before = Date.now();
    const { exit, out } = await toroid([
      "pause",
      "acme/api",
      "prod",
      "--reason",
      "freeze",
      "--until",
      "2h",
      "--server",
      server.url,
    ]);
    assert.equal(exit, 0);
    assert.match(out, /^acme\/api prod: paused by ann until \S+: freeze; live acme\/api#41, .* waiting #43\n$/);
    const body = server.asked[0]?.body as { reason: string; until: string };
    assert.equal(body.reason, "freeze");
    const aheadMs = Date.parse(body.until) - before;
    assert.ok(aheadMs >= 7_200_000 && aheadMs < 7_230_000, `${aheadMs} ms ahead`);
  });

  test("without a reason is a usage error, and nobody is asked", async () => {
    await using server = await FakeCoordinator.start({});
    const { exit, out, err } = await toroid(["pause", "acme/api", "prod", "--server", server.url]);
    assert.deepEqual([exit, out], [2, ""]);
    assert.match(err, /^toroid: --reason is missing: .* \(TOR_INVALID_INPUT\)\n$/);
    assert.deepEqual(server.asked, []);
  });

  for (const [args, path] of [
    [["acme/api", "*"], "/api/v1/environments/acme/api/*"],
    [["*", "prod"], "/api/v1/environments/*/*/prod"],
    [["*", "*"], "/api/v1/environments/*/*/*"],
  ] as const) {
    test(`${args.join(" ")} are several environments, to pause and to resume`, async () => {
      const [repository, name] = args;
      const one = environment({ repository, environment: name, live: null });
      await using server = await FakeCoordinator.start({
        [`POST ${path}/pause`]: { json: one },
        [`POST ${path}/resume`]: { json: one },
      });
      const paused = await toroid(["pause", ...args, "--reason", "audit", "--server", server.url]);
      const resumed = await toroid(["resume", ...args, "--server", server.url]);
      assert.deepEqual([paused.exit, resumed.exit], [0, 0]);
      assert.deepEqual(
        server.asked.map((asked) => asked.path),
        [`${path}/pause`, `${path}/resume`],
      );
    });
  }

  test("resume needs none", async () => {
    await using server = await FakeCoordinator.start({
      "POST /api/v1/environments/acme/api/prod/resume": { json: environment() },
    });
    const { exit, out } = await toroid(["resume", "acme/api", "prod", "--server", server.url]);
    assert.deepEqual([exit, out], [0, "acme/api prod: open; live acme/api#41, commit a10867b\n"]);
  });
});

describe("trigger", { concurrency: 2 }, () => {
  test("of a ref asks for a build with its parameters and prints its name", async () => {
    await using server = await FakeCoordinator.start({
      "POST /api/v1/builds": { status: 202, json: { repository: "acme/api", number: 44 } },
    });
    const args = [
      "trigger",
      "acme/api",
      "main",
      "-p",
      "A=1",
      "--param",
      "B=x=y",
      "--remote",
      "https://example.com/a.git",
    ];
    const { exit, out } = await toroid([...args, "--server", server.url]);
    assert.deepEqual([exit, out], [0, "acme/api#44\n"]);
    assert.deepEqual(server.asked[0]?.body, {
      repository: "acme/api",
      ref: "main",
      params: { A: "1", B: "x=y" },
      remote: { https: "https://example.com/a.git", ssh: null },
    });
  });

  test("of a build's environment asks for one more round of it", async () => {
    await using server = await FakeCoordinator.start({
      "POST /api/v1/builds/acme/api/42/environments/prod": {
        status: 202,
        json: { repository: "acme/api", number: 42 },
      },
    });
    const { exit, out } = await toroid([
      "trigger",
      "acme/api",
      "--build",
      "42",
      "--environment",
      "prod",
      "--server",
      server.url,
    ]);
    assert.deepEqual([exit, out], [0, "acme/api#42 prod\n"]);
  });

  for (const [args, says] of [
    [["api", "main"], /"api" is not a repository/],
    [["acme/api"], /name a ref to build/],
    [["acme/api", "main", "-p", "TOROID_COMMIT=x"], /`TOROID_COMMIT` is set by Toroid/],
    [["acme/api", "--build", "0", "--environment", "prod"], /--build is "0"/],
    [["acme/api", "--build", "4"], /--build needs --environment/],
  ] as const) {
    test(`${args.join(" ")} is a usage error`, async () => {
      const { exit, err } = await toroid(["trigger", ...args]);
      assert.equal(exit, 2);
      assert.match(err, says);
    });
  }
});

describe("cancel", () => {
  test("prints how the build ended, or that it is about to", async () => {
    await using server = await FakeCoordinator.start({
      "POST /api/v1/builds/acme/api/42/cancel": { json: build(42, { outcome: null, status: "running" }) },
    });
    const { exit, out } = await toroid(["cancel", "acme/api#42", "--reason", "wrong branch", "--server", server.url]);
    assert.deepEqual([exit, out], [0, "acme/api#42 is being cancelled\n"]);
    assert.deepEqual(server.asked[0]?.body, { reason: "wrong branch" });
  });
});

describe("lint", { concurrency: 2 }, () => {
  test("of a good file says so on standard error and exits with 0", async () => {
    await using dir = await tempDir();
    await writeFile(join(dir.path, ".toroid.yml"), "script: make test\n");
    const { exit, out, err } = await toroid(["lint"], { cwd: dir.path });
    assert.deepEqual([exit, out, err], [0, "", ".toroid.yml is fine\n"]);
  });

  test("of a broken file shows every problem in its place and exits with 2", async () => {
    await using dir = await tempDir();
    await writeFile(join(dir.path, "ci.yml"), "scirpt: make test\n");
    const { exit, out } = await toroid(["lint", "ci.yml"], { cwd: dir.path });
    assert.equal(exit, 2);
    assert.match(out, /^ci\.yml:1:1: .*\n {2}1 \| scirpt: make test\n {4}\| \^+\n/);
    const json = await toroid(["lint", "ci.yml", "--json"], { cwd: dir.path });
    assert.equal(json.exit, 2);
    assert.equal(JSON.parse(json.out).problems[0].line, 1);
  });

  test("of no file is a usage error", async () => {
    await using dir = await tempDir();
    const { exit, err } = await toroid(["lint"], { cwd: dir.path });
    assert.deepEqual([exit, err], [2, "toroid: there is no .toroid.yml here (TOR_INVALID_INPUT)\n"]);
  });
});

describe("doctor", { concurrency: 2 }, () => {
  test("finds a coordinator that is ready", async () => {
    const up: Answer = { json: { status: "ok" } };
    const nobody: Answer = { json: { targets: [] } };
    const answers = { "GET /healthz": up, "GET /readyz": up, "GET /api/v1/targets": nobody };
    await using server = await FakeCoordinator.start(answers);
    const { exit, out } = await toroid(["doctor", "--server", server.url]);
    assert.equal(exit, 0);
    assert.match(
      out,
      /^ok +node .*\nok +coordinator +ok at http:.*\nok +its parts +ok\nok +notifications +nobody is notified .*\n$/,
    );
  });

  test("says what a loss of power would lose, and exits with 6", async () => {
    const store = { ok: false, says: "it is not known whether NATS syncs" };
    await using server = await FakeCoordinator.start({
      "GET /healthz": { json: { status: "ok" } },
      "GET /readyz": { json: { status: "ok", store } },
    });
    const { exit, out } = await toroid(["doctor", "--server", server.url]);
    assert.equal(exit, 6);
    assert.match(out, /ok +its parts +ok\nFAIL +its store +it is not known whether NATS syncs\n/);
  });

  test("finds one that waits for something, and exits with 6", async () => {
    await using server = await FakeCoordinator.start({
      "GET /healthz": { json: { status: "ok" } },
      "GET /readyz": refusal(503, "TOR_NATS_UNREACHABLE", "NATS is away"),
    });
    const { exit, out } = await toroid(["doctor", "--server", server.url]);
    assert.equal(exit, 6);
    assert.match(out, /FAIL +its parts +NATS is away\n/);
  });
});

describe("any command", { concurrency: 2 }, () => {
  const REFUSALS: readonly [number, string, number][] = [
    [400, "TOR_INVALID_INPUT", 2],
    [401, "TOR_AUTH_MISSING", 3],
    [403, "TOR_FORBIDDEN", 3],
    [404, "TOR_NOT_FOUND", 4],
    [409, "TOR_CONFLICT", 5],
    [500, "TOR_INTERNAL", 6],
    [503, "TOR_NATS_UNREACHABLE", 6],
  ];
  for (const [status, code, expected] of REFUSALS) {
    test(`that is answered ${status} exits with ${expected}, with the server's sentence and code`, async () => {
      await using server = await FakeCoordinator.start({
        "GET /api/v1/builds/acme/api/9": refusal(status, code, "no, because"),
      });
      const { exit, out, err } = await toroid(["status", "acme/api#9", "--server", server.url]);
      assert.deepEqual([exit, out, err], [expected, "", `toroid: no, because (${code})\n`]);
    });
  }

  test("that nobody answers exits with 6 and says whom it asked", async () => {
    const { exit, out, err } = await toroid(["status", "--server", "http://127.0.0.1:1"]);
    assert.deepEqual([exit, out], [6, ""]);
    assert.match(err, /^toroid: no coordinator answers at http:\/\/127\.0\.0\.1:1 \(.*\(TOR_SERVER_UNREACHABLE\)\n$/);
  });

  test("with --json says its error in JSON too", async () => {
    const { exit, err } = await toroid(["status", "acme", "--json"]);
    assert.equal(exit, 2);
    assert.equal(JSON.parse(err).code, "TOR_INVALID_INPUT");
  });

  test("that something else answers exits with 6", async () => {
    await using server = await FakeCoordinator.start({
      "GET /api/v1/builds/acme/api/9": (response) => void response.end("<html>hello</html>"),
    });
    const { exit, err } = await toroid(["status", "acme/api#9", "--server", server.url]);
    assert.equal(exit, 6);
    assert.match(err, /is not a coordinator that this version of toroid understands \(TOR_DECODE\)\n$/);
  });

  test("that does not exist is a usage error that leads to the help", async () => {
    const { exit, out, err } = await toroid(["frobnicate"]);
    assert.deepEqual([exit, out], [2, ""]);
    assert.match(err, /unknown command 'frobnicate'/);
    assert.match(err, /toroid --help/);
  });

  test("explains itself on standard output", async () => {
    const { exit, out, err } = await toroid(["pause", "--help"]);
    assert.deepEqual([exit, err], [0, ""]);
    assert.match(out, /--reason <text>/);
  });

  test("with a --server that is no URL is a usage error", async () => {
    const { exit, err } = await toroid(["status", "--server", "nowhere"]);
    assert.equal(exit, 2);
    assert.match(err, /"nowhere" is not the URL of a coordinator/);
  });
});

test("sample says which variable names the queue, and asks for a directory", async () => {
  assert.match((await toroid(["sample"])).err, /missing required argument 'directory'|name a directory/);
  const { exit, err } = await toroid(["sample", "/nowhere"]);
  assert.deepEqual([exit, err.includes("TOROID_QUEUE_URL is not set")], [2, true], err);
});
