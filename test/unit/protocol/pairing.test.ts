import assert from "node:assert/strict";
import { test } from "node:test";
import { isNewer, metadataOf, type Spoken, spokenBy, spokenOf, whyNoPair } from "../../../protocol/pairing.ts";

const speaking = (understood: number, commands: number): Spoken => ({ toroid: "0.9.0", understood, commands });
const executor = (understood: number, reports: number) => ({ understood, reports });

test("an executor and coordinators of this version understand each other", () => {
  assert.equal(whyNoPair(spokenBy("0.1.0"), "0.1.0"), null);
});

test("coordinators that have said nothing are believed to understand", () => {
  assert.equal(spokenOf({ "_nats.ver": "2.15.1" }), null);
  assert.equal(spokenOf({ "toroid.protocol": "two", "toroid.commands": "2" }), null);
  assert.equal(whyNoPair(null, "0.1.0"), null);
});

test("what is said is read back", () => {
  assert.deepEqual(spokenOf({ "_nats.ver": "2.15.1", ...metadataOf(speaking(5, 3)) }), speaking(5, 3));
});

test("an executor that does not understand the commands is to be upgraded", () => {
  const why = whyNoPair(speaking(4, 4), "0.1.0", executor(3, 2));
  assert.equal(why?.code, "TOR_VERSION_NEWER");
  assert.match(
    why.message,
    /\(Toroid 0\.9\.0\) send commands of version 4 .* this executor \(Toroid 0\.1\.0\) understands 3 at most: upgrade the executor$/,
  );
});

test("an executor that the coordinators would not understand waits for the upgrade of one", () => {
  const why = whyNoPair(speaking(2, 2), "0.9.5", executor(3, 3));
  assert.equal(why?.code, "TOR_VERSION_OLDER");
  assert.match(
    why.message,
    /reports in version 3 .* \(Toroid 0\.9\.0\) understand 2 at most: upgrade a coordinator first$/,
  );
});

test("newer ones that speak as before work with older ones", () => {
  assert.equal(whyNoPair(speaking(4, 2), "0.1.0", executor(2, 2)), null);
  assert.equal(whyNoPair(speaking(2, 2), "0.1.0", executor(4, 2)), null);
});

test("what is said goes forward only", () => {
  assert.equal(isNewer(speaking(2, 2), null), true);
  assert.equal(isNewer(speaking(2, 2), speaking(2, 2)), false);
  assert.equal(isNewer(speaking(3, 2), speaking(2, 2)), true);
  assert.equal(isNewer(speaking(2, 2), speaking(3, 2)), false);
  assert.equal(isNewer(speaking(3, 2), speaking(4, 1)), false);
});
