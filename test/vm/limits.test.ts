import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Machine, machineForAll, SLOW, stat, summary } from "./rig.ts";

const MIB = 1024 * 1024;
const MEMORY = 64 * MIB;
/** Somebody else's build beside it: busy, below its own limits, and to end as if nothing had been. */
const NEIGHBOUR = `start neighbour --memory-bytes ${MEMORY} --pids 20 --cpu-milli 500 --wall-ms 30000 -- \
  sh -c 'echo up; for n in $(seq 15); do sleep 0.1; true | true; done; load memory 16; exit 7'
  printed neighbour up`;

describe("on a host with every cgroup v2 controller", () => {
  let machine: Machine;
  machineForAll((made) => {
    machine = made;
  });

  const BOMBS: readonly (readonly [string, string, string])[] = [
    ["one process", "load memory 200", "load"],
    ["many processes together", "load memory 4 40", "load"],
    ["/dev/shm", "dd if=/dev/zero of=/dev/shm/x bs=1M count=200", "dd"],
    ["/tmp", "dd if=/dev/zero of=/tmp/x bs=1M count=200", "dd"],
    ["--tmpfs", "dd if=/dev/zero of=/cache/x bs=1M count=200", "dd"],
  ];
  for (const [where, line, chosen] of BOMBS) {
    test(`memory in ${where} ends the whole run as oom, and the neighbour does not notice`, SLOW, async (t) => {
      if (!machine.ready(t)) return;
      const done = await machine.sh(`${NEIGHBOUR}
        run bomb --memory-bytes ${MEMORY} --tmpfs /cache --wall-ms 30000 -- sh -c '(${line}); echo survived; exit 0'
        wait`);
      const bomb = done.run("bomb");
      assert.deepEqual([...summary(bomb), bomb.stdout.includes("survived")], [137, null, 9, "oom", false], bomb.stderr);
      assert.equal(
        bomb.exit?.message,
        `it was killed because it used more than its ${MEMORY} bytes of memory; the kernel chose \`${chosen}\``,
      );
      assert.equal(bomb.exit?.culprit, chosen);
      assert.ok(stat(bomb, "oomKills") >= 1);
      const peak = stat(bomb, "memoryPeakBytes");
      assert.ok(peak > MEMORY * 0.9 && peak <= MEMORY * 1.02, `${peak}`);
      const neighbour = done.run("neighbour");
      assert.deepEqual([...summary(neighbour), stat(neighbour, "oomKills")], [7, 7, null, "exit", 0], neighbour.stderr);
    });
  }

  test("memory of a scratch that lies in memory is the run's own", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`mkdir -m 711 /tmp/state; STATE=/tmp/state
      run bomb --memory-bytes ${MEMORY} --wall-ms 30000 -- sh -c 'dd if=/dev/zero of=/var/x bs=1M count=200; echo survived'
      until rmdir /tmp/state; do sleep 0.05; done`);
    assert.deepEqual(summary(done.run("bomb")), [137, null, 9, "oom"]);
    assert.equal(done.run("bomb").stdout, "");
  });

  test("memory does not grow into swap", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`fallocate -l 200M /swap; mkswap /swap > /dev/null
      swapon /swap && grep -c /swap /proc/swaps
      run bomb --memory-bytes ${MEMORY} --wall-ms 30000 -- load memory 128
      swapoff /swap; rm /swap`);
    assert.equal(done.stdout, "1\n", done.stderr);
    assert.deepEqual(summary(done.run("bomb")), [137, null, 9, "oom"]);
  });

  test("files larger than the memory limit can be written to disk and read", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`run big --memory-bytes ${24 * MIB} -- \
      sh -c 'dd if=/dev/zero of=/var/x bs=1M count=40 && cat /var/x | wc -c'`);
    assert.deepEqual([...summary(done.run("big")), done.run("big").stdout], [0, 0, null, "exit", `${40 * MIB}\n`]);
    assert.equal(stat(done.run("big"), "oomKills"), 0);
  });

  test("memory below the limit is had, and its peak is told", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`run fits --memory-bytes ${MEMORY} -- load memory 40`);
    assert.deepEqual([...summary(run("fits")), run("fits").stdout], [0, 0, null, "exit", "has it\n"]);
    const peak = stat(run("fits"), "memoryPeakBytes");
    assert.ok(peak >= 40 * MIB && peak < MEMORY, `${peak}`);
  });

  test("a signal 9 that the kernel's memory did not send is not called oom", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`run killed --memory-bytes ${MEMORY} --pids 20 -- sh -c 'kill -9 $$'`);
    assert.deepEqual(summary(run("killed")), [137, null, 9, "signal"]);
  });

  test("memory that DIR itself has no more of is told as oom, and not as the run's own limit", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`mkdir $CGROUPS/slice; echo ${MEMORY} > $CGROUPS/slice/memory.max
      CGROUP=$CGROUPS/slice run unlimited -- load memory 200
      CGROUP=$CGROUPS/slice run limited --memory-bytes ${8 * MEMORY} -- load memory 200
      rmdir $CGROUPS/slice`);
    for (const name of ["limited", "unlimited"]) {
      assert.deepEqual(summary(run(name)), [137, null, 9, "oom"]);
      assert.equal(
        run(name).exit?.message,
        "it was killed because the memory that it shares with others was used up, not its own limit; the kernel chose `load`",
      );
    }
  });

  test("the culprit's name is shown as plain text, whatever it called itself", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`run named --memory-bytes ${MEMORY} -- \
      load called "$(printf 'a,pid=1,uid=0\\033')" memory 200`);
    assert.deepEqual(
      [...summary(run("named")), run("named").exit?.culprit],
      [137, null, 9, "oom", "a?pid?1?uid?0?x1b"],
      run("named").exit?.message ?? "",
    );
  });

  for (const kind of ["forks", "threads"]) {
    test(`${kind} beyond --pids are refused, and a command that fails by it has the reason pids`, SLOW, async (t) => {
      if (!machine.ready(t)) return;
      const done = await machine.sh(`${NEIGHBOUR}
        run many --pids 30 --wall-ms 30000 -- load ${kind} 100
        wait`);
      const many = done.run("many");
      assert.match(many.stdout, /^2\d, then EAGAIN\n$/);
      assert.deepEqual(summary(many), [1, 1, null, "pids"], many.stderr);
      assert.equal(many.exit?.message, "it failed after it was refused more than its 30 processes");
      assert.equal(stat(many, "pidsPeak"), 30);
      assert.deepEqual(summary(done.run("neighbour")), [7, 7, null, "exit"]);
    });
  }

  test("pids: a command that was refused a process and goes on well has no such reason", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh("run well --pids 30 -- sh -c 'load forks 100; exit 0'");
    assert.deepEqual(summary(run("well")), [0, 0, null, "exit"]);
    assert.ok((run("well").gone?.leftoverProcesses ?? 0) >= 25, JSON.stringify(run("well").gone));
  });

  test("pids: a fork bomb is held for as long as it runs, and is ended while it forks", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`${NEIGHBOUR}
      start bomb --pids 60 --cpu-milli 500 --wall-ms 60000 --grace-ms 200 -- load bomb
      heard bomb started
      until grep -q 'max [1-9]' $(cgroup_of bomb)/pids.events; do sleep 0.02; done
      kill $(helper_of bomb); wait`);
    const bomb = done.run("bomb");
    assert.equal(bomb.exit?.reason, "cancelled", bomb.stderr);
    assert.equal(stat(bomb, "pidsPeak"), 60);
    assert.ok((bomb.gone?.leftoverProcesses ?? 61) <= 60);
    assert.deepEqual(summary(done.run("neighbour")), [7, 7, null, "exit"]);
  });

  test("processor time of eight busy threads is held to --cpu-milli, and the time they waited is told", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh("run busy --cpu-milli 200 --wall-ms 30000 -- load spin 8 3000");
    const busy = run("busy");
    assert.deepEqual(summary(busy), [0, 0, null, "exit"]);
    const share = stat(busy, "cpuUs") / (stat(busy, "wallMs") * 1000);
    assert.ok(share > 0.05 && share < 0.3, `${share} of a processor`);
    assert.ok(stat(busy, "throttledUs") > 500_000, `${stat(busy, "throttledUs")} µs`);
  });

  test("processor time of sixty-four busy threads without a limit leaves the neighbour its share", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`start busy --wall-ms 60000 --grace-ms 0 -- sh -c 'echo up; load spin 64 60000'
      printed busy up
      ${NEIGHBOUR}
      wait $!; kill $(helper_of busy); wait`);
    assert.deepEqual(summary(done.run("neighbour")), [7, 7, null, "exit"], done.run("neighbour").stderr);
    assert.equal(done.run("busy").exit?.reason, "cancelled");
  });

  test("memory is not locked beyond eight MiB, with and without a limit", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`run free -- load lock 64; run held --memory-bytes ${MEMORY} -- load lock 64
      run user --user 1000:1000 -- load lock 64`);
    for (const name of ["free", "held", "user"])
      assert.deepEqual([run(name).code, run(name).stdout], [1, "EAGAIN\n"], run(name).stderr);
  });

  test(
    "a storm of small files that are each brought to the disk ends, and the neighbour does not notice",
    SLOW,
    async (t) => {
      if (!machine.ready(t)) return;
      const done = await machine.sh(`${NEIGHBOUR}
      run storm --wall-ms 60000 -- load storm 300
      wait`);
      assert.deepEqual(summary(done.run("storm")), [0, 0, null, "exit"], done.run("storm").stderr);
      assert.deepEqual(summary(done.run("neighbour")), [7, 7, null, "exit"], done.run("neighbour").stderr);
    },
  );

  for (const [place, files] of [
    ["/tmp", 524_288],
    ["/dev/shm", 262_144],
    ["/run", 16_384],
    ["/cache", 1_024],
  ] as const) {
    test(`files in ${place} are ${files} at most, and take memory`, SLOW, async (t) => {
      if (!machine.ready(t)) return;
      const { run } = await machine.sh(`run few --tmpfs /cache:4194304 -- sh -c 'stat -f -c %c ${place}'
        run many --memory-bytes ${32 * MIB} --tmpfs /cache:4194304 --wall-ms 30000 -- sh -c 'cd ${place}; load files 1000000'`);
      assert.equal(run("few").stdout, `${files}\n`);
      if (files < 20_000) assert.match(run("many").stdout, /^\d+, then ENOSPC\n$/);
      else assert.equal(run("many").exit?.reason, "oom", run("many").stdout);
    });
  }

  test("processor time without a limit is not held, and counted all the same", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh("run busy --wall-ms 30000 -- load spin 2 1500");
    assert.equal(stat(run("busy"), "throttledUs"), 0);
    assert.ok(stat(run("busy"), "cpuUs") > 500_000, `${stat(run("busy"), "cpuUs")} µs`);
    assert.deepEqual(run("busy").created?.limits, { wallMs: "enforced" });
  });
  test("processor time that is short is shared by --cpu-weight", async (t) => {
    if (!machine.ready(t)) return;
    const { stdout, run } = await machine.sh(`for name in heavy light; do
        weight=1000; [ $name = heavy ] || weight=10
        start $name --cpu-weight $weight -- sh -c 'echo up; load spin 4 60000'; printed $name up
      done
      used() { sed -n 's/^usage_usec //p' $(cgroup_of $1)/cpu.stat; }
      heavy=$(used heavy) light=$(used light)
      until [ $(($(used heavy) - heavy)) -gt 3000000 ]; do sleep 0.05; done
      echo $(($(used light) - light)); kill $(helper_of heavy) $(helper_of light); wait`);
    assert.ok(Number(stdout) < 1_000_000, `${stdout.trim()} µs, when the other had three seconds`);
    assert.deepEqual(run("heavy").created?.limits, { cpuWeight: "enforced" });
  });

  for (const [what, option, direction, counter] of [
    ["bytes written to the scratch's disk", "--io-write-bps 2097152", "write", "ioWriteBytes"],
    ["bytes read from it", "--io-read-bps 2097152", "read", "ioReadBytes"],
  ] as const) {
    test(`${what} are held to ${option.split(" ")[0]}, and counted`, SLOW, async (t) => {
      if (!machine.ready(t)) return;
      const { run } = await machine.sh(`run free -- load ${direction} 8 4096
        run held ${option} --wall-ms 30000 -- load ${direction} 8 4096`);
      for (const name of ["free", "held"])
        assert.ok(stat(run(name), counter) >= 8 * MIB, JSON.stringify(run(name).exit));
      const rate = stat(run("held"), counter) / (stat(run("held"), "wallMs") / 1000);
      assert.ok(rate < 3 * MIB, `${rate} bytes a second`);
      assert.ok(stat(run("held"), "ioPressureUs") > 1_000_000, JSON.stringify(run("held").exit));
    });
  }

  test(
    "writes to and reads from the scratch's disk are held to --io-write-iops and --io-read-iops",
    SLOW,
    async (t) => {
      if (!machine.ready(t)) return;
      const { run } = await machine.sh(`run writes --io-write-iops 50 --wall-ms 30000 -- load write 1 4
      run reads --io-read-iops 50 --wall-ms 30000 -- load read 1 4`);
      for (const [name, counter] of [
        ["writes", "ioWrites"],
        ["reads", "ioReads"],
      ] as const) {
        assert.ok(stat(run(name), counter) >= 200, JSON.stringify(run(name).exit));
        const rate = stat(run(name), counter) / (stat(run(name), "wallMs") / 1000);
        assert.ok(rate < 75, `${name}: ${rate} a second`);
      }
    },
  );

  test("reading and writing of a scratch that is on no disk cannot be limited, and that is said", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`mkdir -m 711 /tmp/state; STATE=/tmp/state
      run memory --io-write-bps 1048576 --allow-weak no-limit-ioWriteBps -- true
      until rmdir /tmp/state; do sleep 0.05; done 2> /dev/null`);
    const { created } = done.run("memory");
    assert.match(
      created?.limits["ioWriteBps"] ?? "",
      /^unsupported: the scratch is on no block device \(but on 0:\d+\), so/,
    );
    assert.deepEqual(created?.weak, ["no-limit-ioWriteBps"]);
  });

  test("what a run used is told in full", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`run used -- sh -c 'load memory 20; load spin 3 500; load write 1 1024'`);
    const used = run("used");
    const parts = stat(used, "cpuUserUs") + stat(used, "cpuSystemUs");
    assert.ok(Math.abs(parts - stat(used, "cpuUs")) <= 2, JSON.stringify(used.exit));
    assert.ok(stat(used, "memoryPeakBytes") > 20 * MIB && stat(used, "pidsPeak") >= 5, JSON.stringify(used.exit));
    for (const name of ["ioWriteBytes", "ioWrites", "cpuPressureUs"]) assert.ok(stat(used, name) > 0, name);
    for (const name of ["ioReadBytes", "ioReads", "memoryPressureUs", "ioPressureUs"]) stat(used, name);
  });

  const LEAVE = ["no-cgroup", "no-limit-memoryBytes", "no-limit-pids", "no-limit-cpuMilli"];
  const ALLOWED = LEAVE.map((name) => `--allow-weak ${name}`).join(" ");
  const ALL = `--memory-bytes ${MEMORY} --pids 50 --cpu-milli 1500 --wall-ms 30000`;

  test("what is called enforced is written in the cgroup", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`start all ${ALL} -- sleep 1000
      heard all started
      cd $(cgroup_of all)
      cat memory.max memory.swap.max memory.oom.group pids.max cpu.max
      grep -c . cgroup.procs
      kill $(helper_of all); wait`);
    assert.equal(done.stdout, `${MEMORY}\n0\n1\n50\n150000 100000\n2\n`, done.stderr);
    const limits = { memoryBytes: "enforced", pids: "enforced", cpuMilli: "enforced", wallMs: "enforced" };
    assert.deepEqual([done.run("all").created?.limits, done.run("all").created?.weak], [limits, []]);
  });

  test("a controller that DIR was not given makes its limit unsupported, with a sentence, and the others hold", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`mkdir $DELEGATED/some
      echo +pids > $DELEGATED/cgroup.subtree_control; mkdir $DELEGATED/some/base
      echo +pids > $DELEGATED/some/cgroup.subtree_control
      CGROUP=$DELEGATED/some/base run refused ${ALL} -- true
      CGROUP=$DELEGATED/some/base run some ${ALL} ${ALLOWED} -- load forks 100
      rmdir $DELEGATED/some/base $DELEGATED/some; echo -pids > $DELEGATED/cgroup.subtree_control`);
    const { created, exit, stdout } = done.run("some");
    assert.deepEqual(summary(done.run("refused")), [125, 125, null, "setup"]);
    assert.equal(created?.limits["pids"], "enforced");
    assert.match(created?.limits["memoryBytes"] ?? "", /^unsupported: .*some\/base.* memory/);
    assert.match(created?.limits["cpuMilli"] ?? "", /^unsupported: .*some\/base.* cpu/);
    assert.deepEqual(created?.weak, ["no-limit-memoryBytes", "no-limit-cpuMilli"]);
    assert.deepEqual([exit?.reason, exit?.stats["memoryPeakBytes"]], ["pids", null], stdout);
  });

  test("a DIR that has processes of its own is refused", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`mkdir $DELEGATED/busy; echo "+memory +pids +cpu" > $DELEGATED/cgroup.subtree_control
      sleep 1000 & echo $! > $DELEGATED/busy/cgroup.procs
      CGROUP=$DELEGATED/busy run busy ${ALL} -- true
      CGROUP=$DELEGATED/busy run bare -- true
      kill %1; until rmdir $DELEGATED/busy; do sleep 0.05; done 2> /dev/null
      echo "-memory -pids -cpu" > $DELEGATED/cgroup.subtree_control`);
    for (const { code, created, exit } of [done.run("busy"), done.run("bare")]) {
      assert.deepEqual([code, created, exit?.reason, exit?.step], [125, undefined, "setup", "cgroup"]);
      assert.match(
        exit?.message ?? "",
        /delegated\/busy has processes of its own \(\d+ for one\).*: move them to a cgroup/,
      );
    }
  });

  test("a DIR in a threaded part of the hierarchy is refused with its type", async (t) => {
    if (!machine.ready(t)) return;
    const { run } =
      await machine.sh(`mkdir -p $CGROUPS/threads/below; echo threaded > $CGROUPS/threads/below/cgroup.type
      CGROUP=$CGROUPS/threads/below run below -- true; CGROUP=$CGROUPS/threads run above -- true
      rmdir $CGROUPS/threads/below $CGROUPS/threads`);
    assert.match(
      run("below").stderr,
      /threads\/below is of the type `threaded`: give a directory of the type `domain`/,
    );
    assert.match(run("above").stderr, /threads is of the type `domain threaded`/);
  });

  test("a host without cgroup v2 limits nothing and says so, and the run is ended all the same", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`cat > without <<'END'
        umount /sys/fs/cgroup
        exec toroid-sandbox run --image /image --scratch /var/tmp/state/without --json-status-fd 3 ${ALL} ${ALLOWED} -- \
          sh -c 'setsid sleep 1000 & echo up' 3> without.status > without.out 2> without.err
END
      mkdir -m 700 $STATE/without
      unshare -m sh ./without; echo $? > without.code`);
    const { created, code, stdout } = done.run("without");
    assert.deepEqual([code, stdout, created?.cgroup], [0, "up\n", null], done.stderr);
    assert.deepEqual(created?.weak, LEAVE);
    for (const limit of ["memoryBytes", "pids", "cpuMilli"])
      assert.match(created?.limits[limit] ?? "", /^unsupported: /, limit);
  });

  test("a --cgroup that is none is refused", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`CGROUP=/var/tmp run none -- true; CGROUP=$CGROUPS/no/such run absent -- true`);
    assert.deepEqual(summary(run("none")), [125, 125, null, "setup"]);
    assert.match(run("none").stderr, /--cgroup \/var\/tmp is not in a cgroup v2 hierarchy/);
    assert.deepEqual(summary(run("absent")), [125, 125, null, "setup"]);
    assert.match(run("absent").stderr, /cannot open --cgroup \/sys\/fs\/cgroup\/no\/such: ENOENT/);
  });

  test("outside of DIR no cgroup is made and no file is changed, and of DIR's own only subtree_control", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`mkdir $CGROUPS/given
      look() {
        find $CGROUPS -path "$CGROUPS/given/*" -prune -o -type d -print
        for file in $CGROUPS/cgroup.subtree_control $CGROUPS/*/*; do
          case $file in
            $CGROUPS/given/cgroup.subtree_control | */cgroup.procs | */cgroup.threads | *.stat | *.events | *.events.local) ;;
            *.current | *.peak | *.pressure | *.kill | *.reclaim | *.numa_stat | */toroid-*) ;;
            *) set -- "$@" "$file" ;;
          esac
        done
        grep . "$@"
      }
      look > $JOB/before
      CGROUP=$CGROUPS/given start all ${ALL} -- sleep 1000
      heard all started
      look > $JOB/during
      cat $CGROUPS/given/cgroup.subtree_control; ls -d $CGROUPS/given/*/ | wc -l
      kill $(helper_of all); wait
      look > $JOB/after
      grep -c . $JOB/before; cmp $JOB/before $JOB/during && cmp $JOB/before $JOB/after && echo same
      rmdir $CGROUPS/given`);
    const [controllers, cgroups, things, same] = done.stdout.split("\n");
    assert.deepEqual([controllers, cgroups, same], ["cpu io memory pids", "1", "same"], done.stdout + done.stderr);
    assert.ok(Number(things) > 40, `only ${things} things were looked at`);
  });

  test("without --cgroup a directory in the root of the hierarchy is made, limits hold in it, and it is removed", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`CGROUP= run default ${ALL} -- load memory 200; ls -d $CGROUPS/toroid`);
    assert.match(done.run("default").created?.cgroup ?? "", /^\/sys\/fs\/cgroup\/toroid\/toroid-[0-9a-f]{16}$/);
    assert.equal(done.run("default").exit?.reason, "oom");
    assert.equal(done.stdout, "");
  });

  test("a DIR that lets no more processes in is told as that", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`mkdir $CGROUPS/full; echo 0 > $CGROUPS/full/pids.max
      CGROUP=$CGROUPS/full run full -- true
      rmdir $CGROUPS/full`);
    assert.deepEqual(summary(run("full")), [125, 125, null, "setup"]);
    assert.match(
      run("full").stderr,
      /clone: .*full\/toroid-[0-9a-f]+, or one above it, lets no more processes in \(pids\.max\): EAGAIN/,
    );
  });
});
