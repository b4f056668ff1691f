import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chown, mkdir, readdir, readFile, realpath, rmdir, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { HELPER, NEEDS, type Outcome, ownerOf, type Rig, rig } from "../abuse/rig.ts";
import { isAlive } from "../support/child.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

describe("toroid-sandbox", () => {
  let sandbox: Rig;
  before(async () => {
    sandbox = await rig();
  });
  after(() => sandbox[Symbol.asyncDispose]());

  const summary = ({ code, exit }: Outcome): unknown[] => [code, exit?.code, exit?.signal, exit?.reason];

  describe("the verdict", () => {
    test("tells every way to end apart, in the exit code and in words", async (t) => {
      if (!needs(t, NEEDS)) return;
      assert.deepEqual(summary(await sandbox.sh("exit 0")), [0, 0, null, "exit"]);
      assert.deepEqual(summary(await sandbox.sh("exit 1")), [1, 1, null, "exit"]);
      assert.deepEqual(summary(await sandbox.sh("exit 255")), [255, 255, null, "exit"]);
      assert.deepEqual(summary(await sandbox.sh("kill -SEGV $$")), [139, null, 11, "signal"]);
      assert.deepEqual(summary(await sandbox.run([], ["/etc/passwd"])), [126, 126, null, "exit"]);
      assert.deepEqual(summary(await sandbox.run([], ["no-such-program"])), [127, 127, null, "exit"]);
      assert.deepEqual(summary(await sandbox.sh("exec sleep 1000", ["--wall-ms", "100"])), [124, null, 15, "timeout"]);
      assert.deepEqual(summary(await sandbox.run(["--cwd", "/no/such"], ["true"])), [125, 125, null, "setup"]);
    });

    test("says created, started, exit and gone, once each", async (t) => {
      if (!needs(t, NEEDS)) return;
      const { created, started, exit, gone } = await sandbox.sh("exit 3");
      assert.ok(created && started && exit && gone);
      assert.deepEqual(created.weak, ["image-host"]);
      if (sandbox.cgroup !== null) assert.ok(created.cgroup?.startsWith(`${sandbox.cgroup}/toroid-`));
      assert.ok(started.pid > 0);
      const steps = Object.values(started.setupUs).reduce((sum, us) => sum + us, 0);
      assert.ok(steps > 0 && started.setupTotalUs > 0);
      assert.equal(exit.message, "it exited with 3");
      assert.ok((exit.stats["cpuUs"] ?? 0) > 0 && (exit.stats["wallMs"] ?? -1) >= 0);
      assert.equal(gone.leftoverProcesses, 0);
    });

    test("names for every limit that was asked for whether it holds", async (t) => {
      if (!needs(t, NEEDS)) return;
      const limits = ["--memory-bytes", "536870912", "--pids", "100", "--cpu-milli", "1000", "--wall-ms", "60000"];
      const { created, code } = await sandbox.run(limits, ["true"]);
      assert.equal(code, 0);
      assert.deepEqual(Object.keys(created?.limits ?? {}), ["memoryBytes", "pids", "cpuMilli", "wallMs"]);
      for (const said of Object.values(created?.limits ?? {})) assert.match(said, /^enforced$|^unsupported: .+ .+/);
    });

    test("what the host cannot hold ends the run before it begins, unless that is allowed by name", async (t) => {
      if (!needs(t, NEEDS)) return;
      if (sandbox.cgroup === null) return t.skip("needs a cgroup v2");
      // Nothing passes a controller on to it, on any host.
      const bare = join(sandbox.cgroup, "bare", "below");
      await mkdir(bare, { recursive: true });
      const limits = ["--memory-bytes", "536870912", "--pids", "100", "--wall-ms", "60000"];
      const run = (...allowed: readonly string[]): Promise<Outcome> =>
        sandbox.run([...limits, ...allowed.flatMap((name) => ["--allow-weak", name])], ["echo", "ran"], {
          where: ["--cgroup", bare],
        });
      try {
        const neither = await run();
        assert.deepEqual([...summary(neither), neither.stdout], [125, 125, null, "setup", ""]);
        assert.deepEqual([neither.created, neither.started], [undefined, undefined]);
        assert.deepEqual(neither.exit?.lacks, ["no-limit-memoryBytes", "no-limit-pids"]);
        assert.match(
          neither.stderr,
          /^toroid-sandbox: weak: \S+ offers no memory controller, so memory is not limited; .* --allow-weak no-limit-memoryBytes --allow-weak no-limit-pids\n$/,
        );
        const one = await run("no-limit-memoryBytes");
        assert.deepEqual([one.code, one.exit?.lacks], [125, ["no-limit-pids"]]);
        const both = await run("no-limit-pids", "no-limit-memoryBytes");
        assert.deepEqual([both.code, both.stdout], [0, "ran\n"]);
        assert.deepEqual(both.created?.weak, ["image-host", "no-limit-memoryBytes", "no-limit-pids"]);
      } finally {
        await rmdir(bare);
        await rmdir(join(bare, ".."));
      }
    });

    test("an error of ours has one sentence with step, errno and path, on stderr and in the exit event", async (t) => {
      if (!needs(t, NEEDS)) return;
      const outcome = await sandbox.run(["--bind", "/no/such:/src"], ["true"]);
      assert.equal(outcome.stderr, "toroid-sandbox: bind: cannot open /no/such: ENOENT (No such file or directory)\n");
      assert.equal(outcome.exit?.message, "bind: cannot open /no/such: ENOENT (No such file or directory)");
      assert.equal(outcome.started, undefined);
    });

    test("a caller that closes the status descriptor and stdout does not stop the run", async (t) => {
      if (!needs(t, NEEDS)) return;
      const scratch = await sandbox.scratch();
      const line = `exec "$@" 9>&1 >&- | true; exit $PIPESTATUS`;
      const words = [HELPER, "run", "--image", "host", "--scratch", scratch, "--json-status-fd", "9"];
      const { exitCode } = await execa(
        "bash",
        ["-c", line, "bash", ...words, ...sandbox.where, "--", "sh", "-c", "exit 7"],
        {
          reject: false,
        },
      );
      assert.equal(exitCode, 7);
    });
  });

  describe("the root", () => {
    test("what is written, changed and removed inside leaves the host as it was", async (t) => {
      if (!needs(t, NEEDS)) return;
      const passwd = await stat("/etc/passwd");
      const { stdout } = await sandbox.sh(
        "rm -r /usr/share /etc/passwd; echo hi > /usr/bin/new; ls /etc/passwd; cat /usr/bin/new",
      );
      assert.equal(stdout, "hi\n");
      assert.ok(existsSync("/usr/share") && !existsSync("/usr/bin/new"));
      assert.equal((await stat("/etc/passwd")).mtimeMs, passwd.mtimeMs);
    });

    test("the host as an image has no homes, no keys, no password and no sockets", async (t) => {
      if (!needs(t, NEEDS)) return;
      const { stdout } = await sandbox.sh(
        "ls -A /root /home /run /tmp /var/tmp /var/log | grep -v : ; ls /etc/ssh/ssh_host_* /var/lib/docker /etc/ssl/private; find / -xdev -type s",
      );
      assert.equal(stdout.trim(), "");
      const shadow = await sandbox.sh("cut -d: -f2 /etc/shadow | sort -u; ls /etc/*shadow*");
      assert.equal(shadow.stdout, "*\n/etc/shadow\n");
    });

    test("--mask hides a directory and a file, and the scratch hides itself", async (t) => {
      if (!needs(t, NEEDS)) return;
      const dir = await realpath(join(import.meta.dirname, "..", ".."));
      const file = join(dir, "package.json");
      const shown = await sandbox.sh(`ls ${file}`);
      if (shown.code !== 0) return t.skip("it needs a checkout that the image host shows");
      const hidden = await sandbox.sh(`ls ${file}; ls ${dir}/protocol; ls /etc/passwd`, [
        "--mask",
        file,
        "--mask",
        `${dir}/protocol`,
      ]);
      assert.equal(hidden.stdout, "/etc/passwd\n");
    });

    test("uid 0 inside is a range of its own outside, and chown stays within it", async (t) => {
      if (!needs(t, NEEDS)) return;
      const scratch = await sandbox.scratch();
      const line = "touch /mine /his; chown 1234:5678 /his; chmod 4755 /his; stat -c '%u:%g %a' /mine /his";
      const { created, stdout } = await sandbox.sh(line, ["--keep-scratch"], { scratch });
      const base = created?.uidBase ?? 0;
      assert.equal(stdout, "0:0 644\n1234:5678 4755\n");
      assert.ok(base >= 65536);
      assert.equal(await ownerOf(join(scratch, "upper", "mine")), `${base}:${base}`);
      assert.equal(await ownerOf(join(scratch, "upper", "his")), `${base + 1234}:${base + 5678}`);
      await sandbox.run([], ["true"], { scratch });
    });

    test("--keep-scratch lets the next run go on where the last one ended, under the same uids", async (t) => {
      if (!needs(t, NEEDS)) return;
      const scratch = await sandbox.scratch();
      const first = await sandbox.sh("echo one > /srv-file; rm /etc/hosts; chown 7 /", ["--keep-scratch"], { scratch });
      const second = await sandbox.sh("cat /srv-file; ls /etc/hosts", ["--keep-scratch"], { scratch });
      assert.equal(second.stdout, "one\n");
      assert.equal(second.created?.uidBase, first.created?.uidBase);
      const other = await sandbox.run(["--uid-base", "655360", "--keep-scratch"], ["true"], { scratch });
      assert.match(other.stderr, /was written under --uid-base \d+ and cannot be used under another/);
      assert.equal((await sandbox.sh("cat /srv-file", [], { scratch })).stdout, "one\n");
      assert.ok(!existsSync(scratch), "without --keep-scratch it is removed at the end");
    });

    test("one scratch and one range of uids are for one run at a time", async (t) => {
      if (!needs(t, NEEDS)) return;
      await using first = await sandbox.start(["--uid-base", "6553600"], ["sleep", "1000"]);
      await first.heard("started");
      const sameScratch = await sandbox.run(["--keep-scratch"], ["true"], { scratch: first.scratch });
      assert.deepEqual([sameScratch.code, sameScratch.exit?.reason], [125, "setup"]);
      assert.match(sameScratch.stderr, /is in use by another run/);
      const overlapping = await sandbox.run(["--uid-base", "6553601"], ["true"]);
      assert.match(overlapping.stderr, /uids from 6553601 on are in use/);
      assert.ok(existsSync(first.scratch));
    });

    test("a tree of any depth and any mode is removed with the scratch", async (t) => {
      if (!needs(t, NEEDS)) return;
      const line = `p=$(printf 'd/%.0s' $(seq 1000)); mkdir -p /$p
        for i in 1 2 3; do mkdir -p /n/$p && mv /d /n/$p && mv /n /d; done
        mkdir /locked; touch /locked/x; chmod 0 /locked; mkfifo /p; ln -s / /up`;
      const outcome = await sandbox.sh(line);
      assert.deepEqual([outcome.code, outcome.stderr], [0, ""]);
      await sandbox.assertClean();
    });

    test("a directory is an image, several are layers with the first on top", async (t) => {
      if (!needs(t, NEEDS)) return;
      const dir = join(sandbox.dir, "layers");
      for (const name of ["top", "bottom"]) {
        await mkdir(join(dir, name), { recursive: true });
        await writeFile(join(dir, name, "name"), name);
        await writeFile(join(dir, name, `only-${name}`), name);
      }
      const { stdout } = await sandbox.run(
        [
          "--image",
          join(dir, "bottom"),
          "--bind",
          "/usr:/usr:ro",
          "--bind",
          "/lib64:/lib64:ro",
          "--bind",
          "/lib:/lib:ro",
        ],
        ["/usr/bin/sh", "-c", "cat /name; ls -d /only-*; ls /etc/passwd"],
        {
          image: join(dir, "top"),
        },
      );
      assert.equal(stdout, "top/only-bottom\n/only-top\n");
    });
  });

  describe("mounts", () => {
    test("a bind is owned by root on both sides and written through", async (t) => {
      if (!needs(t, NEEDS)) return;
      const dir = join(sandbox.dir, "checkout");
      await mkdir(dir);
      await writeFile(join(dir, "file"), "theirs");
      await chown(join(dir, "file"), 12, 34);
      const { stdout } = await sandbox.sh("stat -c %u:%g . file; echo ours > new; chown 56:78 file", [
        "--bind",
        `${dir}:/build/acme/api`,
        "--cwd",
        "/build/acme/api",
      ]);
      assert.equal(stdout, "0:0\n12:34\n");
      assert.equal(await readFile(join(dir, "new"), "utf8"), "ours\n");
      assert.equal(await ownerOf(join(dir, "new")), "0:0");
      assert.equal(await ownerOf(join(dir, "file")), "56:78");
    });

    test("a read-only bind is read and not written, be it a directory or a file", async (t) => {
      if (!needs(t, NEEDS)) return;
      const dir = join(sandbox.dir, "source");
      await mkdir(dir);
      await writeFile(join(dir, "file"), "text");
      const binds = ["--bind", `${dir}:/src:ro`, "--bind", `${dir}/file:/etc/given/one:ro`];
      const { stdout, stderr } = await sandbox.sh(
        "cat /src/file /etc/given/one; touch /src/new; echo no > /etc/given/one",
        binds,
      );
      assert.equal(stdout, "texttext");
      assert.equal(stderr.match(/Read-only file system/g)?.length, 2, stderr);
      assert.deepEqual(await readdir(dir), ["file"]);
    });

    test("--tmpfs is as large as it is said, in the place of /tmp too", async (t) => {
      if (!needs(t, NEEDS)) return;
      const { stdout } = await sandbox.sh(
        "for d in /tmp /cache; do head -c 2000000 /dev/zero > $d/x || stat -c %s $d/x; done",
        ["--tmpfs", "/tmp:1048576", "--tmpfs", "/cache:524288"],
      );
      assert.equal(stdout, "1048576\n524288\n");
    });

    test("/dev has what programs need and no disk, /proc is the sandbox's own", async (t) => {
      if (!needs(t, NEEDS)) return;
      const { stdout } = await sandbox.sh(
        "echo /dev/*; head -c 4 /dev/urandom | wc -c; echo x > /dev/null; ls -d /dev/fd/1; ls /sys; cat /proc/1/comm; dd if=/dev/zero of=/dev/shm/x bs=1k count=1 2>&1 | tail -c 0",
      );
      const names = [
        "fd",
        "full",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
      ];
      assert.equal(stdout, `${names.map((name) => `/dev/${name}`).join(" ")}\n4\n/dev/fd/1\ninit\n`);
    });
  });

  describe("what the command is given", () => {
    test("only the variables that were named, and a PATH", async (t) => {
      if (!needs(t, NEEDS)) return;
      const bare = await sandbox.run([], ["/usr/bin/env"], { env: { LEAK: "yes" } });
      assert.equal(bare.stdout, `PATH=${DEFAULT_PATH}\n`);
      const given = await sandbox.run(["--env", "A=1", "--env", "A=2"], ["/usr/bin/env"], {
        args: ["--env", "B=x\ny=z", "--env", "PATH=/bin"],
      });
      assert.equal(given.stdout, "B=x\ny=z\nPATH=/bin\nA=2\n");
    });

    test("its user, directory and host name", async (t) => {
      if (!needs(t, NEEDS)) return;
      const options = ["--user", "1000:1001", "--cwd", "/usr/lib", "--hostname", "build-7.acme"];
      const { stdout } = await sandbox.sh(
        "id -u; id -g; id -G; pwd; hostname; touch /usr/lib/x || echo denied",
        options,
      );
      assert.equal(stdout, "1000\n1001\n1001\n/usr/lib\nbuild-7.acme\ndenied\n");
    });

    test("with --network none a loopback of its own, with host the host's, and that is called weak", async (t) => {
      if (!needs(t, NEEDS)) return;
      const server = createServer((socket) => socket.end("from the host")).listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = server.address();
      assert.ok(address !== null && typeof address === "object");
      const ask = `exec 3<>/dev/tcp/127.0.0.1/${address.port} && cat <&3`;
      try {
        const none = await sandbox.run([], ["bash", "-c", ask]);
        assert.match(none.stderr, /Connection refused/);
        const host = await sandbox.run(["--network", "host"], ["bash", "-c", ask]);
        assert.equal(host.stdout, "from the host");
        assert.deepEqual(host.created?.weak, ["network-host", "image-host"]);
      } finally {
        server.close();
      }
    });

    test("a machine in which packages, compilers and interpreters work", async (t) => {
      if (!needs(t, { ...NEEDS, program: ["cc", "git", "make", "dpkg-deb"] })) return;
      const script = `set -e
        mkdir -p /root/p/DEBIAN /root/p/usr/bin /root/src; cd /root/src
        printf 'int main(void){return 0;}' > a.c; printf 'all:\\n\\tcc -o a a.c && ./a\\n' > Makefile; make -s
        git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm one
        cp a /root/p/usr/bin/toroid-probe; chmod 4755 /root/p/usr/bin/toroid-probe
        printf 'Package: toroid-probe\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b>\\nDescription: x\\n' > /root/p/DEBIAN/control
        printf '#!/bin/sh\\nuseradd -r toroid-probe && chown toroid-probe: /usr/bin/toroid-probe\\n' > /root/p/DEBIAN/postinst
        chmod 755 /root/p/DEBIAN/postinst; dpkg-deb -b /root/p /root/p.deb >/dev/null; dpkg -i /root/p.deb >/dev/null
        stat -c '%U %a' /usr/bin/toroid-probe; su toroid-probe -s /bin/sh -c 'id -un'`;
      const { stdout, stderr, code } = await sandbox.sh(script, ["--env", "HOME=/root"]);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "toroid-probe 755\ntoroid-probe\n");
    });
  });

  describe("the end", () => {
    test("a timed-out command is asked by TERM first, and what it still says is heard", async (t) => {
      if (!needs(t, NEEDS)) return;
      const outcome = await sandbox.run(
        ["--wall-ms", "300"],
        ["bash", "-c", "trap 'echo bye; exit 9' TERM; while :; do sleep 1000 & wait; done"],
      );
      assert.deepEqual(summary(outcome), [124, 9, null, "timeout"]);
      assert.equal(outcome.stdout, "bye\n");
      assert.equal(outcome.exit?.message, "it was ended after 300 ms, the time it was given");
    });

    test("a timed-out command that ignores TERM is killed after its grace, with all it started", async (t) => {
      if (!needs(t, NEEDS)) return;
      const outcome = await sandbox.sh("trap '' TERM; (while :; do sleep 1000; done) & while :; do sleep 1000; done", [
        "--wall-ms",
        "100",
        "--grace-ms",
        "150",
      ]);
      assert.deepEqual(summary(outcome), [124, null, 9, "timeout"]);
      assert.ok((outcome.exit?.stats["wallMs"] ?? 0) >= 250);
    });

    test("TERM and INT to the helper cancel, and a second INT does not wait for the grace", async (t) => {
      if (!needs(t, NEEDS)) return;
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        await using polite = await sandbox.start([], ["sleep", "1000"]);
        await polite.heard("started");
        polite.kill(signal);
        assert.deepEqual(summary(await polite.outcome), [143, null, 15, "cancelled"]);
      }
      await using stubborn = await sandbox.start(
        ["--grace-ms", "60000"],
        ["sh", "-c", "trap 'echo heard' TERM; echo up; while :; do sleep 1000 & wait; done"],
      );
      await stubborn.printed("up");
      stubborn.kill("SIGTERM");
      stubborn.kill("SIGTERM");
      stubborn.kill("SIGINT");
      await stubborn.printed("heard");
      stubborn.kill("SIGINT");
      assert.deepEqual(summary(await stubborn.outcome), [137, null, 9, "cancelled"]);
    });

    test("a daemon that the command leaves behind is killed and counted", async (t) => {
      if (!needs(t, NEEDS)) return;
      const outcome = await sandbox.sh(
        "setsid sh -c 'trap \"\" TERM HUP; exec sleep 1000' & setsid sleep 1000 & echo done",
      );
      assert.deepEqual([outcome.code, outcome.stdout], [0, "done\n"]);
      if (sandbox.cgroup !== null) assert.ok((outcome.gone?.leftoverProcesses ?? 0) >= 2);
    });

    test("when the caller is killed, all inside dies and the scratch goes even if it was to be kept", async (t) => {
      if (!needs(t, NEEDS)) return;
      const scratch = await sandbox.scratch();
      const words = [
        "run",
        "--image",
        "host",
        "--scratch",
        scratch,
        "--keep-scratch",
        ...sandbox.where,
        "--",
        "sh",
        "-c",
        "trap '' TERM; echo up; while :; do sleep 1000; done",
      ];
      const caller = spawn("sh", ["-c", '"$@" & wait', "sh", HELPER, ...words], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      await once(caller.stdout, "data");
      caller.kill("SIGKILL");
      await until("the scratch to be removed", () => !existsSync(scratch));
      await sandbox.assertClean();
    });

    test("a helper whose parent died before it could look starts nothing and removes the scratch", async (t) => {
      if (!needs(t, NEEDS)) return;
      const outcome = await sandbox.run(["--parent-pid", "1", "--keep-scratch"], ["sleep", "1000"]);
      assert.deepEqual([outcome.exit?.reason, outcome.started], ["cancelled", undefined]);
      assert.equal(outcome.exit?.message, "it was ended because the process that started it is gone");
    });

    test("when the helper is killed, all inside dies, and gc removes what is left and nothing that lives", async (t) => {
      if (!needs(t, NEEDS)) return;
      await using alive = await sandbox.start([], ["sleep", "1000"]);
      const doomed = await sandbox.start([], ["sh", "-c", "setsid sleep 1000 & echo up; sleep 1000"]);
      await alive.heard("started");
      const { pid } = await doomed.heard("started");
      await doomed.printed("up");
      doomed.kill("SIGKILL");
      await doomed.outcome;
      await until("pid 1 of the sandbox to die", () => !isAlive(pid));
      assert.ok(existsSync(doomed.scratch));
      const where = sandbox.cgroup === null ? [] : ["--cgroup", sandbox.cgroup];
      const { stdout } = await execa(HELPER, ["gc", "--state", sandbox.dir, ...where]);
      assert.deepEqual(JSON.parse(stdout), { cgroups: sandbox.cgroup === null ? 0 : 1, scratches: 1 });
      assert.ok(!existsSync(doomed.scratch) && existsSync(alive.scratch));
    });

    test("fifty at once all succeed, each in uids of its own", async (t) => {
      if (!needs(t, NEEDS)) return;
      const outcomes = await Promise.all(Array.from({ length: 50 }, () => sandbox.sh("sleep 0.2; exit 5")));
      assert.deepEqual(
        outcomes.map(({ code, stderr }) => `${code}${stderr}`),
        Array.from({ length: 50 }, () => "5"),
      );
      assert.ok(new Set(outcomes.map(({ created }) => created?.uidBase)).size > 1);
    });

    test("two hundred runs leave nothing", { timeout: 120_000 }, async (t) => {
      if (!needs(t, NEEDS)) return;
      for (let i = 0; i < 50; i++) await Promise.all([1, 2, 3, 4].map(() => sandbox.run([], ["true"])));
      await sandbox.assertClean();
      const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
      assert.deepEqual(
        mounts.filter((line) => line.includes(sandbox.dir)),
        [],
      );
    });
  });

  describe("the command line", () => {
    const scratch = "/nowhere";
    const ok = ["--image", "host", "--scratch", scratch];
    const BAD: readonly (readonly [string, readonly string[], RegExp])[] = [
      ["nothing", [], /a command is missing/],
      ["no command", [...ok], /a command is missing/],
      ["an empty command", [...ok, "--"], /no command after --/],
      ["a command without --", [...ok, "true"], /a command is missing/],
      ["an unknown option", ["--frobnicate", "1", "--", "true"], /no option `--frobnicate`/],
      ["no image", ["--scratch", scratch, "--", "true"], /--image is missing/],
      ["no scratch", ["--image", "host", "--", "true"], /--scratch is missing/],
      ["a relative image", ["--image", "x", "--", "true"], /--image wants `host` or an absolute path/],
      ["a path with ..", ["--image", "/a/../b", "--", "true"], /--image wants/],
      [
        "host above a layer",
        ["--image", "host", "--image", "/usr", "--scratch", scratch, "--", "true"],
        /must be the last/,
      ],
      ["a bind without target", [...ok, "--bind", "/a", "--", "true"], /--bind wants SRC:DST/],
      ["a bind to ..", [...ok, "--bind", "/a:/b/..", "--", "true"], /an absolute path without `..`/],
      ["a bind to the root", [...ok, "--bind", "/a:/", "--", "true"], /an absolute path without `..`/],
      ["a variable without =", [...ok, "--env", "secret", "--", "true"], /--env wants KEY=VALUE$/],
      ["a negative number", [...ok, "--wall-ms", "-1", "--", "true"], /--wall-ms wants a whole number from 1 /],
      ["a number with a unit", [...ok, "--memory-bytes", "1G", "--", "true"], /--memory-bytes wants a whole number/],
      [
        "a number past 64 bits",
        [...ok, "--pids", "99999999999999999999999", "--", "true"],
        /--pids wants a whole number/,
      ],
      ["a uid beyond the range", [...ok, "--user", "65536:0", "--", "true"], /--user wants UID:GID/],
      ["the host's uids", [...ok, "--uid-base", "0", "--", "true"], /--uid-base wants a whole number from 65536/],
      ["a network that is none", [...ok, "--network", "vpn", "--", "true"], /--network wants `none`, `full` or `host`/],
      ["a full network without a slot", [...ok, "--network", "full", "--", "true"], /--netns go together/],
      ["a slot without a full network", [...ok, "--netns", "/nowhere", "--", "true"], /--netns go together/],
      ["a resolver without a slot", [...ok, "--resolver", "/nowhere", "--", "true"], /--resolver is for/],
      ["a host name with a slash", [...ok, "--hostname", "a/b", "--", "true"], /--hostname wants/],
      [
        "a weakness that is none",
        [...ok, "--allow-weak", "no-walls", "--", "true"],
        /knows no `no-walls`, but network-host, /,
      ],
      ["an option without value", [...ok, "--cwd"], /--cwd wants a value/],
      ["a descriptor that is closed", [...ok, "--args", "77", "--", "true"], /--args 77 cannot be read/],
      ["a status that is closed", [...ok, "--json-status-fd", "77", "--", "true"], /--json-status-fd 77 is not open/],
    ];
    for (const [what, words, sentence] of BAD) {
      test(`${what} is answered with 125 and a sentence`, async (t) => {
        if (!needs(t, NEEDS)) return;
        const { exitCode, stderr } = await execa(HELPER, ["run", ...words], { reject: false });
        assert.equal(exitCode, 125);
        assert.match(stderr, sentence);
        assert.equal(stderr.split("\n").length, 1);
      });
    }

    test("10,000 variables through a descriptor are taken, 8 MiB and more are refused", async (t) => {
      if (!needs(t, NEEDS)) return;
      const many = Array.from({ length: 10_000 }, (_, i) => ["--env", `V${i}=${"x".repeat(50)}`]).flat();
      assert.equal((await sandbox.sh("env | grep -c ^V", [], { args: many })).stdout, "10000\n");
      const huge = await sandbox.run([], ["true"], { scratch, args: ["--env", `V=${"x".repeat(9 << 20)}`] });
      assert.match(huge.stderr, /--args 4 cannot be read/);
    });

    test("a scratch that others may enter is refused", async (t) => {
      if (!needs(t, NEEDS)) return;
      const { code, stderr } = await sandbox.run([], ["true"], { scratch: "/var" });
      assert.equal(code, 125);
      assert.match(stderr, /must be ours with mode 0700/);
    });

    test("check says that runs work here, and gc that there is nothing to do", async (t) => {
      if (!needs(t, NEEDS)) return;
      const where = sandbox.cgroup === null ? [] : ["--cgroup", sandbox.cgroup];
      const check = await execa(HELPER, ["check", "--json", "--state", sandbox.dir, ...sandbox.where], {
        reject: false,
      });
      const said: { ok: boolean; allow: string[] } = JSON.parse(check.stdout);
      assert.deepEqual([check.exitCode, said.ok, said.allow], [0, true, []]);
      // What earlier runs left to be deleted in the background is no concern of gc's once it is gone.
      await until("nothing to be left to delete", async () =>
        (await readdir(sandbox.dir)).every((one) => !one.startsWith(".")),
      );
      const gc = await execa(HELPER, ["gc", "--state", sandbox.dir, ...where]);
      assert.deepEqual(JSON.parse(gc.stdout), { cgroups: 0, scratches: 0 });
    });
  });
});
