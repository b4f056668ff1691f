import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { BOOT, Machine, SLOW, summary } from "./rig.ts";

/** A cgroup as a service manager makes one for a unit, and a `serve` started in it beside somebody else of the unit. */
const UNIT = `UNIT=$CGROUPS/system/toroid.service
  mkdir -p $UNIT; echo "+cpu +io +memory +pids" > $CGROUPS/system/cgroup.subtree_control
  mkdir -p -m 700 /var/tmp/serve; mkdir -p /run/serve
  serve() {
    : > $JOB/ready
    sh -c 'echo $$ > "$0/cgroup.procs"; sleep 1000 & exec toroid-sandbox serve "$@"' $UNIT --socket /run/serve/socket \
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
  before(async () => {
    machine = await Machine.boot();
  }, BOOT);
  afterEach(() => machine.assertClean());
  after(() => machine[Symbol.asyncDispose]());

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
