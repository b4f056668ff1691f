import assert from "node:assert/strict";
import { test } from "node:test";
import { framed, planned, stageOf } from "./support.ts";

const MINUTE_MS = 60_000;
const of = (text: string, name = "build") => {
  const { timeoutMs, timeouts } = stageOf(planned(`script: make\n${text}`), name);
  return { hard: timeoutMs, ...timeouts };
};

test("a timeout is how long a stage may run, unless it says several by name", () => {
  const none = { queueMs: null, startMs: null, silenceMs: null };
  assert.deepEqual(of(""), { hard: 60 * MINUTE_MS, ...none });
  assert.deepEqual(of("timeout: 20m\n"), { hard: 20 * MINUTE_MS, ...none });
  assert.deepEqual(of("timeout: { queue: 10m, start: 2m, silence: 5m, hard: 30m }\n"), {
    hard: 30 * MINUTE_MS,
    queueMs: 10 * MINUTE_MS,
    startMs: 2 * MINUTE_MS,
    silenceMs: 5 * MINUTE_MS,
  });
  assert.deepEqual(of("timeout: { silence: 5m }\n"), { hard: 60 * MINUTE_MS, ...none, silenceMs: 5 * MINUTE_MS });
});

test("an environment's go over the file's, each by itself", () => {
  const text =
    "timeout: { queue: 10m, hard: 30m }\nenvironments: { prod: { run: x, timeout: 2h }, us: { run: x, timeout: { queue: 1m } } }\n";
  assert.deepEqual([of(text, "prod").hard, of(text, "prod").queueMs], [120 * MINUTE_MS, 10 * MINUTE_MS]);
  assert.deepEqual([of(text, "us").hard, of(text, "us").queueMs], [30 * MINUTE_MS, MINUTE_MS]);
});

const WRONG: readonly (readonly [string, RegExp])[] = [
  ["{ quiet: 5m }", /`quiet`/],
  ["{ silence: 500ms }", /expected a duration from `1s` to `24h`/],
  ["{ queue: 25h }", /expected a duration from `1s` to `24h`/],
  ["{ start: soon }", /expected a duration/],
  ["[30m]", /expected a duration such as `90s`, `30m` or `1h30m`, or a mapping/],
];

for (const [text, told] of WRONG) {
  test(`timeout: ${text} is told as a mistake`, () => assert.match(framed(`script: make\ntimeout: ${text}\n`), told));
}
