/** Setuid files of the root: without effect, unless that was asked for; and then no way out. */
import assert from "node:assert/strict";
import { chmod, copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { missing, needs } from "../support/skips.ts";
import { ATTEMPTS, assertRefused } from "./attempts.ts";
import { compileAttempts, makeImage, NEEDS, type Outcome, type Rig, rig } from "./rig.ts";

const NEEDED = { ...NEEDS, program: "cc" } as const;
const USER = ["--user", "1000:1000"];

describe("a setuid file", () => {
  let sandbox: Rig;
  let image = "";
  before(async () => {
    sandbox = await rig();
    if (missing(NEEDED) !== undefined) return;
    image = await makeImage(sandbox.dir);
    await copyFile(join(image, "attempts"), join(image, "suid"));
    await chmod(join(image, "suid"), 0o4755);
    await writeFile(join(image, "etc", "of-root"), "", { mode: 0o600 });
  });
  after(() => sandbox[Symbol.asyncDispose]());
  const run = (options: readonly string[], file: string, names: readonly string[]): Promise<Outcome> =>
    sandbox.run([...USER, ...options], [file, ...names], { image });

  test("of the image makes nobody root", async (t) => {
    if (!needs(t, NEEDED)) return;
    const { stdout, created } = await run([], "/suid", ["become_root"]);
    assert.deepEqual([stdout, created?.weak], ["become_root EPERM\n", []]);
  });

  test("of the image makes its user root inside where that is asked for, and the verdict says so", async (t) => {
    if (!needs(t, NEEDED)) return;
    const { stdout, created } = await run(["--allow-suid"], "/suid", ["become_root"]);
    assert.deepEqual([stdout, created?.weak], ["become_root done\n", ["suid"]]);
    assert.equal((await run(["--allow-suid"], "/attempts", ["become_root"])).stdout, "become_root EPERM\n");
  });

  test("of a bind or in memory makes nobody root even then", async (t) => {
    if (!needs(t, NEEDED)) return;
    const folder = await compileAttempts(sandbox.dir);
    await copyFile(join(folder, "attempts"), join(folder, "suid"));
    await chmod(join(folder, "suid"), 0o4755);
    const bound = await run(["--allow-suid", "--bind", `${folder}:/bound`], "/bound/suid", ["become_root"]);
    assert.equal(bound.stdout, "become_root EPERM\n");
    const line =
      "cp /bound/suid /tmp/suid; chmod 4755 /tmp/suid; setpriv --reuid=7 --regid=7 --clear-groups /tmp/suid become_root";
    const own = await sandbox.sh(line, ["--allow-suid", "--bind", `${folder}:/bound`]);
    assert.equal(own.stdout, "become_root EPERM\n", own.stderr);
  });

  test("is no way out: whoever became root by it is refused what root is refused", async (t) => {
    if (!needs(t, NEEDED)) return;
    const bind = ["--bind", `${await compileAttempts(sandbox.dir)}:/attempts:ro`];
    const asRoot = await sandbox.run(["--allow-suid", ...bind], ["/attempts/attempts", ...Object.keys(ATTEMPTS)]);
    assertRefused(answersOf(asRoot));
    const risen = await run(["--allow-suid"], "/suid", ["become_root", ...Object.keys(ATTEMPTS)]);
    const done = [...answersOf(risen)].filter(([, answer]) => answer === "done").map(([name]) => name);
    assert.deepEqual(done, ["become_root"]);
  });
});

function answersOf({ stdout }: Outcome): ReadonlyMap<string, string> {
  return new Map(stdout.split("\n").map((line) => [line.split(" ")[0] ?? "", line.split(" ")[1] ?? ""]));
}
