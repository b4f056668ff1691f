import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { jsonSchemaText, keysAt } from "../../../../protocol/pipeline/json-schema.ts";

test("the committed JSON Schema is the one that the definition makes (npm run schema)", () => {
  const committed = readFileSync(new URL("../../../../protocol/pipeline/toroid.schema.json", import.meta.url), "utf8");
  assert.equal(committed, jsonSchemaText());
});

test("every key of the design is there", () => {
  const design =
    "kind image env secrets on matrix workdir install script publish after cache services artifact entrypoint next environments timeout limits network retry concurrency notify skip";
  assert.deepEqual(keysAt([]).toSorted(), [...design.split(" "), "priority", "runs_on"].toSorted());
});

test("the keys of inner mappings are known through lists and alternatives", () => {
  assert.deepEqual(keysAt(["on", "push"]), ["branches", "tags", "paths"]);
  assert.deepEqual(keysAt(["publish"]), ["run", "on", "secrets"]);
  assert.deepEqual(keysAt(["matrix", "include", 0]), ["allow_failure"]);
  assert.ok(keysAt(["environments", "prod"]).includes("approval"));
  assert.deepEqual(keysAt(["env"]), []);
  assert.deepEqual(keysAt(["nowhere", "at", 1]), []);
});
