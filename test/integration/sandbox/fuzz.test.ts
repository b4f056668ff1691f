/** What fuzzers have kept is read without a fault, by any compiler's sanitizers. `make -C sandbox fuzz` looks for more. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { execa } from "execa";
import { needs } from "../../support/skips.ts";

const SANDBOX = join(import.meta.dirname, "..", "..", "..", "sandbox");
const FUZZ = join(SANDBOX, "fuzz");
const TARGETS = readdirSync(FUZZ)
  .filter((name) => name.endsWith(".c") && name !== "replay.c")
  .map((name) => name.slice(0, -2));
const NEEDS = { program: ["make", "cc"] } as const;
const BUILD = { timeout: 600_000 } as const;

describe("every fuzzer", () => {
  before(async () => {
    await execa("make", ["-s", "-C", SANDBOX, ...TARGETS.map((name) => `build/replay/${name}`)]);
  }, BUILD);

  test("is there", () => {
    for (const name of ["json", "message", "options", "request", "tar"]) assert.ok(TARGETS.includes(name), name);
  });

  for (const name of TARGETS) {
    test(`reads what it has kept without a fault: ${name}`, BUILD, async (t) => {
      if (!needs(t, NEEDS)) return;
      const corpus = join(FUZZ, "corpus", name);
      assert.ok(existsSync(corpus), `there is nothing in ${corpus}`);
      const inputs = readdirSync(corpus).map((file) => join(corpus, file));
      const { stdout } = await execa(join(SANDBOX, "build/replay", name), inputs);
      assert.match(stdout, new RegExp(`: ${inputs.length} inputs$`));
    });
  }
});
