import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { classesOf, PLAIN, parseAnsi } from "../../../web/parts/ansi.ts";

const E = "\u001b";

/** `f1:text` for each span. */
function outline(line: string): readonly string[] {
  return parseAnsi(line, PLAIN).spans.map(({ text, style }) => `${classesOf(style)}:${text}`);
}

describe("colours of a terminal", () => {
  const cases: readonly [string, string, readonly string[]][] = [
    ["plain text is itself", "hello", [":hello"]],
    ["a colour holds until it is reset", `${E}[31mred${E}[0m not`, ["f1:red", ": not"]],
    ["an empty reset is one", `${E}[1mb${E}[mn`, ["bold:b", ":n"]],
    ["several codes add up", `${E}[1;4;92;41mx`, ["f10 b1 bold underline:x"]],
    ["one of 256 becomes the nearest of 16", `${E}[38;5;196mx${E}[38;5;9my`, ["f9:x", "f9:y"]],
    ["one of 16 million too", `${E}[38;2;10;120;20mx`, ["f2:x"]],
    ["codes after a long colour still count", `${E}[38;5;1;1mx`, ["f1 bold:x"]],
    ["moving the cursor does nothing", `a${E}[2Kb${E}[10;3Hc`, [":a", ":b", ":c"]],
    ["a title is not shown", `a${E}]0;pwned\u0007b`, [":a", ":b"]],
    ["a link is its text", `${E}]8;;http://x${E}\\text${E}]8;;${E}\\`, [":text"]],
    ["a carriage return starts the line over", "10%\r50%\r100%", [":100%"]],
    ["markup is text", "<b>&amp;", [":<b>&amp;"]],
    ["a cut-off sequence is dropped", `a${E}[`, [":a"]],
  ];
  for (const [what, line, expected] of cases) {
    test(what, () => assert.deepEqual(outline(line), expected));
  }

  test("go on over the end of a line", () => {
    const { end } = parseAnsi(`${E}[32mgreen`, PLAIN);
    assert.deepEqual(parseAnsi("still", end).spans, [{ text: "still", style: { ...PLAIN, front: 2 } }]);
  });

  test("no control character of any line is shown, and nothing is thrown", () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom(E, `${E}[`, `${E}]`, ";", "m", "38;5;", "\u0007", "\r", "\u009b"),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        for (const { text } of parseAnsi(pieces.join(""), PLAIN).spans) assert.doesNotMatch(text, /(?!\t)\p{Cc}/u);
      }),
    );
  });
});
