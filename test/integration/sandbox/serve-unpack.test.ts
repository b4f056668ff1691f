/** Images that a client of `toroid-sandbox serve` has unpacked: root's, whole or not there. */
import assert from "node:assert/strict";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { chmod, chown, lchown, mkdir, mkdtemp, open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { NEEDS } from "../../abuse/rig.ts";
import { needs } from "../../support/skips.ts";
import { CLIENT, ServeRig } from "./serve-rig.ts";

const T = { timeout: 60_000 };

describe("unpack, for a client of serve,", () => {
  let made: ServeRig | undefined;
  let archive = "";
  before(async () => {
    if (process.getuid?.() !== 0) return;
    made = await ServeRig.start();
    archive = await pack(made);
  });
  after(() => made?.[Symbol.asyncDispose]());
  const rig = (): ServeRig => {
    assert.ok(made !== undefined);
    return made;
  };
  const shown = async (name: string): Promise<readonly unknown[]> => {
    const { uid, gid, mode } = await stat(join(rig().images, name));
    return [uid, gid, (mode & 0o7777).toString(8)];
  };
  const refusal = async (...words: readonly string[]): Promise<string> => {
    const { said } = await rig().ask("unpack", ...words);
    assert.equal(said.event, "refused");
    return String(said["message"]);
  };

  test("makes an image with its owners and modes, once", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const { said } = await rig().ask("unpack", archive, "one");
    assert.deepEqual(said, { event: "done", files: 2, bytes: said["bytes"], devicesLeftOut: 0, ownersToNobody: 0 });
    assert.deepEqual(await shown("one/suid"), [0, 0, "4755"]);
    assert.deepEqual(await shown("one/theirs"), [1000, 1000, "600"]);
    await writeFile(join(rig().images, "one", "mark"), "");
    assert.equal((await rig().ask("unpack", archive, "one")).said["files"], 0);
    assert.deepEqual((await readdir(join(rig().images, "one"))).sort(), ["mark", "suid", "theirs"]);
  });

  test("takes an archive of the images, of the client's, or from a pipe of the client's", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const bytes = await readFile(archive);
    await writeFile(join(rig().images, "archive.tar"), bytes, { mode: 0o600 });
    assert.equal((await rig().ask("unpack", join(rig().images, "archive.tar"), "two")).said["files"], 2);

    const pipe = join(rig().share, "pipe");
    await execa("mkfifo", ["-m", "600", pipe]);
    await chown(pipe, CLIENT, CLIENT);
    // The client has it open for both until the other side has it: it neither waits nor is it at its end too soon.
    const held = openSync(pipe, constants.O_RDWR);
    const asking = rig().open("unpack", pipe, "three");
    writeSync(held, bytes.subarray(0, 1024));
    const writer = await open(pipe, constants.O_WRONLY);
    await asking.heard("opened");
    closeSync(held);
    // The reader goes when it has seen the end of the archive, which is before the end of the file.
    await writer.writeFile(bytes.subarray(1024)).catch((error: unknown) => assert.match(String(error), /EPIPE/));
    await writer.close();
    assert.equal((await asking.answer).said["files"], 2);
    assert.deepEqual(await shown("three/theirs"), [1000, 1000, "600"]);
  });

  test("is undone by drop, whole, and nothing else is", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await rig().ask("unpack", archive, "going");
    await rig().ask("unpack", archive, "staying");
    assert.deepEqual((await rig().ask("drop", "going")).said, { event: "done", removed: 1 });
    assert.deepEqual((await rig().ask("drop", "going")).said, { event: "done", removed: 0 });
    for (const name of ["../state", "staying/suid", ".", "", "a/../staying"]) {
      const { said } = await rig().ask("drop", name);
      assert.deepEqual([said.event, said["message"]], ["refused", `drop: ${name} is no name for an image`]);
    }
    const there = await readdir(rig().images);
    assert.deepEqual([there.includes("going"), there.includes("staying")], [false, true]);
    assert.deepEqual(await drafts(rig()), []);
  });

  test("of several at once, one is placed and all are told so", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const answers = await Promise.all(Array.from({ length: 6 }, () => rig().ask("unpack", archive, "many")));
    assert.deepEqual(
      answers.map(({ said }) => said.event),
      Array.from({ length: 6 }, () => "done"),
    );
    assert.deepEqual(await drafts(rig()), []);
  });

  test("a broken archive leaves nothing, and neither does a client that hangs up", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const broken = await rig().put("broken.tar", { text: "this is not an archive".repeat(100) });
    assert.match(await refusal(broken, "broken"), /this is no tar archive/);
    const pipe = join(rig().share, "slow");
    await execa("mkfifo", ["-m", "600", pipe]);
    await chown(pipe, CLIENT, CLIENT);
    const held = openSync(pipe, constants.O_RDWR);
    writeSync(held, (await readFile(archive)).subarray(0, 1024));
    const asking = rig().open("unpack", pipe, "slow");
    await asking.heard("opened");
    asking.socket.end();
    assert.match(String((await asking.answer).said["message"]), /^unpack: /);
    closeSync(held);
    const names = await readdir(rig().images);
    assert.deepEqual(
      names.filter((name) => name.includes("broken") || name.includes("slow")),
      [],
    );
  });

  test("what a killed one left is collected", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await mkdir(join(rig().images, ".draft-dead-1", "usr"), { recursive: true });
    assert.equal((await rig().ask("gc")).said["removed"], 1);
    assert.deepEqual(await drafts(rig()), []);
  });

  test("refuses other places, other people's files, links and names that are paths", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const roots = await rig().put("roots.tar", { owner: 0 });
    const link = await rig().link("link.tar", archive);
    const folder = await rig().folder("folder");
    const noFile = /is no file or pipe of the client's, or of the images$/;
    assert.match(await refusal("/etc/passwd", "x"), /it lies in no directory that serve was given for this$/);
    assert.match(await refusal(`${rig().share}/../state/x`, "x"), /it leads out of its directory, or over a link$/);
    assert.match(await refusal(link, "x"), /it leads out of its directory, or over a link$/);
    assert.match(await refusal(roots, "x"), noFile);
    assert.match(await refusal(folder, "x"), noFile);
    for (const name of ["../x", ".x", "", "a/b", "n".repeat(65)]) {
      assert.match(await refusal(archive, name), /^unpack: .* is no name for an image$/);
    }
    assert.deepEqual(await drafts(rig()), []);
  });
});

async function drafts(rig: ServeRig): Promise<readonly string[]> {
  return (await readdir(rig.images)).filter((name) => name.startsWith(".draft-"));
}

/** With what only root can unpack: another's file, and one that makes its caller root. */
async function pack(rig: ServeRig): Promise<string> {
  const dir = await mkdtemp(join(rig.dir, "tree-"));
  await chmod(dir, 0o755);
  await writeFile(join(dir, "suid"), "x");
  await chmod(join(dir, "suid"), 0o4755);
  await writeFile(join(dir, "theirs"), "y", { mode: 0o600 });
  await lchown(join(dir, "theirs"), 1000, 1000);
  const archive = join(rig.share, "archive.tar");
  await execa("tar", ["--create", "--numeric-owner", "--file", archive, "--directory", dir, "."]);
  await chown(archive, CLIENT, CLIENT);
  return archive;
}
