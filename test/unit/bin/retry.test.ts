import assert from "node:assert/strict";
import { test } from "node:test";
import { build } from "../../support/summaries.ts";
import { FakeCoordinator, refusal } from "./fake-coordinator.ts";
import { toroid } from "./toroid.ts";

const BUILD = "/api/v1/builds/acme/api/42";

test("retry asks for all of a build, or for one stage whatever is in its name", async () => {
  const again = { status: 202, json: build(42, { status: "running", outcome: null }) };
  await using server = await FakeCoordinator.start({
    [`POST ${BUILD}/retry`]: again,
    [`POST ${BUILD}/stages/build%20NODE%3D22/retry`]: again,
  });
  const all = await toroid(["retry", "acme/api#42", "--reason", "flaky", "--server", server.url]);
  assert.deepEqual([all.exit, all.out], [0, "acme/api#42\n"]);
  const one = await toroid(["retry", "acme/api#42", "build NODE=22", "--server", server.url]);
  assert.deepEqual([one.exit, one.out], [0, "acme/api#42 build NODE=22\n"]);
  assert.deepEqual(
    server.asked.map(({ body }) => body),
    [{ reason: "flaky" }, {}],
  );
});

test("retry exits with 5 and the server's sentence when there is nothing to try again", async () => {
  const why = "build passed: there is nothing to try again";
  await using server = await FakeCoordinator.start({ [`POST ${BUILD}/retry`]: refusal(409, "TOR_REFUSED", why) });
  const { exit, err } = await toroid(["retry", "acme/api#42", "--server", server.url]);
  assert.equal(exit, 5);
  assert.match(err, /build passed: there is nothing to try again \(TOR_REFUSED\)/);
});
