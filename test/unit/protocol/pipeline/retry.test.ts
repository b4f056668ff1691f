import assert from "node:assert/strict";
import { test } from "node:test";
import { framed, planned, stageOf } from "./support.ts";

const of = (text: string, name = "build") => stageOf(planned(`script: make\n${text}`), name);

test("an attempt that could not be run is repeated twice and at once, unless the file says otherwise", () => {
  assert.deepEqual(of("").retry, { attempts: 3, backoffMs: 0 });
  assert.deepEqual(of("retry: 0\n").retry, { attempts: 1, backoffMs: 0 });
  assert.deepEqual(of("retry: { times: 4, backoff: 30s }\n").retry, { attempts: 5, backoffMs: 30_000 });
  assert.deepEqual(of("retry: { backoff: 30s }\n").retry, { attempts: 3, backoffMs: 30_000 });
});

test("an environment's goes over the file's, each by itself", () => {
  const text = "retry: { times: 4, backoff: 30s }\nenvironments: { prod: { run: x, retry: 1 } }\n";
  assert.deepEqual(of(text, "prod").retry, { attempts: 2, backoffMs: 30_000 });
});

test("an environment may have a check, and a build stage has none", () => {
  const text = "environments: { prod: { run: ./deploy, check: ./went }, us: { run: ./deploy } }\n";
  assert.deepEqual([of(text, "prod").check, of(text, "us").check, of(text).check], [["./went"], [], []]);
});

const WRONG: readonly (readonly [string, RegExp])[] = [
  ["retry: 11", /expected a number of retries from 0 to 10/],
  ["retry: -1", /expected a number of retries from 0 to 10/],
  ["retry: often", /expected a number of retries from 0 to 10, or a mapping/],
  ["retry: { attempts: 3 }", /`attempts`/],
  ["retry: { backoff: 10 }", /expected a duration/],
  ["environments: { prod: { run: x, check: '' } }", /a command cannot be empty/],
];

for (const [text, told] of WRONG) {
  test(`${text} is told as a mistake`, () => assert.match(framed(`script: make\n${text}\n`), told));
}
