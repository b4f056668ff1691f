import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ALL_CODES, dispositionOf, ToroidError } from "../../../protocol/errors.ts";

const KEPT = join(import.meta.dirname, "..", "..", "data", "error-codes.json");

test("codes are in people's scripts: none goes, and none becomes another kind of error", () => {
  const kept = JSON.parse(readFileSync(KEPT, "utf8")) as Readonly<Record<string, string>>;
  const now = Object.fromEntries(ALL_CODES.map((code) => [code, dispositionOf(new ToroidError(code, ""))]));
  for (const [code, disposition] of Object.entries(kept)) assert.equal(now[code], disposition, code);
  const unkept = Object.keys(now).filter((code) => !(code in kept));
  assert.deepEqual(unkept, [], "new codes go into test/data/error-codes.json, from which none is ever removed");
});
