import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { stringify } from "yaml";
import { frames } from "../../../../protocol/pipeline/frame.ts";
import { keysAt } from "../../../../protocol/pipeline/json-schema.ts";
import { type Plan, planOf } from "../../../../protocol/pipeline/plan.ts";
import { PUSH } from "./support.ts";

/** Whatever comes in: a plan that holds together, a reason, or problems that can be shown. */
function holds(text: string): void {
  const made = planOf(".toroid.yml", text, PUSH);
  if (made.kind === "plan") holdsTogether(made.plan);
  if (made.kind === "skip") assert.notEqual(made.reason, "");
  if (made.kind !== "invalid") return;
  assert.ok(made.problems.length > 0);
  const lines = text.split("\n").length;
  for (const { line, column, length, message } of made.problems) {
    assert.ok(line >= 1 && line <= lines && column >= 1 && length >= 1, `${line}:${column} of ${lines} lines`);
    assert.notEqual(message, "");
  }
  const shown = frames(made.problems, text);
  // oxlint-disable-next-line no-control-regex -- that is the claim
  assert.doesNotMatch(shown, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
}

/** Names are unique, needs exist and come before, and the whole can be sent and read back. */
function holdsTogether({ stages }: Plan): void {
  const names = stages.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.ok(stages.length > 0);
  const done = new Set<string>();
  for (let left = stages; left.length > 0; ) {
    const ready = left.filter(({ needs }) => needs.every((need) => done.has(need)));
    assert.notEqual(
      ready.length,
      0,
      `a circle, or a need that is no stage, among ${left.map(({ name }) => name).join(", ")}`,
    );
    for (const { name } of ready) done.add(name);
    left = left.filter(({ name }) => !done.has(name));
  }
  for (const { environment, phases, entrypoint, needs } of stages) {
    if (environment === null) continue;
    assert.ok(phases.script.length > 0 !== (entrypoint !== null), "an environment has lines or an entry point");
    assert.ok(needs.length > 0, "an environment never starts before the builds");
  }
  assert.deepEqual(JSON.parse(JSON.stringify(stages)), stages);
}

test("arbitrary text never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), holds), { numRuns: 500 });
  const yaml = fc.constantFrom(
    "a",
    ":",
    " ",
    "\n",
    "-",
    "[",
    "]",
    "{",
    "}",
    "&a",
    "*a",
    "<<",
    "!t",
    "'",
    '"',
    "|",
    ">",
    "#",
    "?",
    ",",
    "%",
    "\t",
    "script",
    "env",
    "---",
    "~",
    "3.10",
  );
  fc.assert(
    fc.property(
      fc.array(yaml, { maxLength: 40 }).map((parts) => parts.join("")),
      holds,
    ),
    { numRuns: 1_500 },
  );
});

test("arbitrary JSON as YAML never throws", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => holds(stringify(value))),
    { numRuns: 500 },
  );
});

test("arbitrary values under known keys never throw", () => {
  const words = fc.constantFrom<unknown>(
    "a",
    "all",
    "2h",
    "30",
    "1GiB",
    1,
    0,
    true,
    null,
    "",
    "${A}",
    "prod",
    "default",
    "../x",
    "[a",
    "!b",
    "newest",
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      words,
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom(
          "a",
          "A",
          "prod",
          "push",
          "branches",
          "include",
          "run",
          "next",
          "from",
          "oci",
          "files",
          "allow_failure",
          "__proto__",
        ),
        tie("tree"),
        { maxKeys: 3 },
      ),
    ),
  }));
  const file = fc.dictionary(fc.constantFrom(...keysAt([])), tree, { maxKeys: 6 });
  fc.assert(
    fc.property(file, (value) => holds(stringify(value, { aliasDuplicateObjects: false }))),
    { numRuns: 1_000 },
  );
});

test("every file that is valid by its making has a plan that holds together", () => {
  /** An environment whose `next` is mostly one of those after it. */
  const environment = (names: readonly string[], later: readonly string[]) =>
    fc.record(
      {
        run: fc.constant("./deploy"),
        next: fc.oneof(
          { weight: 9, arbitrary: fc.subarray([...later]) },
          { weight: 1, arbitrary: fc.subarray([...names]) },
        ),
        after: fc.constantFrom("all", "any"),
        params: fc.dictionary(fc.constantFrom("X", "Y"), fc.oneof(fc.string(), fc.nat(), fc.boolean())),
        timeout: fc.constantFrom("1s", "24h"),
      },
      { requiredKeys: [] },
    );
  const file = fc.subarray(["a", "b", "c", "d", "e"], { minLength: 1 }).chain((names) =>
    fc.record(
      {
        script: fc.constant("make"),
        entrypoint: fc.constant("bin/deploy"),
        environments: fc
          .tuple(...names.map((_, i) => environment(names, names.slice(i + 1))))
          .map((all) => Object.fromEntries(all.map((one, i) => [names[i], one]))),
        next: fc.subarray(names),
        matrix: fc.dictionary(
          fc.constantFrom("X", "Y", "Z"),
          fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 3 }),
          { minKeys: 1 },
        ),
      },
      { requiredKeys: ["script", "entrypoint", "environments"] },
    ),
  );
  let plans = 0;
  fc.assert(
    fc.property(file, (value) => {
      const text = stringify(value);
      holds(text);
      const made = planOf("f", text, PUSH);
      if (made.kind === "plan") plans++;
      // All that can be wrong with such a file is its order.
      if (made.kind === "invalid")
        for (const { message } of made.problems)
          assert.match(message, /no environment|circle|where promotion begins|NUL/);
    }),
    { numRuns: 500 },
  );
  assert.ok(plans > 100, `only ${plans} of them were plans`);
});
