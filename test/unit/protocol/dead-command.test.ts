import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { deadCommandOf, reasonOf, stageHeader } from "../../../protocol/dead-command.ts";
import { stageRunSubject } from "../../../protocol/subjects.ts";

const ID = { repository: "acme/api", number: 4, stage: "build NODE=22", round: 2 };
const SUBJECT = stageRunSubject(ID);

test("an executor's reason says which stage it is about, whatever it says besides", () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 1_000_000 }), (why, queuedSeq) => {
      const reason = reasonOf(stageHeader(SUBJECT, queuedSeq), why);
      assert.deepEqual(deadCommandOf(reason), { subject: SUBJECT, queuedSeq, why });
    }),
  );
});

test("a header that is not ours is not passed on, and names no stage", () => {
  for (const header of [
    "",
    "toroid.run.x",
    "toroid.run.a__b.1.build",
    "toroid.lane.a__b.prod 7",
    "toroid.run.*.>.x 7",
  ]) {
    assert.equal(reasonOf(header, "not msgpack"), "not msgpack", header);
    assert.equal(deadCommandOf(`${header}: not msgpack`), null, header);
  }
});
