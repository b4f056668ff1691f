import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cutAtFinds, ERROR, Finder, wordsToFind } from "../../../web/parts/log-finder.ts";
import { marksText, readMarks, withMark } from "../../../web/parts/log-marks.ts";
import { timeText } from "../../../web/parts/log-times.ts";

const never = (): boolean => false;

describe("finding in a log", () => {
  test("goes through all lines a slice at a time, and on with what comes later", () => {
    const texts = Array.from({ length: 2_000 }, (_, i) => (i % 400 === 7 ? `Needle ${i}` : `hay ${i}`));
    const log = { closed: 1_500, textAt: (index: number) => texts[index] ?? "" };
    const finder = new Finder(wordsToFind("needle"), false);
    assert.equal(
      finder.look(log, () => true),
      true,
    );
    assert.deepEqual(finder.hits, [7, 407]);
    assert.equal(finder.look(log, never), false);
    assert.deepEqual(finder.hits, [7, 407, 807, 1207]);
    log.closed = 2_000;
    finder.look(log, never);
    assert.deepEqual(finder.hits.at(-1), 1607);
  });

  test("goes on from any place, around the end both ways", () => {
    const finder = new Finder(/x/, false);
    finder.hits.push(10, 20, 30);
    const places = (direction: 1 | -1): readonly (number | null)[] =>
      [0, 10, 11, 31].map((index) => finder.placeFrom(index, direction));
    assert.deepEqual(places(1), [0, 0, 1, 0]);
    assert.deepEqual(places(-1), [2, 0, 0, 2]);
    assert.equal(new Finder(/x/, false).placeFrom(0, 1), null);
  });

  test("counts lines that follow each other once, where they are one thing", () => {
    const texts = ["error a", "error b", "fine", "error c"];
    const finder = new Finder(ERROR, true);
    const log = { closed: 1, textAt: (index: number) => texts[index] ?? "" };
    finder.look(log, never);
    log.closed = 4;
    finder.look(log, never);
    assert.deepEqual(finder.hits, [0, 3]);
  });

  test("takes words as they are", () => {
    assert.ok(wordsToFind("a.b*").test("x A.B* y"));
    assert.ok(!wordsToFind("a.b").test("axb"));
    assert.deepEqual(
      cutAtFinds("Ab ab cab", wordsToFind("ab")).map(({ text, isFind }) => (isFind ? `[${text}]` : text)),
      ["[Ab]", " ", "[ab]", " c", "[ab]"],
    );
  });

  test("knows lines that say what went wrong from those that say that nothing did", () => {
    const bad = [
      "error: cannot find module",
      "src/a.ts(3,1): error TS2322: no",
      "FAIL test/a.test.ts",
      "1 test failed",
      "java.lang.NullPointerException",
      "TypeError: x is not a function",
      "Traceback (most recent call last):",
      "thread 'main' panicked at",
      "sh: npm: not found",
      "Permission denied",
    ];
    const good = [
      "0 errors",
      "no errors found",
      "errors: 0",
      "failed: 0",
      "all passed",
      "terror in the mirror",
      "failures = 0",
      "<img onerror=x>",
    ];
    for (const line of bad) assert.match(line, ERROR);
    for (const line of good) assert.doesNotMatch(line, ERROR);
  });
});

describe("lines in an address", () => {
  test("are read as they are written", () => {
    for (const text of ["#L1", "#L12-L40"]) assert.equal(marksText(readMarks(text) ?? assert.fail(text)), text);
    assert.deepEqual(readMarks("#L40-12"), { from: 12, to: 40 });
    for (const text of ["", "#", "#L0", "#L", "#L1-", "#L1x", "#L9999999999"])
      assert.equal(readMarks(text), null, text);
  });

  test("grow to either side", () => {
    const one = withMark(null, 12, true);
    assert.deepEqual(one, { from: 12, to: 12 });
    assert.deepEqual(withMark(one, 40, true), { from: 12, to: 40 });
    assert.deepEqual(withMark(one, 3, true), { from: 3, to: 12 });
    assert.deepEqual(withMark(one, 40, false), { from: 40, to: 40 });
  });
});

test("times are told in three ways", () => {
  assert.equal(timeText("none", 5, 0), "");
  assert.equal(timeText("since", null, 0), "");
  const since = (ms: number): string => timeText("since", 10_000 + ms, 10_000);
  assert.deepEqual([0, 59_999, 60_000, 3_725_040, -5].map(since), [
    "0:00.000",
    "0:59.999",
    "1:00.000",
    "1:02:05.040",
    "0:00.000",
  ]);
  assert.match(timeText("clock", Date.UTC(2026, 1, 1, 1, 2, 3, 45), null), /^\d\d:\d\d:03[.,]045$/);
});
