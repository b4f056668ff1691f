import assert from "node:assert/strict";
import { test } from "node:test";
import { environment } from "../../support/summaries.ts";
import { FakeCoordinator } from "./fake-coordinator.ts";
import { toroid } from "./toroid.ts";

const PROD = "/api/v1/environments/acme/api/prod";
const deployed = (number: number) => ({
  status: 202,
  json: { repository: "acme/api", number, environment: "prod", round: 2 },
});

test("promote names the build and the environment, and passes on parameters and why", async () => {
  await using server = await FakeCoordinator.start({ [`POST ${PROD}/promote`]: deployed(42) });
  const args = ["promote", "acme/api#42", "prod", "-p", "REGION=eu", "--reason", "late", "--server", server.url];
  const { exit, out } = await toroid(args);
  assert.deepEqual([exit, out], [0, "acme/api#42 prod\n"]);
  assert.deepEqual(server.asked[0]?.body, { build: 42, params: { REGION: "eu" }, reason: "late" });
});

test("rollback needs a reason, goes to what was before or to a build, and says what it holds", async () => {
  await using server = await FakeCoordinator.start({ [`POST ${PROD}/rollback`]: deployed(40) });
  const silent = await toroid(["rollback", "acme/api", "prod", "--server", server.url]);
  assert.equal(silent.exit, 2);
  assert.match(silent.err, /--reason is missing/);
  const back = await toroid(["rollback", "acme/api", "prod", "--reason", "slow", "--server", server.url]);
  assert.deepEqual(
    [back.exit, back.out, back.err],
    [0, "acme/api#40 prod\n", "toroid: what is newer waits until: toroid release acme/api prod\n"],
  );
  for (const to of ["39", "acme/api#39"]) {
    await toroid(["rollback", "acme/api", "prod", "--to", to, "--reason", "slow", "--server", server.url]);
  }
  const other = await toroid([
    "rollback",
    "acme/api",
    "prod",
    "--to",
    "acme/web#3",
    "--reason",
    "x",
    "--server",
    server.url,
  ]);
  assert.match(other.err, /--to acme\/web#3 is not a build of acme\/api/);
  assert.deepEqual(
    server.asked.map(({ body }) => body),
    [{ reason: "slow" }, { reason: "slow", build: 39 }, { reason: "slow", build: 39 }],
  );
});

test("release prints how the environment is", async () => {
  await using server = await FakeCoordinator.start({ [`POST ${PROD}/release`]: { json: environment() } });
  const { exit, out } = await toroid(["release", "acme/api", "prod", "--server", server.url]);
  assert.deepEqual([exit, out], [0, "acme/api prod: open; live acme/api#41, commit a10867b\n"]);
});

test("status shows who holds an environment since a rollback, and why", async () => {
  const held = environment({ held: { number: 40, by: "ann", why: "slow\u001b[31m", atMs: 1 } });
  await using server = await FakeCoordinator.start({
    "GET /api/v1/repositories": {
      json: { repositories: [{ repository: "acme/api", builds: 43, environments: [held] }] },
    },
    "GET /api/v1/builds": { json: { builds: [], next: null } },
  });
  const { out } = await toroid(["status", "acme/api", "--server", server.url]);
  assert.match(out, /prod +held +live acme\/api#41, commit a10867b; held by ann since the rollback to #40: slow/);
  assert.ok(!out.includes("\u001b"));
});
