import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Machine, machineForAll, SLOW, stat, summary } from "./rig.ts";

const LIMITS = "--memory-bytes 67108864 --pids 50 --cpu-milli 500";

/** After each of these the guest is clean: no cgroup, scratch, mount or process of a run is left in it. */
describe("with a cgroup of its own, a run", () => {
  let machine: Machine;
  machineForAll((made) => {
    machine = made;
  });

  for (const [how, options, end, reason, code] of [
    ["its time is over", "--wall-ms 1500 --grace-ms 200", "true", "timeout", 124],
    ["it is cancelled", "--grace-ms 200", "kill $(helper_of ice)", "cancelled", 137],
  ] as const) {
    test(`that is frozen ends when ${how}`, async (t) => {
      if (!machine.ready(t)) return;
      const done = await machine.sh(`start ice ${LIMITS} ${options} -- sh -c 'sleep 1000 & echo up; sleep 1000'
        printed ice up
        echo 1 > $(cgroup_of ice)/cgroup.freeze
        until grep -q 'frozen 1' $(cgroup_of ice)/cgroup.events; do sleep 0.02; done; echo frozen
        ${end}; wait`);
      assert.equal(done.stdout, "frozen\n", done.stderr);
      assert.deepEqual(summary(done.run("ice")), [code, null, 9, reason]);
    });
  }

  test("ends with all that was moved to cgroups below its own, and these go with it", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`start deep --wall-ms 2500 --grace-ms 100 -- \
        sh -c "trap '' TERM; sleep 1000 & echo up; while :; do sleep 1; done"
      printed deep up
      cd $(cgroup_of deep)
      mkdir -p one/two/three one/four five
      pid=$(grep -l sleep $(sed 's,.*,/proc/&/comm,' cgroup.procs) | head -n 1 | cut -d / -f 3)
      echo $pid > one/two/three/cgroup.procs
      grep -c . one/two/three/cgroup.procs
      cd /; wait`);
    assert.equal(done.stdout, "1\n", done.stderr);
    assert.deepEqual(summary(done.run("deep")), [124, null, 9, "timeout"]);
    assert.equal(done.run("deep").stderr, "");
  });

  test("counts what its command left behind, in cgroups below its own too", async (t) => {
    if (!machine.ready(t)) return;
    const done =
      await machine.sh(`start left -- sh -c 'trap "exit 0" USR1; sleep 1000 & sleep 1000 & echo up; while :; do wait; done'
      printed left up
      named() { grep -l -x $1 $(sed 's,.*,/proc/&/comm,' $(cgroup_of left)/cgroup.procs) | cut -d / -f 3; }
      until [ $(named sleep | wc -l) = 2 ]; do sleep 0.02; done
      mkdir -p $(cgroup_of left)/one/two
      named sleep | head -n 1 > $(cgroup_of left)/one/two/cgroup.procs
      kill -USR1 $(named sh); wait`);
    assert.deepEqual(summary(done.run("left")), [0, 0, null, "exit"], done.stderr);
    assert.equal(done.run("left").gone?.leftoverProcesses, 2);
  });

  test("is told its time by the clock, however busy the machine is", async (t) => {
    if (!machine.ready(t)) return;
    const done =
      await machine.sh(`for name in a b c; do start $name --wall-ms 8000 --grace-ms 0 -- load spin 8 60000; done
      for name in a b c; do heard $name started; done
      run timed --wall-ms 1000 --grace-ms 300 -- sh -c "trap '' TERM; while :; do true & done"
      wait`);
    assert.equal(done.run("timed").exit?.reason, "timeout");
    const took = stat(done.run("timed"), "wallMs");
    assert.ok(took >= 1000 && took < 6000, `${took} ms`);
    for (const name of ["a", "b", "c"]) assert.equal(done.run(name).exit?.reason, "timeout");
  });

  test("of three hundred processes that ignore TERM is ended at once, and they are counted", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`run crowd --pids 1000 -- sh -c "trap '' TERM; load forks 300"`);
    assert.deepEqual(summary(run("crowd")), [0, 0, null, "exit"], run("crowd").stdout);
    assert.equal(run("crowd").gone?.leftoverProcesses, 300);
  });

  test("whose helper is killed is dead, and gc removes its cgroup and scratch and nothing that lives", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`start alive ${LIMITS} -- sleep 1000
      start dead ${LIMITS} -- sh -c 'setsid sleep 1000 & echo up; sleep 1000'
      heard alive started; printed dead up
      kill -9 $(helper_of dead); gone $(of dead pid)
      ls $(cgroup_of dead)/cgroup.procs > /dev/null && cat $(cgroup_of dead)/cgroup.procs
      toroid-sandbox gc --state $STATE --cgroup $DELEGATED
      ls -d $(cgroup_of dead) $STATE/dead
      ls -d $(cgroup_of alive)
      kill $(helper_of alive); wait`);
    const [gc, alive] = done.stdout.split("\n");
    assert.deepEqual(JSON.parse(gc ?? ""), { cgroups: 1, scratches: 1 }, done.stdout);
    assert.equal(alive, done.run("alive").created?.cgroup);
    assert.deepEqual(summary(done.run("alive")), [143, null, 15, "cancelled"]);
    assert.equal(done.run("dead").exit, undefined);
  });

  test("that is frozen when its helper is killed is dead too", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`start ice -- sh -c 'sleep 1000 & echo up; sleep 1000'
      printed ice up
      echo 1 > $(cgroup_of ice)/cgroup.freeze
      kill -9 $(helper_of ice); gone $(of ice pid)
      toroid-sandbox gc --state $STATE --cgroup $DELEGATED; wait`);
    assert.deepEqual(JSON.parse(done.stdout), { cgroups: 1, scratches: 1 });
  });

  test("whose cgroup outlived its helper with processes and cgroups in it is collected with these", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`mkdir -p $DELEGATED/toroid-0123456789abcdef/below $DELEGATED/somebody
      sleep 1000 & echo $! > $DELEGATED/toroid-0123456789abcdef/below/cgroup.procs
      toroid-sandbox gc --state $STATE --cgroup $DELEGATED
      wait; ls -d $DELEGATED/*/; rmdir $DELEGATED/somebody`);
    assert.equal(done.stdout, `{"cgroups":1,"scratches":0}\n/sys/fs/cgroup/delegated/somebody/\n`);
  });

  test("whose caller is killed is dead, and has removed its cgroup and its scratch", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`cat > caller <<'END'
        toroid-sandbox run --image /image --scratch /var/tmp/state/orphan --keep-scratch --cgroup $1 \
          --json-status-fd 3 -- sh -c "trap '' TERM; echo up; while :; do sleep 1; done" 3> orphan.status > orphan.out &
        wait
END
      mkdir -m 700 $STATE/orphan
      setsid sh ./caller $DELEGATED & caller=$!
      printed orphan up
      kill -9 $caller
      until [ ! -e $STATE/orphan ]; do sleep 0.05; done
      heard orphan gone
      ls -d $(cgroup_of orphan)`);
    assert.equal(done.stdout, "");
    const { exit } = done.run("orphan");
    assert.deepEqual(
      [exit?.reason, exit?.message],
      ["cancelled", "it was ended because the process that started it is gone"],
    );
  });

  for (const signal of ["TERM", "KILL"]) {
    test(`may be hit by ${signal} at any moment of its beginning, and nothing stays`, SLOW, async (t) => {
      if (!machine.ready(t)) return;
      const done = await machine.sh(`for ms in 0 5 10 15 20 25 30 35 40 50 60 80 100 150 200; do
          start r$ms ${LIMITS} --grace-ms 100 -- sleep 1000
          until [ -s $JOB/r$ms.pid ]; do sleep 0.01; done
          usleep $((ms * 1000)); kill -${signal} $(helper_of r$ms)
        done
        wait
        while ls -d $STATE/.toroid-trash-*; do sleep 0.05; done > /dev/null 2>&1
        toroid-sandbox gc --state $STATE --cgroup $DELEGATED
        # one that was hit before it had begun leaves its caller's directory as it was, at most with a lock in it
        for dir in $STATE/r*; do
          grep -q created $JOB/\${dir##*/}.status || { rm -f $dir/lock; rmdir $dir; }
        done`);
      const { cgroups, scratches }: { cgroups: number; scratches: number } = JSON.parse(done.stdout);
      if (signal === "TERM") assert.deepEqual({ cgroups, scratches }, { cgroups: 0, scratches: 0 });
      else assert.ok(cgroups > 0 && scratches > 0, done.stdout);
      assert.equal(done.stderr, "");
    });
  }

  test("is one of fifty that start at once, and each holds its own limits", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const names = Array.from({ length: 50 }, (_, index) => `r${index}`);
    const done = await machine.sh(
      `for name in ${names.join(" ")}; do start $name ${LIMITS} --wall-ms 50000 -- sh -c 'load forks 100; exit 5'; done; wait`,
      { withinMs: 80_000 },
    );
    const outcomes = names.map((name) => done.run(name));
    assert.deepEqual(
      outcomes.map((outcome) => `${summary(outcome).join(" ")} ${stat(outcome, "pidsPeak")}${outcome.stderr}`),
      names.map(() => "5 5  pids 50"),
    );
    assert.equal(new Set(outcomes.map(({ created }) => created?.cgroup)).size, 50);
  });
});
