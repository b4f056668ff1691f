import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { mainPhases, phaseText, quoted } from "../../../../executor/workspace/driver.ts";
import { target } from "../../coordinator/samples.ts";

function runs(lines: readonly string[]): { readonly code: number; readonly out: string } {
  try {
    return {
      code: 0,
      out: execFileSync("sh", ["-eu", "-c", phaseText(lines)], { stdio: ["ignore", "pipe", "ignore"] }).toString(),
    };
  } catch (error) {
    const { status, stdout } = error as { status: number; stdout: Buffer };
    return { code: status, out: stdout.toString() };
  }
}

test("lines of a phase share one shell and stop at the first that fails", () => {
  assert.deepEqual(runs(["a=1", "cd /", "echo $a $PWD"]), { code: 0, out: "1 /\n" });
  assert.deepEqual(runs(["echo a", "false", "echo b"]), { code: 1, out: "a\n" });
  assert.deepEqual(runs(["echo a", "false && true", "echo b"]), { code: 1, out: "a\n" });
  assert.deepEqual(runs(["(exit 9)", "echo b"]), { code: 9, out: "" });
  assert.deepEqual(runs(["! true", "echo b"]), { code: 1, out: "" });
  assert.deepEqual(runs(["echo $undefined_variable"]).out, "");
});

test("lines of any form end where they end", () => {
  assert.deepEqual(runs(["cat <<EOF\nhere\nEOF", "echo b"]), { code: 0, out: "here\nb\n" });
  assert.deepEqual(runs(["echo a # comment", "# only a comment", "echo b"]), { code: 0, out: "a\nb\n" });
  assert.deepEqual(runs(["echo a \\", "echo b"]), { code: 0, out: "a\nb\n" });
  assert.deepEqual(runs(["sleep 0 &", "wait", "if true; then\n  echo c\nfi"]), { code: 0, out: "c\n" });
});

test("any text is one word of a shell when quoted", () => {
  const text = fc.string({ unit: "grapheme" }).filter((one) => !one.includes("\0"));
  fc.assert(
    fc.property(text, (one) => {
      assert.equal(execFileSync("sh", ["-c", `printf %s ${quoted(one)}`]).toString(), one);
    }),
    { numRuns: 30 },
  );
});

test("an environment stage without phases calls its entry point", () => {
  const phases = { install: [], script: [], publish: [], after: [] };
  const stage = target("prod", [], { phases, entrypoint: "bin/it's" });
  const main = mainPhases(stage);
  assert.deepEqual(
    main.map(({ phase }) => phase),
    ["script"],
  );
  assert.match(main[0]?.text ?? "", /exec '\.\/bin\/it'\\''s' 'prod'/);
});
