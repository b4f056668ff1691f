import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Outcome } from "../abuse/rig.ts";
import { programsWithLibraries } from "../support/vm-programs.ts";
import { Machine, machineForAll, SLOW, summary } from "./rig.ts";

const MIB = 1024 * 1024;
const CAP = 16 * MIB;
const QUOTA = "enforced: project quota";
const IN_A_FILE = "enforced: a file system of its own, in a file";
const IN_MEMORY = "enforced: a file system of its own, in memory";
/** A file system without project quota, and a directory for scratches in it; PLAIN_DOWN ends it. */
const PLAIN_UP = `truncate -s 300M /plain.img; /sbin/mke2fs -q -F -t ext4 /plain.img; mkdir -p /plain
  mount -o loop /plain.img /plain; mkdir -m 711 /plain/state; STATE=/plain/state`;
const PLAIN_DOWN = `until rmdir /plain/state 2> /dev/null; do sleep 0.05; done
  until umount /plain 2> /dev/null; do sleep 0.05; done; rmdir /plain; rm /plain.img`;
/** Whoever writes beside it. */
const NEIGHBOUR = `start neighbour --disk-bytes ${CAP} --disk-inodes 100 -- \
  sh -c 'echo up; for n in $(seq 10); do sleep 0.1; echo $n > /var/$n; done; dd if=/dev/zero of=/var/x bs=1M count=8 && exit 7'
  printed neighbour up`;

describe("on a file system with project quota", () => {
  let machine: Machine;
  machineForAll(
    (made) => {
      machine = made;
    },
    () => Machine.boot(() => programsWithLibraries(["mke2fs"]), ["loop"]),
  );

  test(
    "a run writes what --disk-bytes lets it, sees that as the size of its disk, and has the reason disk",
    SLOW,
    async (t) => {
      if (!machine.ready(t)) return;
      const done = await machine.sh(`${NEIGHBOUR}
      run full --disk-bytes ${CAP} -- sh -c 'df -k / | tail -n 1; dd if=/dev/zero of=/var/x bs=64k count=1000'
      wait`);
      const full = done.run("full");
      assert.deepEqual(summary(full), [1, 1, null, "disk"], full.stderr);
      assert.match(full.stdout, new RegExp(`^root +${CAP / 1024} `));
      assert.match(full.stderr, /error writing '\/var\/x': Disk quota exceeded/);
      assert.equal(full.exit?.message, `it failed when it had used up the disk that it was given: ${CAP} bytes`);
      assert.deepEqual([full.created?.limits, full.created?.weak], [{ diskBytes: QUOTA }, []]);
      assert.deepEqual(summary(done.run("neighbour")), [7, 7, null, "exit"], done.run("neighbour").stderr);
    },
  );

  test("a run makes as many files as --disk-inodes lets it", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${NEIGHBOUR}
      run files --disk-inodes 200 -- sh -c 'mkdir /var/d; cd /var/d; load files 1000'
      wait`);
    const files = done.run("files");
    assert.match(files.stdout, /^19\d, then EDQUOT\n$/);
    assert.deepEqual(summary(files), [1, 1, null, "disk"], files.stderr);
    assert.deepEqual(files.created?.limits, { diskInodes: QUOTA });
    assert.deepEqual(summary(done.run("neighbour")), [7, 7, null, "exit"]);
  });

  test("what is copied up from the image counts, what is set aside counts, a hole does not", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`mkdir /image/many
      for n in $(seq 200); do head -c 100000 /dev/zero > /image/many/$n; done
      run copy --disk-bytes ${CAP} -- sh -c 'for file in /many/*; do echo >> $file || exit 4; done'
      run aside --disk-bytes ${CAP} -- load fallocate 1048576
      run hole --disk-bytes ${CAP} -- sh -c 'truncate -s 1099511627776 /var/hole && stat -c %s /var/hole'
      rm -r /image/many`);
    assert.deepEqual(summary(run("copy")), [4, 4, null, "disk"], run("copy").stderr);
    assert.equal(run("copy").stderr.match(/Disk quota exceeded/g)?.length, 1);
    assert.deepEqual([run("aside").code, run("aside").stdout], [1, "EDQUOT\n"]);
    assert.deepEqual([run("hole").code, run("hole").stdout], [0, `${1024 ** 4}\n`]);
  });

  test("nothing that a run can do takes its files off its account", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`run evade --disk-bytes ${CAP} --bind /image/etc:/theirs -- sh -c '
        echo > /var/file; load project /var/file 0; load project /var 0; load project / 0
        ln /var/file /theirs/file; mv /var/file /theirs/moved; rm /theirs/moved
        mkdir -p /var/a/b; dd if=/dev/zero of=/var/a/b/x bs=1M count=15; mv /var/a /moved; mv /moved/b /var/c
        dd if=/dev/zero of=/var/y bs=1M count=15; chown -R 1000:1000 /var; dd if=/dev/zero of=/var/z bs=1M count=15'`);
    const { stdout, stderr, exit } = run("evade");
    assert.doesNotMatch(stdout, /given/);
    assert.equal(stderr.match(/Disk quota exceeded/g)?.length, 2, stderr);
    assert.equal(exit?.reason, "disk");
  });

  test("a scratch that is kept goes on with what it has, under the limit of each run", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done =
      await machine.sh(`write() { run kept "$@" -- dd if=/dev/zero of=/var/$RANDOM bs=1M count=10; mv kept.code $n.code; mv kept.status $n.status; }
      n=one; write --keep-scratch; n=two; write --keep-scratch --disk-bytes ${CAP}
      n=three; write --keep-scratch --disk-bytes ${2 * CAP}; n=four; write --keep-scratch
      n=five; write --disk-bytes ${CAP}`);
    assert.deepEqual(
      ["one", "two", "three", "four", "five"].map((name) => done.run(name).exit?.reason),
      ["exit", "disk", "exit", "exit", "disk"],
      done.stderr,
    );
    assert.deepEqual(
      ["one", "two", "four"].map((name) => done.run(name).created?.limits),
      [{}, { diskBytes: QUOTA }, {}],
    );
  });

  test(
    "what is written to a bind that is counted is on the same account, also in files that were there",
    SLOW,
    async (t) => {
      if (!machine.ready(t)) return;
      const done =
        await machine.sh(`mkdir -p /given/deep /free; echo > /given/deep/file; ln -s deep /given/link; ln /given/deep/file /given/deep/other
      mkfifo /given/pipe; echo > /given/alone
      go() { run bind --disk-bytes ${CAP} --keep-scratch --bind /given:/given:counted --bind /free:/free -- sh -c "$1"; }
      go 'dd if=/dev/zero of=/free/x bs=1M count=20 && dd if=/dev/zero of=/given/alone bs=1M count=9 && dd if=/dev/zero of=/var/x bs=1M count=9'
      mv bind.status one.status; mv bind.err one.err
      rm /given/alone
      go 'dd if=/dev/zero of=/given/deep/new bs=1M count=9; rm /given/deep/new; echo > /given/made; mv /given/made /given/deep/made'
      echo > /given/of-the-host; run bind --disk-bytes ${CAP} --bind /given:/given:counted -- dd if=/dev/zero of=/given/of-the-host bs=1M count=20
      rm -r /given /free`);
      assert.equal(done.run("one").exit?.reason, "disk", done.run("one").stderr);
      assert.match(done.run("one").stderr, /'\/var\/x': Disk quota exceeded/);
      assert.equal(done.run("bind").exit?.reason, "disk", done.run("bind").stderr);
    },
  );

  test("a counted bind that lies elsewhere is told, and the rest is held", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${PLAIN_UP}; mkdir /plain/there; STATE=/var/tmp/state
      run refused --disk-bytes ${CAP} --bind /plain/there:/there:counted -- true
      run elsewhere --allow-weak no-limit-diskBytes --disk-bytes ${CAP} --bind /plain/there:/there:counted -- \
        sh -c 'dd if=/dev/zero of=/there/x bs=1M count=20 && dd if=/dev/zero of=/var/x bs=1M count=20'
      rm -r /plain/there; ${PLAIN_DOWN}`);
    assert.deepEqual(summary(done.run("refused")), [125, 125, null, "setup"]);
    assert.match(
      done.run("refused").stderr,
      /\/plain\/there is not counted by project quota.*--allow-weak no-limit-diskBytes/,
    );
    const { created, exit } = done.run("elsewhere");
    assert.equal(
      created?.limits["diskBytes"],
      "unsupported: /plain/there is not counted by project quota, so only what is written elsewhere is limited",
    );
    assert.deepEqual([created?.weak, exit?.reason], [["no-limit-diskBytes"], "disk"], done.run("elsewhere").stderr);
  });

  test("a project is used again when nothing is left of it, and has no limit then", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`base=1879048192
      run first --uid-base $base --disk-bytes ${CAP} --keep-scratch -- true; load quota /var $base
      run second --uid-base $base --disk-bytes ${CAP} --disk-inodes 100 -- true
      until load quota /var $((base + 1)) | grep -q '^0 of 0 bytes, 0 of 0'; do sleep 0.05; done
      toroid-sandbox gc --state $STATE --cgroup $DELEGATED; load quota /var $base; load quota /var $((base + 1))`);
    assert.match(done.stdout, /^\d+ of 16777216 bytes, \d of 0 files\n/);
    assert.deepEqual(done.stdout.split("\n").slice(1), [
      '{"cgroups":0,"scratches":1}',
      "0 of 0 bytes, 0 of 0 files",
      "0 of 0 bytes, 0 of 0 files",
      "",
    ]);
  });
});

describe("on a file system without project quota", () => {
  let machine: Machine;
  machineForAll(
    (made) => {
      machine = made;
    },
    () => Machine.boot(() => programsWithLibraries(["mke2fs"]), ["loop"]),
  );

  const assertKept = (first: Outcome, second: Outcome, how: string): void => {
    assert.deepEqual([first.created?.limits, first.created?.weak], [{ diskBytes: how }, []], first.stderr);
    assert.deepEqual([...summary(second), second.stdout], [1, 1, null, "disk", "kept\n"], second.stderr);
    assert.match(second.stderr, /No space left on device/);
  };

  test(
    "a run has one of its own in a file, whose size and files are the limit, and the next goes on in it",
    SLOW,
    async (t) => {
      if (!machine.ready(t)) return;
      const done = await machine.sh(`${PLAIN_UP}
      run own --disk-bytes ${CAP} --keep-scratch -- sh -c 'echo kept > /var/x; df -k /'; mv own.status one.status; mv own.out one.out
      ls $STATE/own; toroid-sandbox export --scratch $STATE/own | tar t | grep x
      run own --disk-bytes ${CAP} -- sh -c 'cat /var/x; dd if=/dev/zero of=/var/y bs=64k count=1000'
      run files --disk-bytes ${CAP} --disk-inodes 100 -- sh -c 'mkdir /var/d; cd /var/d; load files 1000'
      until [ ! -e /sys/block/loop1/loop ]; do sleep 0.05; done
      ${PLAIN_DOWN}`);
      assertKept(done.run("one"), done.run("own"), IN_A_FILE);
      assert.equal(done.stdout, "disk.img\nlock\nvar/x\n", done.stderr);
      const files = done.run("files");
      assert.match(files.stdout, /^\d+, then ENOSPC\n$/);
      assert.ok(Number.parseInt(files.stdout, 10) < 130, files.stdout);
      assert.deepEqual(summary(files), [1, 1, null, "disk"]);
    },
  );

  test("one in a file that was made with a size is used with that size", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${PLAIN_UP}
      run sized --disk-bytes ${CAP} --keep-scratch -- true
      run sized --disk-bytes ${2 * CAP} --keep-scratch -- true; mv sized.err two.err; mv sized.code two.code
      run sized -- sh -c 'df -k / | tail -n 1'
      ${PLAIN_DOWN}`);
    assert.equal(done.run("two").code, 125);
    assert.match(done.run("two").stderr, /was made with --disk-bytes 16777216 and cannot be used with another/);
    assert.match(done.run("sized").stdout, /^root +1\d{4} /);
  });

  test("a scratch that was written without a limit gets none, and that is said", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${PLAIN_UP}
      run late --keep-scratch -- true; run late --disk-bytes ${CAP} --allow-weak no-limit-diskBytes -- true
      run bare --disk-inodes 100 --allow-weak no-limit-diskInodes -- true
      ${PLAIN_DOWN}`);
    assert.match(done.run("late").created?.limits["diskBytes"] ?? "", /^unsupported: .*was written without a limit/);
    assert.match(done.run("bare").created?.limits["diskInodes"] ?? "", /^unsupported: .*needs --disk-bytes beside it/);
    assert.deepEqual(done.run("bare").created?.weak, ["no-limit-diskInodes"]);
  });

  test("nothing but a file stays of one whose helper is killed, and gc removes that", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${PLAIN_UP}
      start dead --disk-bytes ${CAP} -- sh -c 'echo up; sleep 1000'; printed dead up
      ls /sys/block/loop1/loop > /dev/null && echo attached
      kill -9 $(helper_of dead); gone $(of dead pid)
      until [ ! -e /sys/block/loop1/loop ]; do sleep 0.05; done
      ls $STATE/dead; toroid-sandbox gc --state $STATE --cgroup $DELEGATED
      wait; ${PLAIN_DOWN}`);
    assert.equal(done.stdout, 'attached\ndisk.img\nlock\n{"cgroups":1,"scratches":1}\n', done.stderr);
  });

  test("without the program that makes file systems the limit is unsupported, with a sentence", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${PLAIN_UP}; mkdir /aside; mv /sbin/mke2fs /aside; rm /bin/mke2fs
      run without --disk-bytes ${CAP} --allow-weak no-limit-diskBytes -- true; ls $STATE
      mv /aside/mke2fs /sbin; rmdir /aside; ln -s busybox /bin/mke2fs; ${PLAIN_DOWN}`);
    assert.match(
      done.run("without").created?.limits["diskBytes"] ?? "",
      /^unsupported: disk: `mke2fs` is not installed: it is in the package e2fsprogs, so/,
    );
    assert.deepEqual(summary(done.run("without")), [0, 0, null, "exit"]);
  });

  test(
    "a run has one in memory where that is asked for, kept with the scratch, and its pages are the run's",
    SLOW,
    async (t) => {
      if (!machine.ready(t)) return;
      const done = await machine.sh(`own() { run own --disk-in-memory --disk-bytes ${CAP} "$@"; }
      own --keep-scratch -- sh -c 'echo kept > /var/x'; mv own.status one.status
      own -- sh -c 'cat /var/x; dd if=/dev/zero of=/var/y bs=64k count=1000'
      mv own.status two.status; mv own.code two.code; mv own.out two.out; mv own.err two.err
      run bomb --disk-in-memory --disk-bytes ${64 * MIB} --memory-bytes ${32 * MIB} -- dd if=/dev/zero of=/var/y bs=64k count=1000
      own --keep-scratch -- true; toroid-sandbox gc --state $STATE --cgroup $DELEGATED`);
      assertKept(done.run("one"), done.run("two"), IN_MEMORY);
      assert.equal(done.run("bomb").exit?.reason, "oom");
      assert.equal(done.stdout, '{"cgroups":0,"scratches":1}\n', done.stderr);
    },
  );
});
