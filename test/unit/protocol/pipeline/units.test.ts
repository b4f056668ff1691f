import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { durationText, parseDuration } from "../../../../protocol/pipeline/duration.ts";
import { parseSize, sizeText } from "../../../../protocol/pipeline/size.ts";
import { didYouMean, listed } from "../../../../protocol/pipeline/suggest.ts";

test("durations are read in hours, minutes, seconds and milliseconds", () => {
  const read = ["90s", "30m", "2h", "1h30m", "1m500ms", "0s"].map(parseDuration);
  assert.deepEqual(
    read,
    [90_000, 1_800_000, 7_200_000, 5_400_000, 60_500, 0].map((ms) => ({ ms })),
  );
});

test("what is no duration says what one looks like", () => {
  const expected = "expected a duration such as `90s`, `30m` or `1h30m`";
  assert.deepEqual(parseDuration("30"), { problem: `${expected}; \`30\` has no unit` });
  assert.deepEqual(parseDuration("1 day"), { problem: `${expected}; write \`24h\`` });
  assert.deepEqual(parseDuration("5 mins"), { problem: `${expected}; write \`5m\`` });
  for (const text of ["", "-1s", "1.5h", "30m1h", "1m1m", "m", " 1s", "1s\n"])
    assert.deepEqual(parseDuration(text), { problem: `${expected}, found \`${text}\`` });
  assert.deepEqual(parseDuration(`${"9".repeat(30)}h`), {
    problem: `\`${"9".repeat(30)}h\` is too long for a duration`,
  });
});

test("a duration that was written is read back", () => {
  fc.assert(fc.property(fc.nat(2 ** 40), (ms) => assert.deepEqual(parseDuration(durationText(ms)), { ms })));
});

test("sizes are binary with an i and decimal without", () => {
  assert.deepEqual(
    ["1B", "512MiB", "2GiB", "1.5KiB", "2 GiB", "1kB", "3MB", "1TiB"].map(parseSize),
    [1, 512 * 2 ** 20, 2 ** 31, 1_536, 2 ** 31, 1_000, 3_000_000, 2 ** 40].map((bytes) => ({ bytes })),
  );
});

test("what is no size says what one looks like", () => {
  const expected = "expected a size such as `512MiB` or `2GiB`";
  assert.deepEqual(parseSize("64"), { problem: `${expected}; \`64\` has no unit` });
  for (const text of ["2G", "2g", "2Gi", "2gb", "2gib"])
    assert.deepEqual(parseSize(text), { problem: `${expected}; write \`2GiB\`` });
  for (const text of ["", "GiB", "-1GiB", "1constructor", "1e3B"])
    assert.deepEqual(parseSize(text), { problem: `${expected}, found \`${text}\`` });
  assert.deepEqual(parseSize("99999999TiB"), { problem: "`99999999TiB` is too large for a size" });
});

test("a size that was written is read back", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => assert.deepEqual(parseSize(sizeText(bytes)), { bytes })));
});

test("neither ever throws", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      parseDuration(text);
      parseSize(text);
    }),
  );
});

test("the nearest word is found through case, dashes, swaps and one or two slips", () => {
  const words = ["script", "environments", "entrypoint", "env"];
  assert.equal(didYouMean("Scirpt", words), "did you mean `script`?");
  assert.equal(didYouMean("entry-point", words), "did you mean `entrypoint`?");
  assert.equal(didYouMean("enviroments", words), "did you mean `environments`?");
  assert.equal(didYouMean("enviornment", words), "did you mean `environments`?");
  assert.equal(didYouMean("wheels", words), null);
  assert.equal(didYouMean("x".repeat(100), words), null);
});

test("words are listed as in a sentence", () => {
  assert.deepEqual(
    [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"], "and")],
    ["nothing", "`a`", "`a` or `b`", "`a`, `b` and `c`"],
  );
});
