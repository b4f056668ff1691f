import assert from "node:assert/strict";
import { test } from "node:test";
import { isRepositoryName, isWider, widerThan } from "../../../protocol/ids.ts";
import { environmentProblem } from "../../../protocol/pipeline/text-rules.ts";
import { laneSubject, parseLaneSubject } from "../../../protocol/subjects.ts";

const PROD = { repository: "acme/api", environment: "prod" };

test("an environment is part of its repository, of those of its name, and of all", () => {
  assert.deepEqual(widerThan(PROD), [
    { repository: "acme/api", environment: "*" },
    { repository: "*", environment: "prod" },
    { repository: "*", environment: "*" },
  ]);
  assert.ok(!isWider(PROD));
  assert.ok(widerThan(PROD).every(isWider));
});

test("nothing that is there can be called like all of them", () => {
  assert.ok(!isRepositoryName("*"));
  assert.notEqual(environmentProblem("*"), null);
});

test("each has a log of its own among the lanes", () => {
  const subjects = [PROD, ...widerThan(PROD)].map(laneSubject);
  assert.equal(new Set(subjects).size, 4);
  assert.deepEqual(subjects.map(parseLaneSubject), [PROD, ...widerThan(PROD)]);
});
