import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Machine, machineForAll, SLOW, summary } from "./rig.ts";

/** A cgroup as a service manager makes one for a unit, and a `serve` started in it beside somebody else of the unit. */
const UNIT = `UNIT=$CGROUPS/system/toroid.service
  mkdir -p $UNIT; echo "+cpu +io +memory +pids" > $CGROUPS/system/cgroup.subtree_control
  mkdir -p -m 700 /var/tmp/serve; mkdir -p /run/serve
  serve() {
    : > $JOB/ready
    sh -c 'echo $$ > "$0/cgroup.procs"; sleep 1000 & exec $AS toroid-sandbox serve "$@"' $UNIT --socket /run/serve/socket \
      --client-uid 1000 --state /var/tmp/serve --slots 1 --allow-weak image-host "$@" > $JOB/ready 2> $JOB/serve.err &
    SERVE=$!
    until [ -s $JOB/ready ] || [ -s $JOB/serve.err ]; do sleep 0.02; done
  }
  ask() { load ask /run/serve/socket 1000 "$@"; }
  # asked NAME OPTION... -- CMD...: what serve says of a run
  asked() { name=$1; shift; : > $JOB/$name.err; ask run --slot 0 --scratch $name --image host "$@" > $JOB/$name.status; }
  down() {
    kill $SERVE; wait $SERVE
    kill $(cat $UNIT/cgroup.procs $UNIT/*/cgroup.procs) 2> /dev/null
    until rmdir $UNIT/supervisor $UNIT $CGROUPS/system; do rmdir $UNIT $CGROUPS/system; [ -e $CGROUPS/system ] || break; sleep 0.05; done 2> /dev/null
    rm -rf /var/tmp/serve /run/serve
  }`;

describe("a serve in a cgroup that a service manager made for it", () => {
  let machine: Machine;
  machineForAll((made) => {
    machine = made;
  });

  test("and gave away moves all that is there into a leaf of it, and makes the runs' beside that", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${UNIT}
      load delegate $UNIT; before=$(find $CGROUPS -type d | grep -v $UNIT)
      serve
      wc -l < $UNIT/cgroup.procs; [ $(wc -l < $UNIT/supervisor/cgroup.procs) -ge 2 ] && echo both
      asked bomb --memory-bytes 67108864 --pids 50 -- load memory 200
      asked many --pids 30 -- load forks 100
      cat $UNIT/cgroup.subtree_control
      [ "$before" = "$(find $CGROUPS -type d | grep -v $UNIT)" ] && echo same
      ls -d $UNIT/*/
      down`);
    const [left, both, controllers, same, ...below] = done.stdout.trim().split("\n");
    assert.deepEqual(
      [left, both, controllers, same],
      ["0", "both", "cpu io memory pids", "same"],
      done.stdout + done.stderr,
    );
    assert.deepEqual(below, ["/sys/fs/cgroup/system/toroid.service/supervisor/"]);
    const { created, exit } = done.run("bomb");
    assert.match(created?.cgroup ?? "", /^\/sys\/fs\/cgroup\/system\/toroid\.service\/toroid-[0-9a-f]{16}$/);
    assert.deepEqual([created?.limits, exit?.reason], [{ memoryBytes: "enforced", pids: "enforced" }, "oom"]);
    assert.equal(done.run("many").exit?.reason, "pids");
  });

  test("that was started again in the leaf goes on as the one before", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${UNIT}
      load delegate $UNIT; mkdir $UNIT/supervisor; TOP=$UNIT; UNIT=$UNIT/supervisor; serve; UNIT=$TOP
      asked again --pids 30 -- true
      down`);
    assert.match(done.run("again").created?.cgroup ?? "", /toroid\.service\/toroid-[0-9a-f]{16}$/, done.stderr);
    assert.deepEqual(done.run("again").created?.limits, { pids: "enforced" });
  });

  test("and did not give away stays in it, and makes the runs' where all do", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${UNIT}
      serve; asked plain --pids 30 -- true
      ls -d $UNIT/*/; grep -c . $UNIT/cgroup.procs > $JOB/count; [ -s $JOB/count ] && echo there
      down`);
    assert.match(done.run("plain").created?.cgroup ?? "", /^\/sys\/fs\/cgroup\/toroid\/toroid-/, done.stderr);
    assert.equal(done.stdout, "there\n");
  });

  test("and that is named by --cgroup is one that was given away", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${UNIT}
      serve --cgroup $UNIT; asked named --pids 30 -- true
      wc -l < $UNIT/cgroup.procs
      down`);
    assert.equal(done.stdout, "0\n", done.stderr);
    assert.match(done.run("named").created?.cgroup ?? "", /toroid\.service\/toroid-/);
    assert.deepEqual(summary(done.run("named")).slice(1), [0, null, "exit"]);
  });
});

describe("a serve in a container", () => {
  let machine: Machine;
  machineForAll((made) => {
    machine = made;
  });

  test("divides the container's cgroup, which it sees as the root of all, when that is named", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${UNIT}
      AS="load contained"; export AS
      serve --cgroup /sys/fs/cgroup
      asked bomb --memory-bytes 67108864 --pids 50 -- load memory 200
      wc -l < $UNIT/cgroup.procs; cat $UNIT/cgroup.subtree_control; ls -d $UNIT/*/
      down`);
    assert.deepEqual(
      done.stdout.trim().split("\n"),
      ["0", "cpu io memory pids", "/sys/fs/cgroup/system/toroid.service/supervisor/"],
      done.stderr,
    );
    const { created, exit } = done.run("bomb");
    assert.match(created?.cgroup ?? "", /^\/sys\/fs\/cgroup\/toroid-[0-9a-f]{16}$/);
    assert.deepEqual([created?.limits, exit?.reason], [{ memoryBytes: "enforced", pids: "enforced" }, "oom"]);
  });

  test("leaves the container's cgroup alone when nobody names it", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${UNIT}
      AS="load contained"; export AS
      serve; [ $(wc -l < $UNIT/cgroup.procs) -ge 2 ] && echo there; ls -d $UNIT/supervisor 2> /dev/null
      down`);
    assert.equal(done.stdout, "there\n", done.stderr);
  });
});

describe("a run that is shown its cgroup", () => {
  let machine: Machine;
  machineForAll((made) => {
    machine = made;
  });

  /** Everybody in it moves into a leaf, so that the rest can be divided. */
  const DIVIDE = `cd /sys/fs/cgroup; mkdir leaf
    for pid in $(cat cgroup.procs); do echo $pid > leaf/cgroup.procs; done
    echo "+memory +pids" > cgroup.subtree_control`;
  const LIMITS = `--cgroup-inside --memory-bytes ${64 * 1024 * 1024} --pids 50`;

  test("divides it, holds a part to less, and is not ended when that part is", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`run divided ${LIMITS} -- sh -c '${DIVIDE}
      mkdir small; echo 8388608 > small/memory.max; echo 5 > small/pids.max
      sh -c "echo 0 > small/cgroup.procs; exec load memory 32"; echo "ended with $?"
      sh -c "echo 0 > small/cgroup.procs; exec load forks 20"
      cat cgroup.controllers cgroup.procs; exit 3'`);
    const { stdout, stderr } = done.run("divided");
    assert.deepEqual(stdout.split("\n"), ["ended with 137", "4, then EAGAIN", "cpu io memory pids", ""], stderr);
    assert.deepEqual(summary(done.run("divided")), [3, 3, null, "exit"]);
  });

  test("that runs out of a limit of its own making is told that", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`run own ${LIMITS} -- sh -c '${DIVIDE}
      mkdir small; echo 8388608 > small/memory.max; sh -c "echo 0 > small/cgroup.procs; exec load memory 32"'`);
    const { exit, stderr } = done.run("own");
    assert.equal(
      exit?.message,
      "it was killed because it used more memory than a limit that it set itself; the kernel chose `load`",
      stderr,
    );
    assert.equal(exit?.reason, "oom");
  });

  test(
    "cannot raise its limits, stop or kill itself as a whole, leave it, or make cgroups without end",
    SLOW,
    async (t) => {
      if (!machine.ready(t)) return;
      const done = await machine.sh(`start neighbour --pids 20 -- sleep 1000; heard neighbour started
      run caged ${LIMITS} -- sh -c 'cd /sys/fs/cgroup
        try() { (echo $2 > $1) 2> /dev/null && echo "$1 taken"; }
        for file in memory.max pids.max; do try $file max; done
        try memory.oom.group 0; try memory.swap.max max; try cgroup.kill 1; try cgroup.freeze 1; try cgroup.type threaded
        try cgroup.max.descendants max; try cgroup.max.depth max; try cpu.max max; try io.max "254:0 rbps=max"
        mkdir ../other; ls -d ../cgroup.procs ../*/cgroup.procs 2> /dev/null; n=0; while mkdir one-$n 2> /dev/null; do n=$((n + 1)); done; echo $n
        cat /proc/self/cgroup'
      cat $(cgroup_of neighbour)/cgroup.procs | wc -l; kill $(helper_of neighbour); wait`);
      const { stdout } = done.run("caged");
      assert.deepEqual(stdout.split("\n"), ["../cgroup/cgroup.procs", "256", "0::/", ""], done.run("caged").stderr);
      assert.deepEqual([done.run("caged").exit?.reason, done.stdout], ["exit", "2\n"]);
    },
  );

  test("is ended with all that it made, frozen and hidden away as it may be", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`run deep ${LIMITS} --wall-ms 30000 -- sh -c '${DIVIDE}
      mkdir -p a/b/c/d; sleep 1000 & echo $! > a/b/c/d/cgroup.procs; echo 1 > a/cgroup.freeze
      until grep -q "frozen 1" a/cgroup.events; do sleep 0.05; done; exit 5'`);
    assert.deepEqual(summary(done.run("deep")), [5, 5, null, "exit"], done.run("deep").stderr);
    assert.equal(done.run("deep").gone?.leftoverProcesses, 1);
  });

  test("is not begun where there is no cgroup", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`cat > without <<'END'
        umount /sys/fs/cgroup
        exec toroid-sandbox run --image /image --scratch /var/tmp/state/without --allow-weak no-cgroup --cgroup-inside -- true
END
      mkdir -m 700 $STATE/without; unshare -m sh ./without; echo $?; rm $STATE/without/lock; rmdir $STATE/without`);
    assert.equal(done.stdout, "125\n");
    assert.match(done.stderr, /cgroup: there is none to give: this host has no cgroup v2/);
  });
});
