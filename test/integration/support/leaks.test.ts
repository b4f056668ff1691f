import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { program } from "../../support/child.ts";
import { assertNoLeaks, leaksSince, snapshot } from "../../support/leaks.ts";
import { tempDir } from "../../support/temp.ts";

const SHORT = { withinMs: 200 };

test("a process that outlives the test is a leak, also when its parent is gone", async () => {
  const before = await snapshot();
  await using shell = program("/bin/sh", ["-c", "sleep 60 >/dev/null 2>&1 & echo $!"]);
  const pid = Number(await shell.line());
  await shell.exited;
  try {
    await assert.rejects(assertNoLeaks(before, SHORT), {
      message: `still here after 200 ms:\n  process ${pid}: sleep 60 (in ${process.cwd()})`,
    });
  } finally {
    process.kill(pid, "SIGKILL");
  }
  await assertNoLeaks(before);
});

test("a process that is on its way out is waited for", async () => {
  const before = await snapshot();
  spawn("sleep", ["0.3"]);
  assert.equal((await leaksSince(before, { withinMs: 0 })).length, 1);
  await assertNoLeaks(before);
});

test("a temp directory that stays is a leak", async () => {
  const before = await snapshot();
  const path = mkdtempSync(join(tmpdir(), `toroid-left-${process.pid}-`));
  assert.deepEqual(await leaksSince(before, SHORT), [`temp ${path}`]);
  rmdirSync(path);
  await assertNoLeaks(before, SHORT);
});

test("what was there before, and what others do meanwhile, is no leak", async () => {
  await using _early = await tempDir();
  const before = await snapshot();
  const theirs = mkdtempSync(join(tmpdir(), "toroid-left-1-"));
  const other = spawn("sleep", ["5"], { env: { PATH: process.env["PATH"] } });
  try {
    await assertNoLeaks(before, SHORT);
  } finally {
    other.kill();
    rmdirSync(theirs);
  }
});
