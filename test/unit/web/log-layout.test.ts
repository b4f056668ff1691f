import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { columnsOf, LogLayout, ONE_ROW_EACH, WrappedHeights } from "../../../web/parts/log-layout.ts";

const SECTIONS = [
  { phase: null, atMs: null, from: 0 },
  { phase: "install", atMs: 1, from: 2 },
  { phase: "script", atMs: 2, from: 5 },
];

/** Text of each entry by its number. */
function log(texts: readonly string[]): { readonly closed: number; textAt(index: number): string } {
  return { closed: texts.length, textAt: (index) => texts[index] ?? "" };
}

function outline(layout: LogLayout, top = 0, bottom = layout.rows): readonly string[] {
  return layout
    .between(top, bottom)
    .map((one) => (one.kind === "heading" ? `${one.row} # ${one.section}` : `${one.row} ${one.index}`));
}

describe("the rows of a log", () => {
  test("are the lines of each phase below its heading", () => {
    const layout = new LogLayout(SECTIONS, 7, new Set(), ONE_ROW_EACH);
    assert.deepEqual(outline(layout), ["0 0", "1 1", "2 # 1", "3 2", "4 3", "5 4", "6 # 2", "7 5", "8 6"]);
    assert.equal(layout.rows, 9);
    assert.deepEqual(outline(layout, 4, 7), ["4 3", "5 4", "6 # 2"]);
  });

  test("have a heading alone for what is folded, where its lines are to be found", () => {
    const layout = new LogLayout(SECTIONS, 7, new Set([1]), ONE_ROW_EACH);
    assert.deepEqual(outline(layout), ["0 0", "1 1", "2 # 1", "3 # 2", "4 5", "5 6"]);
    assert.deepEqual(
      [2, 4, 5].map((index) => layout.rowOf(index)),
      [2, 2, 4],
    );
    assert.equal(layout.sizeOf(1), 3);
  });

  test("tell which phase goes on above the upper edge", () => {
    const layout = new LogLayout(SECTIONS, 7, new Set(), ONE_ROW_EACH);
    assert.deepEqual(
      [0, 1, 2, 3, 6, 7].map((row) => layout.above(row)),
      [null, null, null, 1, null, 2],
    );
  });

  test("are more for a line that is wrapped", () => {
    const texts = ["", "short", "x".repeat(25), "end"];
    const layout = new LogLayout(
      [{ phase: "script", atMs: 1, from: 0 }],
      4,
      new Set(),
      new WrappedHeights(10, log(texts)),
    );
    assert.deepEqual(outline(layout), ["0 # 0", "1 0", "2 1", "3 2", "6 3"]);
    assert.deepEqual(outline(layout, 5, 7), ["3 2", "6 3"]);
  });

  test("of a wrapped line that still grows are measured again", () => {
    const texts = ["one", "x".repeat(5)];
    const growing = { closed: 1, textAt: (index: number) => texts[index] ?? "" };
    const heights = new WrappedHeights(10, growing);
    assert.equal(heights.before(2), 2);
    texts[1] = "x".repeat(25);
    assert.equal(heights.before(2), 4);
  });

  test("are each in one place, whatever is folded and wrapped and looked at", () => {
    const sizes = fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 6 });
    const widths = fc.array(fc.nat({ max: 40 }), { minLength: 40, maxLength: 40 });
    fc.assert(
      fc.property(sizes, widths, fc.array(fc.nat(5)), fc.nat(20), fc.integer({ min: 1, max: 20 }), (...given) => {
        const [counts, lengths, folded, top, height] = given;
        const sections = counts.map((_, i) => ({
          phase: i === 0 ? null : `p${i}`,
          atMs: i,
          from: counts.slice(0, i).reduce((a, b) => a + b, 0),
        }));
        const length = counts.reduce((a, b) => a + b, 0);
        const texts = lengths.slice(0, length).map((width) => "x".repeat(width));
        const layout = new LogLayout(sections, length, new Set(folded), new WrappedHeights(10, log(texts)));
        const all = layout.between(0, layout.rows);
        let row = 0;
        for (const one of all) {
          assert.equal(one.row, row);
          row += one.kind === "heading" ? 1 : one.rows;
          if (one.kind === "entry") assert.equal(layout.rowOf(one.index), one.row);
        }
        assert.equal(row, layout.rows);
        const part = all.filter(
          (one) => one.row < top + height && one.row + (one.kind === "heading" ? 1 : one.rows) > top,
        );
        assert.deepEqual(layout.between(top, top + height), part);
      }),
    );
  });
});

test("the columns of a text are counted as a terminal does", () => {
  const cases: readonly [string, number][] = [
    ["", 0],
    ["plain", 5],
    ["naïve", 5],
    ["日本", 4],
    ["ok 😀", 5],
    ["a\tb", 9],
    ["\t\t", 16],
  ];
  for (const [text, columns] of cases) assert.equal(columnsOf(text), columns, JSON.stringify(text));
});
