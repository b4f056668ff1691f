import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { dispositionOf, sentenceOf, ToroidError } from "../../../protocol/errors.ts";
import {
  escapeToken,
  formatBuild,
  formatStage,
  isRepositoryName,
  PLAN_STAGE,
  parseBuild,
  parseStageToken,
  stageToken,
  unescapeToken,
} from "../../../protocol/ids.ts";

const anyText = fc.string({ unit: "binary", minLength: 1 });

function isDecodeError(error: unknown): boolean {
  return error instanceof ToroidError && error.code === "TOR_DECODE";
}

test("names read well as tokens", () => {
  assert.equal(escapeToken("acme/api"), "acme__api");
  assert.equal(escapeToken("build NODE=22"), "build_20NODE_3D22");
  assert.equal(escapeToken("a_b.c"), "a_5Fb_2Ec");
  assert.equal(escapeToken("tür"), "t_C3_BCr");
});

test("any text comes back from its token, and the token is one of a subject", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const token = escapeToken(text);
      assert.match(token, /^[A-Za-z0-9_-]+$/);
      assert.equal(unescapeToken(token), text);
    }),
    { numRuns: 1_000 },
  );
});

test("two texts never share a token", () => {
  const alike = fc.string({
    unit: fc.constantFrom("_", "/", "5", "F", "2", "r", "-", "."),
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(
    fc.property(alike, alike, (a, b) => {
      assert.equal(escapeToken(a) === escapeToken(b), a === b);
    }),
    { numRuns: 2_000 },
  );
});

test("the empty text has no token", () => {
  assert.throws(
    () => escapeToken(""),
    (error) => error instanceof ToroidError && error.code === "TOR_INVALID_INPUT",
  );
});

test("a token that no name escapes to is refused, never guessed at", () => {
  for (const token of ["", "_", "a_", "_5", "_5f", "_zz", "_41", "_2F", "a.b", "a b", "ü", "_FF", "_ED_A0_80"]) {
    assert.throws(() => unescapeToken(token), isDecodeError, token);
  }
  const tokenLike = fc.string({
    unit: fc.constantFrom("_", "-", "a", "Z", "0", "9", "A", "F", "f", "."),
    maxLength: 8,
  });
  fc.assert(
    fc.property(tokenLike, (token) => {
      try {
        assert.equal(escapeToken(unescapeToken(token)), token);
      } catch (error) {
        assert.ok(isDecodeError(error), String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("a stage and its round come back from their token", () => {
  assert.equal(stageToken("build", 1), "build");
  assert.equal(stageToken("prod", 2), "prod_r2");
  assert.deepEqual(parseStageToken("prod_r12"), { stage: "prod", round: 12 });
  fc.assert(
    fc.property(anyText, fc.integer({ min: 1, max: 1_000_000 }), (stage, round) => {
      assert.deepEqual(parseStageToken(stageToken(stage, round)), { stage, round });
    }),
    { numRuns: 1_000 },
  );
});

test("the plan stage has a token that no escaped name has", () => {
  assert.equal(stageToken(PLAN_STAGE, 1), "_plan");
  assert.deepEqual(parseStageToken("_plan"), { stage: PLAN_STAGE, round: 1 });
  fc.assert(fc.property(anyText, (name) => escapeToken(name) !== PLAN_STAGE && escapeToken(name) !== "_build"));
});

test("a round is a number from 2 on, or no round at all", () => {
  for (const token of ["prod_r0", "prod_r1", "prod_r02", "prod_r", "_r2", "prod_r-1"]) {
    assert.throws(() => parseStageToken(token), isDecodeError, token);
  }
});

test("builds and stages are written as people say them", () => {
  const id = { repository: "acme/api", number: 42 };
  assert.equal(formatBuild(id), "acme/api#42");
  assert.equal(formatStage({ ...id, stage: "prod", round: 1 }), "acme/api#42 prod");
  assert.equal(formatStage({ ...id, stage: "prod", round: 3 }), "acme/api#42 prod (3)");
});

test("a written build is read, and nothing else is", () => {
  assert.deepEqual(parseBuild("acme/api#42"), { repository: "acme/api", number: 42 });
  assert.deepEqual(parseBuild("group/sub/api#1"), { repository: "group/sub/api", number: 1 });
  for (const text of ["", "acme/api", "acme#1", "acme/api#0", "acme/api#01", "acme/api#1.5", "acme/api #1", "#1"]) {
    assert.equal(parseBuild(text), null, text);
  }
  assert.equal(parseBuild(`acme/api#${"9".repeat(16)}`), null, "past what a number can hold");
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 999_999_999_999_999 }), (number) => {
      const id = { repository: "acme/api", number };
      assert.deepEqual(parseBuild(formatBuild(id)), id);
    }),
  );
});

test("a repository has an owner and a name, and no part that a path would follow", () => {
  for (const good of ["acme/api", "a/b/c", "acme/api.js", "über/größe", "acme/.github"]) {
    assert.equal(isRepositoryName(good), true, good);
  }
  const bad = ["", "acme", "/api", "acme/", "acme//api", "acme/..", "./api", "a b/c", "acme/a#1", "a\\b/c", "a/b\n"];
  for (const name of [...bad, `acme/${"x".repeat(200)}`]) assert.equal(isRepositoryName(name), false, name);
});

test("an error says what to do about it; a stranger's is a bug of ours", () => {
  assert.equal(dispositionOf(new ToroidError("TOR_NATS_UNREACHABLE", "away")), "retry");
  assert.equal(dispositionOf(new ToroidError("TOR_DECODE", "odd")), "terminal");
  assert.equal(dispositionOf(new ToroidError("TOR_TRANSITION_ILLEGAL", "no")), "bug");
  assert.equal(dispositionOf(new TypeError("x")), "bug");
  assert.equal(dispositionOf("x"), "bug");
  assert.equal(sentenceOf(new Error("away")), "away");
  assert.equal(sentenceOf("away"), "away");
  const cause = new Error("socket closed");
  assert.equal(new ToroidError("TOR_INTERNAL", "no", {}, { cause }).cause, cause);
});
