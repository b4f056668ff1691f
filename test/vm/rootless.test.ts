/** Started by a user who is not root, on the oldest kernel we promise and with a cgroup that was really delegated. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, type TestContext, test } from "node:test";
import { execa } from "execa";
import { ATTEMPTS, assertRefused } from "../abuse/attempts.ts";
import { programPath } from "../support/programs.ts";
import { needs } from "../support/skips.ts";
import { BOOT, type Done, Machine, SLOW, summary } from "./rig.ts";

const MAPPERS = ["newuidmap", "newgidmap"] as const;
/** `as_caller NAME OPTION... -- CMD...`: a run of the caller's, from within its cgroup. */
const PRELUDE = `export CALLERS=/var/tmp/caller THEIRS=$CGROUPS/theirs
  as_caller() {
    export NAME=$1
    shift
    mkdir -p -m 700 $CALLERS/$NAME
    chown caller:caller $CALLERS/$NAME
    (
      echo 0 > $THEIRS/self/cgroup.procs
      cd /
      su -s /bin/sh -c 'exec toroid-sandbox run --image $CALLERS/image --scratch $CALLERS/$NAME \\
        --cgroup $THEIRS/runs --json-status-fd 3 "$@"' -- caller sh "$@" \\
        3> $JOB/$NAME.status > $JOB/$NAME.out 2> $JOB/$NAME.err
      echo $? > $JOB/$NAME.code
    )
  }
`;

/** A user with a range of uids, an image of its own, and a cgroup as systemd delegates one. */
const SET_UP = `set -e
  echo caller:x:1234:1234::/:/bin/sh >> /etc/passwd
  echo caller:x:1234: >> /etc/group
  for file in /etc/subuid /etc/subgid; do echo caller:500000:65536 > $file; done
  chmod 4755 /bin/newuidmap /bin/newgidmap
  mkdir -p $CALLERS $THEIRS $THEIRS/self $THEIRS/runs
  cp -a /image $CALLERS/image
  chown -R caller:caller $CALLERS
  echo "+cpu +memory +pids" > $THEIRS/cgroup.subtree_control
  for dir in $THEIRS $THEIRS/self $THEIRS/runs; do
    chown caller:caller $dir $dir/cgroup.procs $dir/cgroup.threads $dir/cgroup.subtree_control
  done`;

describe("on Linux 6.1 a user who is not root", () => {
  let machine: Machine;
  const lacks = MAPPERS.find((name) => programPath(name) === undefined);

  before(async () => {
    machine = await Machine.boot(lacks === undefined ? mappers : undefined);
    if (machine.release === "" || lacks !== undefined) return;
    const { code, stderr } = await machine.sh(`${PRELUDE}${SET_UP}`);
    assert.equal(code, 0, stderr);
  }, BOOT);
  afterEach(async () => {
    if (machine.release === "") return;
    const left = await machine.sh(`${PRELUDE}ls -A $CALLERS; find $THEIRS/runs -type d -mindepth 1`);
    assert.equal(left.stdout, "image\n");
  });
  after(() => machine[Symbol.asyncDispose]());

  const ready = (t: TestContext): boolean =>
    machine.ready(t) && needs(t, { other: lacks === undefined ? undefined : `needs the program ${lacks}` });
  const sh = async (script: string): Promise<Done> => machine.sh(`${PRELUDE}${script}\n${SETTLED}`);

  test("has the walls, uids of its own, and the limits of the cgroup that was delegated to it", async (t) => {
    if (!ready(t)) return;
    const { run } = await sh(`as_caller limited --memory-bytes 67108864 --pids 60 --cpu-milli 500 -- \\
      sh -c 'id -u; touch /x; chown 7:8 /x; stat -c %u:%g /x /bin/sh; cat /proc/self/cgroup'`);
    const { created, stdout, stderr } = run("limited");
    assert.equal(stdout, "0\n7:8\n0:0\n0::/\n", stderr);
    assert.deepEqual(created?.weak, ["rootless"]);
    assert.deepEqual(created?.limits, { memoryBytes: "enforced", pids: "enforced", cpuMilli: "enforced" });
  });

  test("is told which limit ended a run", SLOW, async (t) => {
    if (!ready(t)) return;
    const { run } = await sh(`as_caller big --memory-bytes 67108864 -- sh -c 'head -c 200000000 /dev/zero > /dev/shm/x'
      as_caller many --pids 20 -- sh -c 'for i in $(seq 40); do sleep 100 & done; wait'`);
    assert.equal(run("big").exit?.reason, "oom", run("big").stderr);
    assert.equal(run("many").exit?.reason, "pids", run("many").stderr);
  });

  test("goes on in a scratch that was kept, under masks", async (t) => {
    if (!ready(t)) return;
    const { run } = await sh(`as_caller kept --keep-scratch --mask /var -- sh -c 'ls -A /var; echo new > /etc/passwd'
      mv kept.out one.out
      as_caller kept --mask /var -- sh -c 'ls -A /var; cat /etc/passwd; ls -ld /var | cut -c 1-10'
      cat $CALLERS/image/etc/passwd > image.out`);
    assert.equal(run("kept").stdout, "new\ndrwxr-xr-x\n", run("kept").stderr);
    assert.deepEqual([run("one").stdout, run("image").stdout], ["", "root:x:0:0::/:/bin/sh\n"]);
  });

  test("is refused every attempt of test/abuse as root is", SLOW, async (t) => {
    if (!ready(t)) return;
    const { run } = await sh(`as_caller hostile -- attempts ${Object.keys(ATTEMPTS).join(" ")}`);
    const lines = run("hostile").stdout.split("\n");
    const answers = lines.map((line): [string, string] => [line.split(" ")[0] ?? "", line.split(" ")[1] ?? ""]);
    assertRefused(new Map(answers));
  });

  test("is ended with all that it started when the helper is killed, and gc removes what its uids own", async (t) => {
    if (!ready(t)) return;
    const done = await sh(`as_caller doomed -- sh -c 'mkdir -m 700 /d; touch /d/x; chown -R 9:9 /d; chmod 0 /d
        setsid sleep 1000 & echo up; sleep 1000' &
      printed doomed up
      pid=$(of doomed pid); kill -9 $(pidof toroid-sandbox | tr " " "\\n" | grep -v -x $pid); gone $pid
      su caller -s /bin/sh -c 'exec toroid-sandbox gc --state $CALLERS --cgroup $THEIRS/runs'`);
    assert.equal(done.stdout, '{"cgroups":1,"scratches":1}\n', done.stderr);
  });

  test("without a range, or without leave to map it, has one uid if that is allowed", async (t) => {
    if (!ready(t)) return;
    const { run } = await sh(`chmod 755 /bin/newuidmap; as_caller refused -- true
      as_caller alone --allow-weak single-uid -- sh -c 'id -u; cat /proc/self/uid_map'
      chmod 4755 /bin/newuidmap`);
    assert.deepEqual([run("refused").code, run("refused").exit?.lacks], [125, ["single-uid"]]);
    const { created, stdout } = run("alone");
    assert.match(stdout, /^0\n +0 +0 +1\n$/);
    assert.deepEqual(created?.weak, ["rootless", "single-uid"]);
    assert.match(created?.singleUidMessage ?? "", /^newuidmap failed: /);
  });

  test("tells every way to end apart", async (t) => {
    if (!ready(t)) return;
    const { run } = await sh(`as_caller zero -- true; as_caller not-there -- no-such-program
      as_caller segv -- sh -c 'kill -SEGV $$'; as_caller late --wall-ms 500 -- sleep 1000`);
    assert.deepEqual(summary(run("zero")), [0, 0, null, "exit"]);
    assert.deepEqual(summary(run("not-there")), [127, 127, null, "exit"]);
    assert.deepEqual(summary(run("segv")), [139, null, 11, "signal"]);
    assert.deepEqual(summary(run("late")), [124, null, 15, "timeout"]);
  });
});

/** What is deleted in the background is gone. */
const SETTLED = "while ls -d $CALLERS/.toroid-trash-* > /dev/null 2>&1; do sleep 0.02; done";

/** The programs and the libraries that they load, by their places. */
async function mappers(): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of MAPPERS) {
    const path = programPath(name) ?? "";
    files[`bin/${name}`] = path;
    const { stdout } = await execa("ldd", [path]);
    for (const [, library = ""] of stdout.matchAll(/(\/\S+) \(0x/g)) files[library.slice(1)] = library;
  }
  return files;
}
