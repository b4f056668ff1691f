/** What Packer's workspace is shown of the host: laid out again at each start, copied only when it is another. */
import assert from "node:assert/strict";
import { chmod, copyFile, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { layTools, TOOLS_DIR, toolsIn } from "../../../../executor/images/packer/tools.ts";
import { needs } from "../../../support/skips.ts";
import { tempDir } from "../../../support/temp.ts";

const SHM = "/dev/shm";

async function program(dir: string, name: string, text: string): Promise<string> {
  const path = join(dir, name);
  await rm(path, { force: true });
  await writeFile(path, `#!/bin/sh\necho ${text}\n`);
  await chmod(path, 0o755);
  return path;
}

test("on another file system programs are copied once, and again when they are others", async (t) => {
  if (!needs(t, { path: SHM })) return;
  await using bin = await tempDir("toroid-tools-");
  if ((await stat(SHM)).dev === (await stat(bin.path)).dev) return t.skip("it needs two file systems");
  const state = await mkdtemp(join(SHM, "toroid-tools-"));
  try {
    const [packer, node] = [await program(bin.path, "packer", "1"), await program(bin.path, "node", "2")];
    const laid = async (): Promise<readonly number[]> => {
      await layTools(state, packer, node);
      const dir = join(toolsIn(state), TOOLS_DIR);
      assert.deepEqual((await readdir(dir)).sort(), ["inside", "node", "node_modules", "package.json", "packer"]);
      assert.deepEqual((await readdir(state)).sort(), ["stamps.json", "tools"]);
      return Promise.all(["packer", "node"].map(async (name) => (await stat(join(dir, name))).ino));
    };
    const first = await laid();
    assert.deepEqual(await laid(), first);
    // Of the same size, in the same place.
    await program(bin.path, "packer", "3");
    const [other, same] = await laid();
    assert.notEqual(other, first[0]);
    assert.equal(same, first[1]);
    // Who was killed while it copied has left no stamps.
    await rm(join(state, "stamps.json"));
    await writeFile(join(toolsIn(state), TOOLS_DIR, "node"), "half");
    await laid();
    assert.equal((await stat(join(toolsIn(state), TOOLS_DIR, "node"))).size, (await stat(node)).size);
  } finally {
    await rm(state, { recursive: true });
  }
});

test("on the same file system programs are links, and follow what is replaced", async () => {
  await using dir = await tempDir("toroid-tools-");
  const [packer, node] = [await program(dir.path, "packer", "1"), await program(dir.path, "node", "2")];
  const state = join(dir.path, "state");
  const inode = async (): Promise<number> => (await stat(join(toolsIn(state), TOOLS_DIR, "packer"))).ino;
  for (const text of ["1", "3"]) {
    await copyFile(await program(dir.path, "next", text), join(dir.path, "next-packer"));
    await rm(packer);
    await copyFile(join(dir.path, "next-packer"), packer);
    await layTools(state, packer, node);
    assert.equal(await inode(), (await stat(packer)).ino);
    // Again, and with a stamp that a link of ours has changed.
    await layTools(state, packer, node);
    assert.equal(await inode(), (await stat(packer)).ino);
  }
});
