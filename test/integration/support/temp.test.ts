import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../../support/skips.ts";
import { removeTree, tempDir } from "../../support/temp.ts";

test("a temp directory goes with its content at the end of its block", async () => {
  let path: string;
  {
    await using dir = await tempDir();
    path = dir.path;
    await writeFile(join(path, "file"), "");
  }
  assert.equal(existsSync(path), false);
});

test("what is mounted in a temp directory is never deleted through it", async (t) => {
  if (!needs(t, { root: true, program: ["mount", "umount"] })) return;
  await using dir = await tempDir();
  const [target, precious] = [join(dir.path, "target"), join(dir.path, "precious")];
  await mkdir(target);
  await mkdir(precious);
  await writeFile(join(precious, "file"), "");
  execFileSync("mount", ["--bind", precious, target]);
  try {
    await assert.rejects(removeTree(dir.path), { message: `not deleting ${dir.path}: ${target} is still mounted` });
    assert.ok(existsSync(join(precious, "file")));
  } finally {
    execFileSync("umount", [target]);
  }
});
