import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pin, pinned } from "../../../kit/pins.ts";
import { program } from "../../support/child.ts";

const PINS = join(import.meta.dirname, "..", "..", "..", "kit", "pins.ts");

test("a thing is in use as long as one holder has not let go of it", async () => {
  const name = `toroid test ${process.pid}`;
  const isPinned = async (what = name): Promise<boolean> => (await pinned())(what);
  assert.equal(await isPinned(), false);
  const [one, two] = [await pin(name), await pin(name)];
  assert.deepEqual([await isPinned(), await isPinned(`${name} other`)], [true, false]);
  await one.release();
  assert.equal(await isPinned(), true);
  await two.release();
  assert.equal(await isPinned(), false);
});

test("a holder that is killed has let go", async () => {
  const name = `toroid test of another ${process.pid}`;
  const code = `import { pin } from ${JSON.stringify(PINS)}; await pin(${JSON.stringify(name)}); console.log("held"); setInterval(() => {}, 1000);`;
  await using child = program(process.execPath, ["--input-type=module", "-e", code]);
  assert.equal(await child.line(), "held");
  assert.equal((await pinned())(name), true);
  child.kill("SIGKILL");
  await child.exited;
  assert.equal((await pinned())(name), false);
});
