import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { assertNoLeaks, snapshot } from "../../support/leaks.ts";
import { tempDir } from "../../support/temp.ts";

const before = await snapshot();
after(() => assertNoLeaks(before));

const RUN = join(import.meta.dirname, "..", "..", "support", "run.ts");
const IMPORT = 'import { test } from "node:test";\n';

test("passing tests end with the counts, each skip with its reason, and success", async () => {
  const { code, stdout } = await runFiles({
    "a.test.ts": `${IMPORT}test("works", () => {});\ntest("rests", (t) => t.skip("needs a moon"));\n`,
    "b.test.ts": `${IMPORT}test("works too", () => {});\n`,
  });
  assert.equal(code, 0);
  assert.match(
    stdout,
    /\n# tests 3\n# suites 0\n# pass 2\n# fail 0\n# cancelled 0\n# skipped 1\n# todo 0\n# duration_ms \d+\n/,
  );
  assert.match(stdout, /\n1 test was skipped:\n {2}\S*a\.test\.ts: rests: needs a moon\n$/);
});

test("a failing test fails the run", async () => {
  const { code, stdout } = await runFiles({
    "a.test.ts": `${IMPORT}test("breaks", () => { throw new Error("no"); });\n`,
  });
  assert.equal(code, 1);
  assert.match(stdout, /\n# fail 1\n/);
});

test("a run in which no test ran fails", async () => {
  const { code, stderr } = await runFiles({});
  assert.equal(code, 1);
  assert.match(stderr, /^no test file found in /);
});

test("a file in which no test ran fails the run and is named", async () => {
  const { code, stderr } = await runFiles({
    "a.test.ts": `${IMPORT}test("works", () => {});\n`,
    "b.test.ts": "export const nothing = 0;\n",
  });
  assert.equal(code, 1);
  assert.match(stderr, /^no test ran in \S*b\.test\.ts\n$/);
});

test("a title narrows the run, and one that nothing bears fails it", async () => {
  const files = { "a.test.ts": `${IMPORT}test("one", () => {});\n`, "b.test.ts": `${IMPORT}test("two", () => {});\n` };
  assert.equal((await runFiles(files, ["--name", "one"])).code, 0);
  assert.equal((await runFiles(files, ["--name", "three"])).code, 1);
});

test("a file that hangs after its last test is ended", async () => {
  const files = { "a.test.ts": `${IMPORT}test("hangs", () => { setInterval(() => {}, 1000); });\n` };
  const { code, stderr } = await runFiles(files, ["--quiet-ms", "1500"]);
  assert.equal(code, 1);
  assert.match(stderr, /a test file hangs after its last test/);
});

test("a file that died with its output held open by what it started is ended, too", { timeout: 60_000 }, async () => {
  const dying =
    `${IMPORT}import { spawn } from "node:child_process";\ntest("dies", () => {\n` +
    '  spawn("sleep", ["600"], { detached: true, stdio: "inherit" }).unref();\n  process.kill(process.pid, "SIGKILL");\n});\n';
  const { code, stderr } = await runFiles({ "a.test.ts": dying }, ["--quiet-ms", "1500"]);
  assert.equal(code, 1);
  assert.match(stderr, /a test file hangs/);
});

test("what a test leaves behind fails the run and is named", { timeout: 30_000 }, async () => {
  const leaving =
    `${IMPORT}import { spawn } from "node:child_process";\nimport { mkdirSync } from "node:fs";\n` +
    'import { tmpdir } from "node:os";\ntest("leaves", () => {\n  mkdirSync(`${tmpdir()}/toroid-left`);\n' +
    '  spawn("sleep", ["8"], { detached: true, stdio: "ignore" }).unref();\n});\n';
  const { code, stderr } = await runFiles({ "a.test.ts": leaving });
  assert.equal(code, 1);
  assert.match(stderr, /^left behind by this run:\n {2}process \d+: sleep 8 .*\n {2}temp \S+\/toroid-left\n$/);
});

async function runFiles(files: Readonly<Record<string, string>>, args: readonly string[] = []) {
  await using dir = await tempDir();
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir.path, name), text);
  // Told that it is inside a test, the runner would refuse to run another.
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  return await new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(process.execPath, [RUN, dir.path, ...args], { env }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}
