/** The sandbox started by a user who is not root. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { ATTEMPTS, assertRefused } from "../abuse/attempts.ts";
import { compileAttempts, NEEDS, type Outcome, ownerOf } from "../abuse/rig.ts";
import { isAlive } from "../support/child.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";
import { CALLER, type Caller, FIRST_SUBUID, type RootlessRig, rootlessRig, SUBUIDS } from "./rootless-rig.ts";
import { archive } from "./sandbox/archives.ts";

const HIS = { name: "etc/his", uid: 1234, gid: 5678, mode: 0o4755 } as const;

interface Unpacked {
  readonly into: string;
  readonly code: number | undefined;
  readonly said: Readonly<Record<string, number>>;
}

const summary = ({ code, exit }: Outcome): unknown[] => [code, exit?.code, exit?.signal, exit?.reason];

for (const who of ["ranges", "alone"] as const satisfies readonly Caller[]) {
  const hasRanges = who === "ranges";
  const NEEDED = { ...NEEDS, program: hasRanges ? ["setpriv", "newuidmap"] : ["setpriv"] };

  describe(`toroid-sandbox, started by a user ${hasRanges ? "with" : "without"} subordinate uids`, () => {
    let sandbox: RootlessRig;
    before(async () => {
      sandbox = await rootlessRig(who, true);
    });
    after(() => sandbox[Symbol.asyncDispose]());

    test("says that it is, and whom uid 0 is outside", async (t) => {
      if (!needs(t, NEEDED)) return;
      const outcome = await sandbox.sh("id -u; id -g; id -G; cat /proc/self/uid_map");
      const map = outcome.stdout.split("\n").map((line) => line.trim().split(/ +/).map(Number));
      const one = [0, 0, 1];
      assert.deepEqual(map, [[0], [0], [0], one, ...(hasRanges ? [[1, 1, SUBUIDS - 1]] : []), [0]], outcome.stderr);
      const noCgroup = sandbox.base.cgroup === null ? ["no-cgroup"] : [];
      assert.deepEqual(outcome.created?.weak, ["rootless", ...(hasRanges ? [] : ["single-uid"]), ...noCgroup]);
      assert.equal(outcome.created?.uidBase, CALLER);
      if (!hasRanges)
        assert.equal(
          outcome.created?.singleUidMessage,
          `toroid-rootless, uid ${CALLER} has no range in /etc/subuid and /etc/subgid`,
        );
    });

    test("every attempt at privilege, at the host and at the terminal is refused to root", async (t) => {
      if (!needs(t, { ...NEEDED, program: [...NEEDED.program, "cc"] })) return;
      const bind = ["--bind", `${await compileAttempts(sandbox.base.dir)}:/attempts:ro`];
      const { stdout, stderr } = await sandbox.run(bind, ["/attempts/attempts", ...Object.keys(ATTEMPTS)]);
      assert.equal(stderr, "");
      assertRefused(new Map(stdout.split("\n").map((line) => [line.split(" ")[0] ?? "", line.split(" ")[1] ?? ""])));
    });

    test("what is written leaves the image as it was, and the next run can go on from it", async (t) => {
      if (!needs(t, NEEDED)) return;
      const scratch = await sandbox.scratch();
      const options = ["--keep-scratch"];
      const first = await sandbox.sh("echo new > /etc/given; rm -r /srv; touch /mine; ls /", options, { scratch });
      assert.deepEqual([first.code, first.stderr], [0, ""]);
      assert.equal(await readFile(join(sandbox.image, "etc", "given"), "utf8"), "given\n");
      assert.ok(existsSync(join(sandbox.image, "srv")) && !existsSync(join(sandbox.image, "mine")));
      assert.equal(await ownerOf(join(scratch, "upper", "mine")), `${CALLER}:${CALLER}`);
      const second = await sandbox.sh("cat /etc/given; ls -d /srv /mine", [], { scratch });
      assert.equal(second.stdout, "new\n/mine\n");
      assert.ok(!existsSync(scratch));
    });

    test("owners inside are subordinate uids outside, where there are any", async (t) => {
      if (!needs(t, NEEDED)) return;
      const scratch = await sandbox.scratch();
      const line = "touch /his && chown 1234:5678 /his && chmod 4755 /his && stat -c '%u:%g %a' /his";
      const outcome = await sandbox.sh(line, ["--keep-scratch"], { scratch });
      if (hasRanges) {
        assert.equal(outcome.stdout, "1234:5678 4755\n");
        const owner = `${FIRST_SUBUID + 1233}:${FIRST_SUBUID + 5677}`;
        assert.equal(await ownerOf(join(scratch, "upper", "his")), owner);
        assert.equal((await sandbox.sh("id -u; id -g; id -G", ["--user", "1000:7"])).stdout, "1000\n7\n7\n");
      } else {
        assert.match(outcome.stderr, /Invalid argument/);
        const other = await sandbox.run(["--user", "1000:7"], ["true"], { scratch });
        assert.match(
          other.stderr,
          /--user 1000:7 is not among the 1 uids and gids inside: .*has no range in \/etc\/sub/,
        );
      }
      await sandbox.run([], ["/nothing"], { scratch });
    });

    test("a bind is the caller's on both sides, and what it may only read it only reads", async (t) => {
      if (!needs(t, NEEDED)) return;
      const dir = await sandbox.directory("checkout");
      const line = "stat -c %u:%g /src; echo ours > /src/new; echo no > /given/new; cat /src/new";
      const { stdout, stderr } = await sandbox.sh(line, ["--bind", `${dir}:/src`, "--bind", `${dir}:/given:ro`]);
      assert.equal(stdout, "0:0\nours\n");
      assert.match(stderr, /Read-only file system/);
      assert.equal(await ownerOf(join(dir, "new")), `${CALLER}:${CALLER}`);
      const covered = await sandbox.run(["--bind", "/:/host"], ["true"]);
      assert.match(covered.stderr, /bind: cannot open \/, for mounts of root's lie below it: EINVAL/);
    });

    test("--mask hides a directory and a file of the image", async (t) => {
      if (!needs(t, NEEDED)) return;
      const scratch = await sandbox.scratch();
      const options = ["--mask", "/etc/given", "--mask", "/srv", "--keep-scratch"];
      await writeFile(join(sandbox.image, "srv", "secret"), "secret");
      const lines = "ls -A /etc /srv; mkdir /srv/own && stat -c %u /srv /srv/own";
      for (let run = 0; run < 2; run++) {
        const { stdout } = await sandbox.sh(`${lines}; rmdir /srv/own`, options, { scratch });
        assert.equal(stdout, "/etc:\n\n/srv:\n0\n0\n");
      }
      await sandbox.run([], ["/nothing"], { scratch });
    });

    test("unpacks archives for itself, with owners, whiteouts and opaque directories", async (t) => {
      if (!needs(t, NEEDED)) return;
      const base = await unpack(
        "base",
        archive({ name: "etc/", type: "5" }, HIS, { name: "old/x" }, { name: "cut/x" }),
      );
      const top = await unpack(
        "top",
        archive(
          { name: ".wh.old" },
          { name: "cut/.wh..wh..opq" },
          { name: "cut/y" },
          { name: "etc/given", data: "mine" },
        ),
        "--layer",
      );
      assert.deepEqual([base.code, base.said["ownersToNobody"], top.code], [0, hasRanges ? 0 : 2, 0]);
      const owner = hasRanges ? `${FIRST_SUBUID + 1233}:${FIRST_SUBUID + 5677}` : `${CALLER}:${CALLER}`;
      assert.equal(await ownerOf(join(base.into, "etc", "his")), owner);
      const options = ["--image", base.into];
      const { stdout } = await sandbox.sh("stat -c %u:%g /etc/his; cat /etc/given; ls -d /old /cut/*", options, {
        image: top.into,
      });
      assert.equal(stdout, `${hasRanges ? "1234:5678" : "0:0"}\nmine/cut/y\n`);
      const hostile = await unpack("hostile", archive({ name: "../out", data: "x" }));
      assert.deepEqual([hostile.code, await readdir(hostile.into)], [125, []]);
    });

    async function unpack(name: string, tar: Buffer, ...options: readonly string[]): Promise<Unpacked> {
      const into = await sandbox.directory(`${name}-of-${who}`);
      const [program = "", ...words] = [...sandbox.helper, "unpack", "--into", into, ...options];
      const { exitCode, stdout } = await execa(program, words, { input: tar, reject: false });
      return { into, code: exitCode, said: exitCode === 0 ? JSON.parse(stdout) : {} };
    }

    test("/dev works, and there is a terminal of one's own", async (t) => {
      if (!needs(t, NEEDED)) return;
      const { stdout } = await sandbox.sh(
        "echo /dev/*; head -c 4 /dev/urandom | wc -c; echo x > /dev/null; script -qec 'test -t 0 && echo a terminal' /dev/null",
      );
      const names = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero".split(" ");
      assert.match(stdout, new RegExp(`^${names.map((name) => `/dev/${name}`).join(" ")}\n4\na terminal`));
    });

    test("its network is empty, or the host's and then called weak", async (t) => {
      if (!needs(t, { ...NEEDED, program: [...NEEDED.program, "bash"] })) return;
      const server = createServer((socket) => socket.end("from the host")).listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = server.address();
      assert.ok(address !== null && typeof address === "object");
      const line = `bash -c 'exec 3<>/dev/tcp/127.0.0.1/${address.port} && cat <&3'`;
      try {
        assert.match((await sandbox.sh(line)).stderr, /Connection refused/);
        const host = await sandbox.sh(line, ["--network", "host"]);
        assert.equal(host.stdout, "from the host");
        assert.ok(host.created?.weak.includes("network-host"));
      } finally {
        server.close();
      }
    });

    test("what only root can do is refused with a sentence before anything is made", async (t) => {
      if (!needs(t, NEEDED)) return;
      const scratch = await sandbox.scratch();
      const CASES: readonly (readonly [string, readonly string[], RegExp])[] = [
        ["host", [], /--image host needs root: .*; unpack an image that is this user's$/],
        [sandbox.image, ["--network", "full", "--netns", "/nowhere"], /--network full needs root/],
        [sandbox.image, ["--uid-base", "655360"], /--uid-base and --bind-owner need root: uid 0 inside is the caller$/],
        [sandbox.image, ["--bind-owner", "655360"], /--uid-base and --bind-owner need root/],
      ];
      for (const [image, options, sentence] of CASES) {
        const outcome = await sandbox.run(options, ["true"], { scratch, image });
        assert.deepEqual(summary(outcome), [125, 125, null, "setup"]);
        assert.match(outcome.exit?.message ?? "", sentence);
      }
      assert.deepEqual(await readdir(scratch), []);
      const net = await execa(
        sandbox.helper[0] ?? "",
        [...sandbox.helper.slice(1), "gc", "--state", "/", "--net", "/"],
        {
          reject: false,
        },
      );
      assert.deepEqual(
        [net.exitCode, net.stderr],
        [125, "toroid-sandbox: gc: --net needs root: the pool of networks is its"],
      );
      await sandbox.run([], ["/nothing"], { scratch });
    });

    test("it ends as every other does: in time, when cancelled, and with all that was started", async (t) => {
      if (!needs(t, NEEDED)) return;
      const late = await sandbox.sh("trap '' TERM; (while :; do sleep 1000; done) & while :; do sleep 1000; done", [
        "--wall-ms",
        "200",
        "--grace-ms",
        "100",
      ]);
      assert.deepEqual(summary(late), [124, null, 9, "timeout"]);
      assert.deepEqual(summary(await sandbox.run([], ["/nothing"])), [127, 127, null, "exit"]);
      const daemon = await sandbox.sh("setsid sh -c 'trap \"\" TERM HUP; exec sleep 1000' & echo done");
      assert.deepEqual([daemon.code, daemon.stdout], [0, "done\n"]);
    });

    test("a caller that is outside of the cgroup that was delegated to it is told so", async (t) => {
      if (!needs(t, { ...NEEDED, other: sandbox.base.cgroup === null ? "needs a cgroup v2" : undefined })) return;
      const outcome = await sandbox.run([], ["/nothing"], { env: { CALLER_STAYS: "1" } });
      assert.match(outcome.stderr, /clone: no process may be put into .* outside of what was delegated: EACCES/);
    });

    test("TERM to the helper cancels", async (t) => {
      if (!needs(t, NEEDED)) return;
      await using polite = await sandbox.startSh("exec sleep 1000");
      await polite.heard("started");
      polite.kill("SIGTERM");
      assert.deepEqual(summary(await polite.outcome), [143, null, 15, "cancelled"]);
    });

    test("when the helper is killed all inside dies, and the caller's gc removes what subordinate uids own", async (t) => {
      if (!needs(t, NEEDED)) return;
      const line = `mkdir -m 700 -p /locked/in; touch /locked/in/x; ${hasRanges ? "chown -R 1000:1000 /locked;" : ""}
        chmod 0 /locked; setsid sleep 1000 & echo up; sleep 1000`;
      const options = ["--keep-scratch"];
      const doomed = await sandbox.startSh(line, options);
      await using alive = await sandbox.startSh("echo up; sleep 1000", options);
      await Promise.all([doomed.printed("up"), alive.printed("up")]);
      const { pid } = await doomed.heard("started");
      doomed.kill("SIGKILL");
      await doomed.outcome;
      await until("pid 1 of the sandbox to die", () => !isAlive(pid));
      assert.ok(existsSync(doomed.scratch));
      const where = sandbox.base.cgroup === null ? [] : ["--cgroup", sandbox.base.cgroup];
      const [program = "", ...words] = [...sandbox.helper, "gc", "--state", sandbox.base.dir, ...where];
      const { stdout } = await execa(program, words);
      assert.deepEqual(JSON.parse(stdout), { cgroups: sandbox.base.cgroup === null ? 0 : 1, scratches: 1 });
      assert.ok(!existsSync(doomed.scratch) && existsSync(alive.scratch));
      alive.kill("SIGTERM");
      await alive.outcome;
      await sandbox.run([], ["/nothing"], { scratch: alive.scratch });
    });

    test("when the caller is killed all inside dies, and the scratch goes even if it was to be kept", async (t) => {
      if (!needs(t, NEEDED)) return;
      const scratch = await sandbox.scratch();
      const place = ["--image", sandbox.image, "--scratch", scratch, "--keep-scratch", ...sandbox.programs];
      const options = [...place, ...sandbox.allowed, "--allow-weak", "no-cgroup"];
      const command = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1000; done"];
      const caller = spawn("sh", ["-c", '"$@" & wait', "sh", ...sandbox.helper, "run", ...options, "--", ...command], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      await once(caller.stdout, "data");
      caller.kill("SIGKILL");
      await until("the scratch to be removed", () => !existsSync(scratch));
      await sandbox.base.assertClean();
    });

    test("twenty at once all succeed and leave nothing", async (t) => {
      if (!needs(t, NEEDED)) return;
      const outcomes = await Promise.all(Array.from({ length: 20 }, () => sandbox.sh("touch /x; exit 5")));
      assert.deepEqual(
        outcomes.map(({ code, stderr }) => `${code}${stderr}`),
        Array.from({ length: 20 }, () => "5"),
      );
      await sandbox.base.assertClean();
    });
  });
}

describe("toroid-sandbox, started by a user whom the host gives little", () => {
  let sandbox: RootlessRig;
  before(async () => {
    sandbox = await rootlessRig("ranges", false);
  });
  after(() => sandbox[Symbol.asyncDispose]());
  const NEEDED = { ...NEEDS, program: ["setpriv", "newuidmap"] };

  test("runs without a cgroup, says that limits do not hold, and still kills all", async (t) => {
    if (!needs(t, NEEDED)) return;
    const names = ["memoryBytes", "pids", "cpuMilli"].map((name) => `no-limit-${name}`);
    const allowed = names.flatMap((name) => ["--allow-weak", name]);
    const limits = ["--memory-bytes", "536870912", "--pids", "100", "--cpu-milli", "1000", ...allowed];
    const outcome = await sandbox.sh("setsid sh -c 'trap \"\" TERM; exec sleep 1000' & echo done", limits);
    assert.deepEqual([outcome.code, outcome.stdout], [0, "done\n"]);
    assert.deepEqual(outcome.created?.weak, ["rootless", "no-cgroup", ...names]);
    await until("all of it to be dead", () => !isAlive(outcome.started?.pid ?? 0));
  });

  test("goes on with one uid, if that is allowed, where the programs that map more are missing or fail, and says why", async (t) => {
    if (!needs(t, NEEDED)) return;
    const refused = await sandbox.sh("id -u", [], { env: { CALLER_PATH: "/nowhere" } });
    assert.deepEqual([refused.code, refused.stdout, refused.exit?.lacks], [125, "", ["single-uid"]]);
    assert.match(refused.stderr, /weak: newuidmap failed: it is not installed .* --allow-weak single-uid\n$/);
    const one = ["--allow-weak", "single-uid"];
    const missing = await sandbox.sh("id -u", one, { env: { CALLER_PATH: "/nowhere" } });
    assert.deepEqual([missing.stdout, missing.created?.weak[1]], ["0\n", "single-uid"]);
    assert.equal(missing.created?.singleUidMessage, "newuidmap failed: it is not installed (package uidmap)");
    const failing = await sandbox.sh("id -u", one, { env: { CALLER_FLAGS: "--no-new-privs" } });
    assert.deepEqual([failing.stdout, failing.created?.weak[1]], ["0\n", "single-uid"]);
    assert.match(failing.created?.singleUidMessage ?? "", /^newuidmap failed: newuidmap: .*not permitted/);
  });
});
