import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { missing, needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";

test("what is missing is said, what is there is not", () => {
  assert.equal(missing({ program: ["sh", "no-such-program"] }), "needs the program no-such-program");
  assert.equal(missing({ path: "/no/such/path" }), "needs /no/such/path");
  assert.equal(missing({ other: "needs a full moon" }), "needs a full moon");
  assert.equal(missing({ program: "sh", path: "/" }), undefined);
});

test("a test that lacks something is skipped, and fails where everything must work", (t) => {
  const said: (string | undefined)[] = [];
  const fake = { skip: (why?: string) => said.push(why) } as unknown as TestContext;
  const old = process.env["TOROID_MUST_WORK"];
  t.after(() => {
    if (old === undefined) delete process.env["TOROID_MUST_WORK"];
    else process.env["TOROID_MUST_WORK"] = old;
  });
  delete process.env["TOROID_MUST_WORK"];
  assert.equal(needs(fake, { program: "no-such-program" }), false);
  assert.equal(needs(fake, { program: "sh" }), true);
  process.env["TOROID_MUST_WORK"] = "1";
  assert.throws(
    () => needs(fake, { program: "no-such-program" }),
    /must work here .* needs the program no-such-program$/,
  );
  // Only whoever wants whole packages downloaded has to have what that takes.
  const wish = process.env["TOROID_TEST_DOWNLOADS"];
  delete process.env["TOROID_TEST_DOWNLOADS"];
  assert.equal(needs(fake, { downloads: true, program: "no-such-program" }), false);
  if (wish !== undefined) process.env["TOROID_TEST_DOWNLOADS"] = wish;
  assert.deepEqual(said, ["needs the program no-such-program", "needs the program no-such-program"]);
});

test("waiting ends with the answer, or at the deadline with what was waited for and why it did not come", async () => {
  let tries = 0;
  assert.equal(await until("a third try", () => (++tries < 3 ? undefined : tries)), 3);
  const failing = until("the moon", () => Promise.reject(new Error("it is cloudy")), { withinMs: 30 });
  await assert.rejects(failing, { message: "waited 30 ms in vain for the moon: it is cloudy" });
});
