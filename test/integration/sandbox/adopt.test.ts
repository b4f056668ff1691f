/** `adopt` and `remove` of `toroid-sandbox serve` on trees that builds and clients made to do harm. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, lchown, link, lstat, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { NEEDS } from "../../abuse/rig.ts";
import { needs } from "../../support/skips.ts";
import { CLIENT, ServeRig } from "./serve-rig.ts";

const T = { timeout: 60_000 };

describe("adopt and remove", () => {
  let made: ServeRig | undefined;
  /** Of uid 1000 of a build in slot 0. */
  let foreign = 0;
  before(async () => {
    if (process.getuid?.() !== 0) return;
    made = await ServeRig.start();
    foreign = Number((await made.sh("true")).of("created")?.["uidBase"]) + 1000;
  });
  after(() => made?.[Symbol.asyncDispose]());
  const rig = (): ServeRig => {
    assert.ok(made !== undefined);
    return made;
  };
  const adopt = async (path: string): Promise<unknown> => {
    const { event, adopted, message } = (await rig().ask("adopt", path)).said;
    return event === "done" ? adopted : message;
  };
  const shown = async (path: string): Promise<readonly unknown[]> => {
    const { uid, gid, mode } = await lstat(path);
    return [uid, gid, (mode & 0o7777).toString(8)];
  };

  test("what a build's users left becomes the client's, and can be read and removed by it", T, async (t) => {
    if (!needs(t, { ...NEEDS, program: "setpriv" })) return;
    const dir = await rig().folder("tree");
    const line = [
      "cd /src; mkdir -m 777 open; chmod 4755 /bin/true",
      "setpriv --reuid 1000 --regid 1000 --clear-groups sh -c 'umask 077; mkdir -p open/a/b; echo x > open/a/b/c'",
      "echo y > mine; chmod 0 mine; mkdir closed; echo z > closed/z; chmod 0 closed",
      "cp /bin/true suid; chmod 6755 suid; mkdir -m 1777 sticky",
    ].join("; ");
    assert.equal((await rig().sh(line, ["--bind", `${dir}:/src`])).said["code"], 0);
    assert.deepEqual(await shown(join(dir, "suid")), [CLIENT, CLIENT, "6755"]);
    assert.equal(await adopt(dir), 3);
    for (const [name, mode] of [
      ["open", "777"],
      ["open/a/b", "700"],
      ["open/a/b/c", "600"],
      ["mine", "400"],
      ["closed", "700"],
      ["suid", "755"],
      ["sticky", "777"],
    ] as const) {
      assert.deepEqual([name, ...(await shown(join(dir, name)))], [name, CLIENT, CLIENT, mode]);
    }
    const client = [`--reuid=${CLIENT}`, `--regid=${CLIENT}`, "--clear-groups"];
    const read = await execa("setpriv", [...client, "cat", "open/a/b/c", "mine", "closed/z"], { cwd: dir });
    assert.equal(read.stdout, "x\ny\nz");
    await execa("setpriv", [...client, "rm", "-rf", dir], { cwd: "/" });
  });

  test("what is neither a build's nor the client's stays as it is, and so does what can be read", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const dir = await rig().folder("mixed");
    const roots = await rig().put("mixed/roots", { owner: 0, mode: 0o4600 });
    const others = await rig().put("mixed/others", { owner: CLIENT + 1, mode: 0o4600 });
    const plain = await rig().put("mixed/plain", { mode: 0o444 });
    const base = foreign - 1000;
    const past = await rig().put("mixed/past", { owner: base + 65_536, mode: 0o4600 });
    const first = await rig().put("mixed/first", { owner: base, mode: 0o4600 });
    const last = await rig().put("mixed/last", { owner: base + 65_535, mode: 0o600 });
    assert.equal(await adopt(dir), 2);
    assert.deepEqual(await shown(roots), [0, 0, "4600"]);
    assert.deepEqual(await shown(others), [CLIENT + 1, CLIENT + 1, "4600"]);
    assert.deepEqual(await shown(past), [base + 65_536, base + 65_536, "4600"]);
    assert.deepEqual(await shown(plain), [CLIENT, CLIENT, "444"]);
    assert.deepEqual(await shown(first), [CLIENT, CLIENT, "600"]);
    assert.deepEqual(await shown(last), [CLIENT, CLIENT, "600"]);
  });

  test("links, pipes and sockets are taken over as what they are, and nothing is followed or opened", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const dir = await rig().folder("odd");
    const outside = join(rig().dir, "outside");
    await mkdir(outside);
    await writeFile(join(outside, "file"), "");
    await chown(join(outside, "file"), foreign, foreign);
    const links = [await rig().link("odd/file", join(outside, "file")), await rig().link("odd/dir", outside)];
    await execa("mkfifo", ["-m", "000", join(dir, "fifo")]);
    const socket = spawn(process.execPath, [
      "-e",
      `require("net").createServer().listen(${JSON.stringify(join(dir, "socket"))}, () => console.log("up"))`,
    ]);
    await once(socket.stdout, "data");
    socket.kill("SIGKILL");
    await once(socket, "exit");
    for (const name of ["file", "dir", "fifo", "socket"]) await lchown(join(dir, name), foreign, foreign);
    assert.equal(await adopt(dir), 4);
    assert.deepEqual(await shown(join(outside, "file")), [foreign, foreign, "644"]);
    assert.deepEqual((await shown(outside)).slice(0, 2), [0, 0]);
    for (const path of links) assert.deepEqual((await shown(path)).slice(0, 2), [CLIENT, CLIENT]);
    assert.deepEqual(await shown(join(dir, "fifo")), [CLIENT, CLIENT, "400"]);
    assert.deepEqual((await rig().ask("remove", dir)).said, { event: "done", removed: 1 });
    assert.deepEqual(await readdir(outside), ["file"]);
  });

  test("a name that leads to another's file by a hard link gives nothing away", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const dir = await rig().folder("hard");
    const secret = join(rig().dir, "secret");
    await writeFile(secret, "root's\n", { mode: 0o600 });
    await link(secret, join(dir, "secret"));
    assert.equal(await adopt(dir), 0);
    assert.deepEqual(await shown(secret), [0, 0, "600"]);
    assert.equal((await rig().ask("remove", dir)).said.event, "done");
    assert.equal(await readFile(secret, "utf8"), "root's\n");
  });

  test("a tree that is too deep is said to be, and can be removed all the same", T, async (t) => {
    if (!needs(t, { ...NEEDS, program: "perl" })) return;
    const dir = await rig().folder("deep");
    const dig = (depth: number): Promise<unknown> =>
      execa("perl", ["-e", `for (1..${depth}) { mkdir "d"; chdir "d" or die }`], { cwd: dir });
    await dig(700);
    assert.equal(await adopt(dir), 0);
    await rig().ask("remove", dir);
    await rig().folder("deep");
    await dig(5000);
    assert.match(String(await adopt(dir)), /^adopt: the tree is deeper than \d+ directories$/);
    assert.deepEqual((await rig().ask("remove", dir)).said, { event: "done", removed: 1 });
  });

  test("a client that moves things about while its tree is adopted gets nothing that it had not", T, async (t) => {
    if (!needs(t, { ...NEEDS, program: ["perl", "setpriv"] })) return;
    const dir = await rig().folder("race");
    const outside = join(rig().dir, "elsewhere");
    await mkdir(outside, { mode: 0o755 });
    for (const name of ["a", "b"]) {
      await writeFile(join(outside, name), "", { mode: 0o600 });
      await chown(join(outside, name), foreign, foreign);
    }
    await rig().folder("race/real");
    for (const name of ["a", "b"]) await rig().put(`race/real/${name}`, { owner: foreign, mode: 0o600 });
    await rig().link("race/fake", outside);
    // Swaps a directory for a link to another, again and again, and a file in it for one that leads there.
    const swap = [
      'print "up\\n"; $| = 1;',
      'for (;;) { rename "at", "real"; rename "fake", "at"; rename "at", "fake"; rename "real", "at";',
      '  unlink "at/c"; symlink "../../../elsewhere/a", "at/c"; rename "at/a", "at/d"; rename "at/d", "at/a"; }',
    ].join("\n");
    const client = [`--reuid=${CLIENT}`, `--regid=${CLIENT}`, "--clear-groups"];
    const racer = spawn("setpriv", [...client, "perl", "-e", `$| = 1; ${swap}`], { cwd: dir });
    try {
      await once(racer.stdout, "data");
      for (let i = 0; i < 100; i += 1) {
        const said = (await rig().ask("adopt", dir)).said;
        assert.ok(said.event === "done" || said.event === "refused");
      }
    } finally {
      racer.kill("SIGKILL");
      await once(racer, "exit");
    }
    for (const name of ["a", "b"]) assert.deepEqual(await shown(join(outside, name)), [foreign, foreign, "600"]);
    assert.deepEqual((await shown(outside)).slice(0, 2), [0, 0]);
    await rig().ask("remove", dir);
    assert.deepEqual((await readdir(outside)).sort(), ["a", "b"]);
  });

  test("one file can be adopted and removed as well", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const file = await rig().put("one", { owner: foreign, mode: 0o200 });
    assert.equal(await adopt(file), 1);
    assert.deepEqual(await shown(file), [CLIENT, CLIENT, "600"]);
    assert.deepEqual((await rig().ask("remove", file)).said, { event: "done", removed: 1 });
    await assert.rejects(stat(file), { code: "ENOENT" });
    // Like `rm -f`: that nothing is there is what was wanted.
    assert.deepEqual((await rig().ask("remove", file)).said, { event: "done", removed: 1 });
  });

  test("a tree with names, modes and owners of every kind is removed", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const dir = await rig().folder("wild");
    await mkdir(join(dir, "x".repeat(255)));
    await writeFile(join(dir, "new\nline"), "");
    await mkdir(join(dir, "closed"), { mode: 0o000 });
    await writeFile(join(dir, "closed", "file"), "");
    await chmod(join(dir, "closed"), 0o000);
    await chown(join(dir, "closed"), foreign, foreign);
    await Promise.all(Array.from({ length: 2_000 }, (_, i) => writeFile(join(dir, `n${i}`), "")));
    assert.deepEqual((await rig().ask("remove", dir)).said, { event: "done", removed: 1 });
    await assert.rejects(stat(dir), { code: "ENOENT" });
  });
});
