import assert from "node:assert/strict";
import { once } from "node:events";
import { constants } from "node:fs";
import { mkdir, open, readdir, rmdir, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { needs } from "../support/skips.ts";
import { ATTEMPTS, assertRefused } from "./attempts.ts";
import { compileAttempts, makeImage, NEEDS, type Rig, rig } from "./rig.ts";

describe("from inside the sandbox", () => {
  let sandbox: Rig;
  let bind: readonly string[];

  before(async () => {
    sandbox = await rig();
    bind = ["--bind", `${await compileAttempts(sandbox.dir)}:/attempts:ro`];
  });
  after(() => sandbox[Symbol.asyncDispose]());

  const attempt = async (names: readonly string[], options: readonly string[] = []): Promise<Map<string, string>> => {
    const { stdout } = await sandbox.run([...bind, ...options], ["/attempts/attempts", ...names]);
    const lines = stdout.split("\n").map((line) => line.split(" "));
    return new Map(lines.map(([name = "", answer = ""]) => [name, answer]));
  };

  test("every attempt at privilege, at the host and at the terminal is refused to root", async (t) => {
    if (!needs(t, NEEDS)) return;
    assertRefused(await attempt(Object.keys(ATTEMPTS)));
  });

  test("every attempt is refused on the host's network too", async (t) => {
    if (!needs(t, NEEDS)) return;
    assertRefused(await attempt(Object.keys(ATTEMPTS), ["--network", "host"]));
  });

  test("no attempt is answered with success to a user who is not root", async (t) => {
    if (!needs(t, NEEDS)) return;
    const answers = await attempt(Object.keys(ATTEMPTS), ["--user", "1000:1000"]);
    assert.equal(answers.size, Object.keys(ATTEMPTS).length + 1);
    assert.deepEqual(
      [...answers].filter(([, answer]) => answer === "done"),
      [],
    );
  });

  test("a terminal of one's own still works", async (t) => {
    if (!needs(t, NEEDS)) return;
    const { stdout } = await sandbox.sh("script -qec 'test -t 0 && echo a terminal' /dev/null");
    assert.match(stdout, /a terminal/);
  });

  test("the caller's secrets are in no environment and on no command line inside", async (t) => {
    if (!needs(t, NEEDS)) return;
    const outcome = await sandbox.run(
      ["--env", "VISIBLE=yes"],
      ["/bin/sh", "-c", "cat /proc/*/environ /proc/*/cmdline /proc/*/comm | tr '\\0' '\\n'"],
      { env: { SECRET: "of-the-caller" }, args: ["--env", "GIVEN=by-descriptor"] },
    );
    assert.match(outcome.stdout, /^GIVEN=by-descriptor$/m);
    assert.doesNotMatch(outcome.stdout, /of-the-caller|toroid-sandbox|scratch-/);
  });

  test("only the command's own three descriptors are open", async (t) => {
    if (!needs(t, NEEDS)) return;
    const { stdout } = await sandbox.sh(
      "cd /proc/self/fd && echo *; readlink 0; for fd in /proc/1/fd/*; do echo $fd; done",
    );
    // The shell's own listing may hold one more while it reads the directory.
    assert.match(stdout, /^0 1 2( 3)?\n\/dev\/null\n\/proc\/1\/fd\/\*\n$/);
  });

  test("no process of the host is seen, and the cgroup says nothing of the host", async (t) => {
    if (!needs(t, NEEDS)) return;
    const { stdout } = await sandbox.sh("ls -d /proc/[0-9]* | wc -l; cat /proc/1/cgroup | grep ^0::");
    const [count, cgroup] = stdout.split("\n");
    assert.ok(Number(count) <= 5, stdout);
    if (sandbox.cgroup !== null) assert.equal(cgroup, "0::/");
  });

  test("the mount table names no path of the host", async (t) => {
    if (!needs(t, NEEDS)) return;
    const { stdout } = await sandbox.sh("cat /proc/self/mountinfo /proc/self/mounts /proc/self/mountstats");
    assert.doesNotMatch(stdout, /scratch-|\/tmp\/toroid|\/home\//);
    assert.match(stdout, / \/ \/ rw,nosuid,nodev/);
  });

  test("kill -9 -1 ends the command's family and not pid 1, and the verdict is the signal", async (t) => {
    if (!needs(t, NEEDS)) return;
    const outcome = await sandbox.sh(
      "sleep 1000 & kill -9 1; kill -STOP 1; kill -TERM 1; kill -9 -1; echo alive; kill -9 $$",
    );
    assert.deepEqual([outcome.stdout, outcome.code, outcome.exit?.signal], ["alive\n", 137, 9]);
  });

  test("a daemon that left its session, ignores every signal and holds the output is killed", async (t) => {
    if (!needs(t, NEEDS)) return;
    const outcome = await sandbox.run(bind, [
      "/attempts/attempts",
      "escape_session",
      "escape_session",
      "escape_session",
    ]);
    assert.equal(outcome.code, 0);
    assert.ok((outcome.gone?.leftoverProcesses ?? 0) >= 3, JSON.stringify(outcome.gone));
  });

  test("orphans are reaped while the command runs", async (t) => {
    if (!needs(t, NEEDS)) return;
    const line =
      "/attempts/attempts zombies >/dev/null; n=1; while [ $n -gt 0 ]; do n=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l); done; echo none";
    const outcome = await sandbox.sh(line, [...bind, "--wall-ms", "20000"]);
    assert.equal(outcome.stdout, "none\n");
  });

  test("a fork bomb meets its limit", async (t) => {
    if (!needs(t, NEEDS)) return;
    const outcome = await sandbox.run([...bind, "--pids", "60"], ["/attempts/attempts", "forks"]);
    assert.equal(outcome.stdout, "forks EAGAIN\n");
    assert.ok((outcome.gone?.leftoverProcesses ?? 0) <= 60);
  });

  test("stdin is at its end, whatever the caller has", async (t) => {
    if (!needs(t, NEEDS)) return;
    assert.equal((await sandbox.sh("cat; readlink /proc/self/fd/0")).stdout, "/dev/null\n");
  });

  test("a line of 100 MiB and bytes that are no text pass unchanged", async (t) => {
    if (!needs(t, NEEDS)) return;
    const { stdout } = await sandbox.sh("printf '\\377\\000\\033[31m'; head -c 104857600 /dev/zero | tr '\\0' x");
    assert.equal(stdout.length, 104857600 + 7);
  });

  test("an image's sockets, pipes and devices lead nowhere on the host", async (t) => {
    if (!needs(t, { ...NEEDS, program: "mknod" })) return;
    const image = await makeImage(sandbox.dir);
    await execa("mknod", [join(image, "host.device"), "c", "1", "3"]);
    await execa("mkfifo", [join(image, "host.fifo")]);
    const reader = await open(join(image, "host.fifo"), constants.O_RDONLY | constants.O_NONBLOCK);
    const server = createServer().listen(join(image, "host.sock"));
    await once(server, "listening");
    try {
      const names = ["host_socket", "host_fifo", "host_device", "null_device"];
      const { stdout, stderr } = await sandbox.run([], ["/attempts", ...names], { image });
      assert.equal(stdout, "host_socket ECONNREFUSED\nhost_fifo ENXIO\nhost_device EACCES\nnull_device done\n", stderr);
    } finally {
      server.close();
      await reader.close();
    }
  });

  for (const name of ["proc", "dev", "tmp", "run"]) {
    test(`an image whose /${name} is a link to elsewhere is refused`, async (t) => {
      if (!needs(t, NEEDS)) return;
      const image = await makeImage(sandbox.dir);
      await rmdir(join(image, name));
      await symlink("/etc", join(image, name));
      const outcome = await sandbox.run([], ["/attempts"], { image });
      assert.deepEqual([outcome.code, outcome.exit?.reason], [125, "setup"]);
      assert.match(outcome.stderr, new RegExp(`/${name} of the image must be a plain directory`));
    });
  }

  test("links of an image cannot lead a mount out of it", async (t) => {
    if (!needs(t, NEEDS)) return;
    const image = await makeImage(sandbox.dir);
    const outside = join(sandbox.dir, "outside");
    await mkdir(outside);
    await symlink(`../../../../../../../..${outside}`, join(image, "way"));
    const outcome = await sandbox.run(["--tmpfs", "/way/made"], ["/attempts"], { image });
    assert.equal(outcome.code, 125, "the link dangles inside, so the mount has no place");
    assert.deepEqual(await readdir(outside), []);
  });

  test("an empty network reaches nothing, not even the host's abstract sockets", async (t) => {
    if (!needs(t, NEEDS)) return;
    const { stdout } = await sandbox.sh(
      "cat /proc/net/dev | tail -n +3 | cut -d: -f1; cat /proc/net/unix | tail -n +2; cat /proc/net/route | tail -n +2",
    );
    assert.equal(stdout.trim(), "lo");
  });
});
