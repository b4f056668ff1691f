import assert from "node:assert/strict";
import { test } from "node:test";
import type { WaitingSummary } from "../../../protocol/summary.ts";
import { build, environment } from "../../support/summaries.ts";
import { type Answer, FakeCoordinator } from "./fake-coordinator.ts";
import { toroid } from "./toroid.ts";

const NEW = "b".repeat(40);
const APPROVALS = "POST /api/v1/environments/acme/api/prod/approvals";

function waits(number: number): WaitingSummary {
  const change = { from: "a10867b14bb761a232cd80139fbd4c0d33264240", to: NEW };
  const approval = { from: ["@acme/release"], self: false, endsAtMs: 1_760_000_000_000, change };
  return { number, stage: "prod", round: 1, approval, approvedBy: null, rollback: false, why: "" };
}

function repositories(...environments: readonly ReturnType<typeof environment>[]): Answer {
  return { json: { repositories: [{ repository: "acme/api", builds: 43, environments }] } };
}

const ONE = repositories(environment({ waiting: [waits(43)] }));
const approved = environment({ waiting: [{ ...waits(43), approval: null, approvedBy: "bob" }] });

test("approve finds where the build waits, says who, and prints what comes of it", async () => {
  await using server = await FakeCoordinator.start({
    "GET /api/v1/repositories": ONE,
    [APPROVALS]: { json: approved },
  });
  const args = ["approve", "acme/api#43", "--team", "@acme/release", "--as", "bób", "--server", server.url];
  const { exit, out, err } = await toroid(args);
  assert.deepEqual([exit, err], [0, ""]);
  assert.match(out, /^acme\/api#43 approved for prod\nacme\/api prod: .* waiting #43 \(approved by bob\)\n$/);
  const asked = server.asked.at(-1);
  assert.deepEqual(asked?.body, { build: 43, round: 1, decision: "approve", reason: "", team: "@acme/release" });
  assert.equal(Buffer.from(String(asked.headers["toroid-user"]), "latin1").toString("utf8"), "bób");
});

test("approve takes the environment instead of the build, and rejects", async () => {
  await using server = await FakeCoordinator.start({
    "GET /api/v1/repositories": ONE,
    [APPROVALS]: { json: environment() },
  });
  const args = ["approve", "acme/api", "prod", "--reject", "--reason", "not now", "--server", server.url];
  const { exit, out } = await toroid(args, { env: { TOROID_USER: "cyd" } });
  assert.equal(exit, 0);
  assert.match(out, /^acme\/api#43 rejected for prod\n/);
  const asked = server.asked.at(-1);
  assert.deepEqual(asked?.body, { build: 43, round: 1, decision: "reject", reason: "not now" });
  assert.equal(asked.headers["toroid-user"], "cyd");
});

test("approve --show says who may, and which builds and commits it would bring, and decides nothing", async () => {
  await using server = await FakeCoordinator.start({
    "GET /api/v1/repositories": ONE,
    "GET /api/v1/builds": {
      json: { builds: [build(43, { commitMessage: "Count\n\nmore" }), build(42), build(41)], next: "41" },
    },
  });
  const { exit, out } = await toroid(["approve", "acme/api", "prod", "--show", "--server", server.url]);
  assert.equal(exit, 0);
  assert.equal(
    out,
    [
      "acme/api#43 waits for approval for prod: by @acme/release but who caused it, until 2025-10-09T08:53:20.000Z",
      "live is acme/api#41; commits a10867b14bb7...bbbbbbbbbbbb",
      "  #43  199eddf  Ada  Count",
      "  #42  199eddf  Ada  Teach it to count",
      "",
    ].join("\n"),
  );
  assert.equal(server.asked.find(({ path }) => path === "/api/v1/builds")?.query["before"], "44");
  assert.ok(server.asked.every(({ method }) => method === "GET"));
});

test("approve says when nothing waits, and asks when several do", async () => {
  await using server = await FakeCoordinator.start({
    "GET /api/v1/repositories": repositories(
      environment({ waiting: [waits(43)] }),
      environment({ environment: "us", waiting: [waits(43), waits(42)] }),
    ),
  });
  const nothing = await toroid(["approve", "acme/api#41", "--server", server.url]);
  assert.equal(nothing.exit, 5);
  assert.match(nothing.err, /nothing of acme\/api#41 waits for approval/);
  const several = await toroid(["approve", "acme/api#43", "--server", server.url]);
  assert.equal(several.exit, 2);
  assert.match(several.err, /several of acme\/api#43 wait for approval: #43 prod, #43 us; name the build/);
});
