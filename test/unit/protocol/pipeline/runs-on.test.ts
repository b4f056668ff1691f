import assert from "node:assert/strict";
import { test } from "node:test";
import { framed, planned, stageOf } from "./support.ts";

const of = (text: string, name = "build") => stageOf(planned(`script: make\n${text}`), name);

test("a stage runs anywhere, unless the file says where", () => {
  assert.deepEqual(of("").runsOn, { pool: null, labels: [] });
  assert.deepEqual(of("runs_on: arm64\n").runsOn, { pool: null, labels: ["arm64"] });
  assert.deepEqual(of("runs_on: [gpu, arch=arm64, gpu]\n").runsOn, { pool: null, labels: ["arch=arm64", "gpu"] });
  assert.deepEqual(of("runs_on: { labels: gpu }\n").runsOn, { pool: null, labels: ["gpu"] });
  assert.deepEqual(of("runs_on: { pool: big }\n").runsOn, { pool: "big", labels: [] });
  assert.deepEqual(of("runs_on: { pool: big, labels: [gpu] }\n").runsOn, { pool: "big", labels: ["gpu"] });
});

test("an environment has the file's, or its own instead of it", () => {
  const text =
    "runs_on: { pool: big, labels: [gpu] }\nenvironments: { prod: { run: x, runs_on: arm64 }, us: { run: x } }\n";
  assert.deepEqual(of(text, "prod").runsOn, { pool: null, labels: ["arm64"] });
  assert.deepEqual(of(text, "us").runsOn, { pool: "big", labels: ["gpu"] });
});

test("variables of the matrix stand in labels and pools", () => {
  const text = "matrix: { ARCH: [amd64, arm64] }\nruns_on: { pool: 'pool-${ARCH}', labels: ['arch=${ARCH}'] }\n";
  assert.deepEqual(of(text, "build ARCH=arm64").runsOn, { pool: "pool-arm64", labels: ["arch=arm64"] });
});

test("environments go first, then builds, and what says that it can wait goes last", () => {
  const text = "environments: { prod: { run: x } }\n";
  assert.deepEqual([of(text, "prod").priority, of(text).priority], ["high", "normal"]);
  assert.deepEqual([of(`${text}priority: low\n`, "prod").priority, of("priority: low\n").priority], ["high", "low"]);
});

const WRONG: readonly (readonly [string, RegExp])[] = [
  ["runs_on: ''", /expected a label such as `gpu` or `arch=arm64`/],
  ["runs_on: [a, 'b c']", /expected a label such as `gpu` or `arch=arm64`/],
  ["runs_on: []", /expected a label or a list of labels, found an empty list/],
  ["runs_on: {}", /expected `pool` or `labels`/],
  ["runs_on: { pools: big }", /did you mean `pool`/],
  ["runs_on: { pool: '' }", /the name of a pool cannot be empty/],
  ["runs_on: 7", /expected a label, a list of labels, or a mapping with `pool` or `labels`/],
  ["runs-on: gpu", /did you mean `runs_on`/],
  ["runs_on: 'arch=${ARHC}'\nenv: { ARCH: arm64 }", /`\$\{ARHC\}` is not set[^]*did you mean `ARCH`/],
  ["runs_on: 'arch=${ARCH}'\nenv: { ARCH: 'a b' }", /it is `arch=a b` once filled in/],
  ["priority: high", /expected `normal` or `low`/],
  ["environments: { prod: { run: x, priority: low } }", /`priority`/],
];

for (const [text, told] of WRONG) {
  test(`${text} is told as a mistake, in its place`, () => {
    const frame = framed(`script: make\n${text}\n`);
    assert.match(frame, told);
    assert.match(frame, /:[23]:\d+/);
  });
}
