import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseAnsi, styleAfter, textOf } from "../../../web/parts/ansi.ts";
import { classesOf, colourText, PLAIN } from "../../../web/parts/ansi-style.ts";

const E = "\u001b";

/** `f1:text` for each span. */
function outline(line: string): readonly string[] {
  return parseAnsi(line, PLAIN).spans.map(({ text, style }) => `${classesOf(style)}:${text}`);
}

describe("colours of a terminal", () => {
  const cases: readonly [string, string, readonly string[]][] = [
    ["plain text is itself", "hello", [":hello"]],
    ["a colour holds until it is reset", `${E}[31mred${E}[0m not`, ["front f1:red", ": not"]],
    ["an empty reset is one", `${E}[1mb${E}[mn`, ["bold:b", ":n"]],
    ["several codes add up", `${E}[1;4;92;41mx`, ["front f10 back b1 bold underline:x"]],
    ["every code has its end", `${E}[1;2;3;4;7;9m${E}[22;23;24;27;29mx`, [":x"]],
    ["the first of 256 are the page's own", `${E}[38;5;9mx`, ["front f9:x"]],
    [
      "codes after a long colour still count",
      `${E}[38;5;1;1mx${E}[48;2;1;2;3;22my`,
      ["front f1 bold:x", "front f1 back bx:y"],
    ],
    ["a colour of underlines is passed over", `${E}[58;2;1;2;3;1mx`, ["bold:x"]],
    [
      "colons may stand between the parts",
      `${E}[38:5:1;1mx${E}[4:3my${E}[4:0mz`,
      ["front f1 bold:x", "front f1 bold underline:y", "front f1 bold:z"],
    ],
    ["moving to another line does nothing", `a${E}[Kb${E}[10;3Hc${E}[2Ad`, [":a", ":b", ":c", ":d"]],
    ["a title is not shown", `a${E}]0;pwned\u0007b`, [":a", ":b"]],
    ["a title without end hides no colour after it", `${E}]0;pwned${E}[31mred`, ["front f1:red"]],
    ["a link is its text", `${E}]8;;http://x${E}\\text${E}]8;;${E}\\`, [":text"]],
    ["a carriage return starts the line over", "10%\r50%\r100%", [":100%"]],
    ["what is not written over stays", "abcdef\rxyz", [":xyzdef"]],
    ["a progress bar erases itself first", `${E}[32m50%...${E}[0m\r${E}[Kdone`, [":done"]],
    ["a spinner goes back by one", "wait |\b/\b-", [":wait -"]],
    ["the cursor moves within the line", `abc${E}[2Dx${E}[5Gy${E}[1Cz`, [":axc y z"]],
    ["a line can be erased, whole or from its start", `abc${E}[2K${E}[1Gx\rlong${E}[2D${E}[1K`, [":   g"]],
    ["a number too large moves as far as it may", `${E}[999999999999C!`, [`:${" ".repeat(2_000)}!`]],
    ["markup is text", "<b>&amp;", [":<b>&amp;"]],
    ["a cut-off sequence is dropped", `a${E}[38;5`, [":a"]],
  ];
  for (const [what, line, expected] of cases) {
    test(what, () => assert.deepEqual(outline(line), expected));
  }

  test("of 256 and of 16 million are what they are", () => {
    const colour = (codes: string): string | null => {
      const [span] = parseAnsi(`${E}[${codes}mx`, PLAIN).spans;
      return colourText(span?.style.front ?? null);
    };
    assert.deepEqual(["38;5;196", "38;5;244", "38;2;10;120;20", "38:2::255:300:0", "38;5;4", "38;5;999"].map(colour), [
      "#ff0000",
      "#808080",
      "#0a7814",
      "#ffff00",
      null,
      null,
    ]);
  });

  test("go on over the end of a line", () => {
    const { end } = parseAnsi(`${E}[32mgreen`, PLAIN);
    assert.deepEqual(parseAnsi("still", end).spans, [{ text: "still", style: { ...PLAIN, front: 2 } }]);
  });

  test("no control character of any line is shown, and nothing is thrown", () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom(E, `${E}[`, `${E}]`, ";", "m", "38;5;", "\u0007", "\r", "\b", "K", "9C", "D", "\u009b"),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const line = pieces.join("");
        const { spans, end } = parseAnsi(line, PLAIN);
        const text = spans.map((span) => span.text).join("");
        assert.doesNotMatch(text, /(?!\t)\p{Cc}/u);
        assert.equal(textOf(line), text);
        assert.deepEqual(styleAfter(line, PLAIN), end);
      }),
    );
  });
});
