/** Images that lie, places that move while something is mounted there, and what is prepared for the next run. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rmdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { needs } from "../support/skips.ts";
import { compileAttempts, makeImage, NEEDS, type Rig, rig } from "./rig.ts";

const NEEDED = { ...NEEDS, program: "cc" } as const;

describe("a hostile image", () => {
  let sandbox: Rig;
  before(async () => {
    sandbox = await rig();
  });
  after(() => sandbox[Symbol.asyncDispose]());

  test("with files in the place of devices has the real ones", async (t) => {
    if (!needs(t, NEEDED)) return;
    const image = await makeImage(sandbox.dir);
    for (const name of ["null", "zero", "tty", "ptmx"]) await writeFile(join(image, "dev", name), "fake");
    const { stdout, stderr } = await sandbox.run([], ["/attempts", "null_is_null"], { image });
    assert.equal(stdout, "null_is_null done\n", stderr);
    assert.equal(await readFile(join(image, "dev", "null"), "utf8"), "fake");
  });

  test("whose /sys is a link to elsewhere shows its own files there, and nothing of the host's", async (t) => {
    if (!needs(t, NEEDED)) return;
    const image = await makeImage(sandbox.dir);
    await symlink("../../../../../../etc", join(image, "sys"));
    const outside = join(sandbox.dir, "outside-sys");
    await mkdir(outside);
    const { code } = await sandbox.run(["--tmpfs", "/sys/made"], ["/attempts"], { image });
    assert.equal(code, 0);
    assert.deepEqual(await readdir(join(image, "etc")), [], "what is made there is made in the upper layer");
  });

  for (const [what, target] of [
    ["a file of the host", (outside: string) => join(outside, "file")],
    ["a file of the host, by many steps up", (outside: string) => `../../../../../../..${outside}/file`],
    ["itself", () => "resolv.conf"],
  ] as const) {
    test(`whose /etc/resolv.conf is a link to ${what} gets one of its own`, async (t) => {
      if (!needs(t, NEEDED)) return;
      const image = await makeImage(sandbox.dir);
      const outside = join(sandbox.dir, `outside-${what.length}`);
      await mkdir(outside, { recursive: true });
      await writeFile(join(outside, "file"), "the host's");
      await symlink(target(outside), join(image, "etc", "resolv.conf"));
      const { code, stderr } = await sandbox.run(["--network", "host"], ["/attempts"], { image });
      assert.deepEqual([code, stderr], [0, ""]);
      assert.equal(await readFile(join(outside, "file"), "utf8"), "the host's");
      assert.deepEqual(await readdir(outside), ["file"]);
    });
  }

  test("whose /etc is a link out of it is not followed there", async (t) => {
    if (!needs(t, NEEDED)) return;
    const image = await makeImage(sandbox.dir);
    const outside = join(sandbox.dir, "outside-etc");
    await mkdir(outside);
    await rmdir(join(image, "etc"));
    await symlink(`../../../../../../..${outside}`, join(image, "etc"));
    await sandbox.run(["--network", "host"], ["/attempts"], { image });
    assert.deepEqual(await readdir(outside), []);
  });
});

describe("a place that moves", () => {
  let sandbox: Rig;
  before(async () => {
    sandbox = await rig();
  });
  after(() => sandbox[Symbol.asyncDispose]());

  /** One run renames what is bound into both; the others mount there meanwhile. */
  test("while something is mounted there leads no mount and no file out of the sandbox", {
    timeout: 120_000,
  }, async (t) => {
    if (!needs(t, NEEDS)) return;
    const [shared, outside, secret] = ["shared", "outside", "secret"].map((name) => join(sandbox.dir, name));
    assert.ok(shared !== undefined && outside !== undefined && secret !== undefined);
    for (const path of [shared, outside, secret]) await mkdir(path);
    await writeFile(join(secret, "word"), "secret\n");
    const mounts = await readFile("/proc/self/mountinfo", "utf8");
    const race = `cd /shared; mkdir a; ln -s ../../../../../../../..${outside} b; echo up
      while :; do mv -T a x; mv -T b a; mv -T x b; mv -T a x; mv -T b a; mv -T x b; done`;
    await using racing = await sandbox.start(["--bind", `${shared}:/shared`], ["sh", "-c", race]);
    await racing.printed("up");
    const ends = new Set<string>();
    for (let i = 0; i < 60; i += 1) {
      const bind = ["--bind", `${shared}:/shared`, "--bind", `${secret}:/shared/a/made-${i}`];
      const { code, exit, stdout } = await sandbox.sh(`cat /shared/*/made-${i}/word`, bind);
      // Mounted somewhere inside, or refused in setting up; never a run without its mount that thinks it has one.
      ends.add(exit?.reason === "setup" ? "refused" : `${code} ${stdout.trim()}`);
    }
    assert.deepEqual(
      [...ends].filter((end) => end !== "refused" && !/^\d+ (secret( secret)*)?$/.test(end)),
      [],
    );
    assert.deepEqual(await readdir(outside), [], "made outside of the sandbox");
    assert.equal(await readFile("/proc/self/mountinfo", "utf8"), mounts);
  });
});

describe("what a run prepares for the next one", () => {
  let sandbox: Rig;
  before(async () => {
    sandbox = await rig();
  });
  after(() => sandbox[Symbol.asyncDispose]());

  test("by attributes that overlay could take for its own hides nothing and brings nothing", async (t) => {
    if (!needs(t, { ...NEEDED, program: ["cc", "python3"] })) return;
    const scratch = await sandbox.scratch();
    const marks = ["opaque", "whiteout", "redirect", "origin", "metacopy"].map(
      (name) => `for prefix in (b"trusted.overlay.", b"user.overlay."):
  for path in ("/etc", "/usr/bin", "/etc/passwd"):
    try: os.setxattr(path, prefix + b"${name}", b"y")
    except OSError: pass`,
    );
    const program = `import os\n${marks.join("\n")}`;
    const first = await sandbox.run(["--keep-scratch"], ["python3", "-c", program], { scratch });
    assert.equal(first.code, 0, first.stderr);
    const second = await sandbox.sh("ls /etc/passwd /usr/bin/env; grep -c ^root: /etc/passwd", [], { scratch });
    assert.equal(second.stdout, "/etc/passwd\n/usr/bin/env\n1\n");
  });

  test("by sockets, pipes and devices of its own reaches nobody", async (t) => {
    if (!needs(t, NEEDED)) return;
    const scratch = await sandbox.scratch();
    const attempts = ["--bind", `${await compileAttempts(sandbox.dir)}:/attempts:ro`];
    const line = "mkfifo /pipe; ln -s /proc/1/root /root-of-pid-1; ln -s /dev/mem /memory; echo kept";
    const first = await sandbox.sh(line, ["--keep-scratch"], { scratch });
    assert.equal(first.stdout, "kept\n");
    const second = await sandbox.sh("ls /root-of-pid-1/; cat /memory; test -p /pipe && echo a pipe", attempts, {
      scratch,
    });
    assert.equal(second.stdout, "a pipe\n");
    assert.match(second.stderr, /root-of-pid-1.*Permission denied[^]*memory.*No such file/);
  });
});
