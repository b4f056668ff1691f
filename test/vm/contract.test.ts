import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ATTEMPTS } from "../abuse/attempts.ts";
import { archive, CAPABILITY } from "../integration/sandbox/archives.ts";
import { type Machine, machineForAll, SLOW, summary } from "./rig.ts";

/** What `test/integration/sandbox.test.ts` proves on the machine it runs on, in short on the oldest kernel we promise. */
describe("on Linux 6.1 the helper", () => {
  let machine: Machine;
  machineForAll((made) => {
    machine = made;
  });

  test("finds everything it can use", async (t) => {
    if (!machine.ready(t)) return;
    assert.match(machine.release, /^6\.1\./);
    const done = await machine.sh("toroid-sandbox check; toroid-sandbox check --cgroup $DELEGATED | tail -n 1");
    const lines = done.stdout.split("\n").filter((line) => !/^(works {2}| )/.test(line));
    // There is no `ip` and no `nft` in the guest.
    assert.match(lines.shift() ?? "", /^weak +network-pool /, done.stdout);
    assert.deepEqual(lines, ["toroid-sandbox run works here.", "toroid-sandbox run works here.", ""], done.stderr);
  });

  test("tells every way to end apart", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`run zero -- true; run one -- false; run last -- sh -c 'exit 255'
      run segv -- sh -c 'kill -SEGV $$'
      run not-executable -- /etc/passwd; run not-there -- no-such-program
      run late --wall-ms 500 -- sleep 1000; run ours --cwd /no/such -- true`);
    assert.deepEqual(summary(run("zero")), [0, 0, null, "exit"]);
    assert.deepEqual(summary(run("one")), [1, 1, null, "exit"]);
    assert.deepEqual(summary(run("last")), [255, 255, null, "exit"]);
    assert.deepEqual(summary(run("segv")), [139, null, 11, "signal"]);
    assert.deepEqual(summary(run("not-executable")), [126, 126, null, "exit"]);
    assert.deepEqual(summary(run("not-there")), [127, 127, null, "exit"]);
    assert.deepEqual(summary(run("late")), [124, null, 15, "timeout"]);
    assert.deepEqual(summary(run("ours")), [125, 125, null, "setup"]);
  });

  test("keeps what is written, changed and removed inside away from the image", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`find /image -exec stat -c '%n %u %a %s %y' {} + | md5sum > before
      run change -- sh -c 'rm -r /bin/wc /etc/passwd; rm /bin/cat; echo new > /bin/cat; mkdir /etc/passwd; chown 7:8 /var; chmod 4755 /bin/busybox
        stat -c "%u:%g %a" /var /bin/busybox; ls -A /etc/passwd; ls /bin/wc'
      find /image -exec stat -c '%n %u %a %s %y' {} + | md5sum | cmp - before && echo same`);
    assert.equal(done.stdout, "same\n");
    const { stdout, stderr } = done.run("change");
    assert.deepEqual([stdout, stderr], ["7:8 755\n0:0 4755\n", "ls: /bin/wc: No such file or directory\n"]);
  });

  test("makes a root of several layers, and goes on in a scratch that was kept", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`mkdir -p /top/etc; echo top > /top/etc/passwd; echo top > /top/only
      IMAGE=/top run first --image /image --keep-scratch -- sh -c 'cat /etc/passwd /only; echo kept > /var/x; rm /only'
      stat -c %u $STATE/first/upper/var/x
      mv first.out one.out
      IMAGE=/top run first --image /image -- sh -c 'cat /var/x; ls /only'
      rm -r /top`);
    assert.deepEqual([done.run("one").stdout, done.run("first").stdout], ["top\ntop\n", "kept\n"]);
    assert.equal(Number(done.stdout), done.run("first").created?.uidBase, done.stderr);
  });

  test("unpacks layers, and makes a root of them and the host, that two of them lie in", async (t) => {
    if (!machine.ready(t)) return;
    const layer = archive(
      { name: "etc/", type: "5", mode: 0o755 },
      { name: "etc/.wh.passwd" },
      { name: "var/.wh..wh..opq" },
      { name: "root/ours", data: "ours", pax: { "SCHILY.xattr.security.capability": CAPABILITY } },
    );
    const done = await machine.sh(`mkdir -p /one /two/etc; echo two > /two/etc/two
      echo ${gzipSync(layer).toString("base64")} | base64 -d | gunzip | toroid-sandbox unpack --layer --into /one
      head -c 1000 /dev/urandom | toroid-sandbox unpack --into /one 2>&1
      IMAGE=/one run host --image /two --image host -- sh -c 'ls -A /etc/passwd /etc/two /var /root/ours; ls /bin/load'
      rm -r /one /two`);
    assert.match(done.stdout, /^{"files":6,.*}\ntoroid-sandbox: unpack: the directory is not empty\n$/);
    const { stdout, stderr } = done.run("host");
    assert.deepEqual(
      [stdout, stderr],
      ["/etc/two\n/root/ours\n\n/var:\n/bin/load\n", "ls: /etc/passwd: No such file or directory\n"],
    );
  });

  test("tells what a run wrote as a layer, which another run sees the same", async (t) => {
    if (!machine.ready(t)) return;
    const list = `cd /root; stat -c "%n %a %u:%g %h %Y" *; cat same; ls /etc/passwd /var`;
    const done = await machine.sh(`mkdir /layer
      IMAGE=host run wrote --keep-scratch -- sh -c 'echo x > /root/new; chown 7:8 /root/new; ln /root/new /root/same
        rm -r /etc/passwd /var; mkdir /var; touch /var/new; ${list}'
      toroid-sandbox export --scratch $STATE/wrote | toroid-sandbox unpack --layer --into /layer
      IMAGE=/layer run read --image host -- sh -c '${list}'
      rm -r /layer $STATE/wrote`);
    const [wrote, read] = [done.run("wrote"), done.run("read")];
    assert.match(done.stdout, /^{"files":/, done.stderr);
    assert.match(wrote.stdout, /^new 644 7:8 2 \d+\nsame 644 7:8 2 \d+\nx\n\/var:\nnew\n$/);
    assert.deepEqual([read.stdout, read.stderr], [wrote.stdout, wrote.stderr]);
  });

  test("hides the secrets of the host as an image", async (t) => {
    if (!machine.ready(t)) return;
    const done =
      await machine.sh(`echo secret > /root/key; echo secret > /home/key; echo secret > /var/log/x; echo secret > /opt
      IMAGE=host run host --mask /opt -- sh -c 'ls -A /root /home /var/log; cat /etc/shadow; ls -d /opt /bin/load'
      rm /root/key /home/key /var/log/x /opt`);
    const { stdout, created } = done.run("host");
    assert.equal(stdout, "/home:\n\n/root:\n\n/var/log:\nroot:*:19000:0:99999:7:::\n/bin/load\n");
    assert.deepEqual(created?.weak, ["image-host"]);
  });

  test("shows nothing of where its scratch lies in the host's emptied directories", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh("IMAGE=host run host -- find /var/tmp");
    assert.equal(run("host").stdout, "/var/tmp\n");
  });

  test("shows nothing of what is masked in a masked directory, whichever is named first", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`mkdir -p /opt/a/b/c; touch /opt/a/b/c/d
      IMAGE=host run inner --mask /opt/a/b/c --mask /opt/a -- find /opt
      IMAGE=host run outer --mask /opt/a --mask /opt/a/b/c -- find /opt
      rm -r /opt`);
    assert.deepEqual([done.run("inner").stdout, done.run("outer").stdout], ["/opt\n/opt/a\n", "/opt\n/opt/a\n"]);
  });

  test("binds with owners as they are, read-only when that is said, and mounts memory as large as is said", async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`mkdir /given; touch /given/theirs; chown 12:34 /given/theirs
      run binds --bind /given:/src --bind /given:/etc/given:ro --tmpfs /cache:524288 -- sh -c 'stat -c %u:%g /src/theirs
        touch /src/ours; chown 56:78 /src/theirs; touch /etc/given/no; head -c 1000000 /dev/zero > /cache/x; stat -c %s /cache/x'
      stat -c "%n %u:%g" /given/*
      rm -r /given`);
    assert.equal(done.run("binds").stdout, "12:34\n524288\n");
    assert.match(done.run("binds").stderr, /\/etc\/given\/no: Read-only file system/);
    assert.equal(done.stdout, "/given/ours 0:0\n/given/theirs 56:78\n");
  });

  test("gives a network of its own with nothing but a loopback, a /proc and a /dev of its own", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`sleep 1000 & run alone -- sh -c 'ls /sys; echo /proc/[0-9]*; cat /proc/self/cgroup
        tail -n +3 /proc/net/dev | cut -d : -f 1; attempts loopback_four loopback_six; wc -c < /proc/kallsyms
        cat /proc/1/comm; hostname; id -u; echo x > /dev/null; head -c 8 /dev/urandom | wc -c'; kill %1`);
    const said = run("alone")
      .stdout.split("\n")
      .map((line) => line.trim());
    assert.deepEqual(
      said.slice(1),
      ["0::/", "lo", "loopback_four done", "loopback_six done", "0", "init", "toroid", "0", "8", ""],
      run("alone").stderr,
    );
    assert.match(said[0] ?? "", /^\/proc\/1 \/proc\/2( \/proc\/\d+)?$/);
  });

  test("goes without a wall that this kernel does not have only where that is allowed", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh(`knob=/proc/sys/user/max_cgroup_namespaces; was=$(cat $knob); echo 0 > $knob
      run refused -- true; run allowed --allow-weak no-cgroup-namespace -- sh -c 'cat /proc/self/cgroup'
      echo $was > $knob`);
    assert.deepEqual(summary(run("refused")), [125, 125, null, "setup"]);
    assert.deepEqual(run("refused").exit?.lacks, ["no-cgroup-namespace"]);
    assert.match(run("refused").stderr, /^toroid-sandbox: cgroup-namespace: .*--allow-weak no-cgroup-namespace/);
    assert.deepEqual([run("allowed").code, run("allowed").started?.weak], [0, ["no-cgroup-namespace"]]);
    assert.match(run("allowed").stdout, /^0::\/delegated\/toroid-/);
  });

  test("says which file system cannot map owners", async (t) => {
    if (!machine.ready(t)) return;
    const { run } = await machine.sh("mkdir /tmp/image; IMAGE=/tmp/image run memory -- true; rmdir /tmp/image");
    assert.deepEqual(summary(run("memory")), [125, 125, null, "setup"]);
    assert.match(
      run("memory").stderr,
      /^toroid-sandbox: image: the file system of the image \/tmp\/image cannot map owners/,
    );
    assert.equal(run("memory").started, undefined);
  });

  for (const [who, options] of [
    ["root", ""],
    ["root on the host's network", "--network host"],
    ["a user who is not root", "--user 1000:1000"],
  ] as const) {
    test(`lets no attempt of test/abuse succeed, made by ${who}`, SLOW, async (t) => {
      if (!machine.ready(t)) return;
      const names = Object.keys(ATTEMPTS);
      assert.ok(names.length > 90, `${names.length} attempts`);
      const { run } = await machine.sh(`run hostile ${options} -- attempts ${names.join(" ")}`);
      const answers = run("hostile").stdout.trim().split("\n");
      assert.deepEqual(
        answers.filter((answer) => /done|\?/.test(answer)),
        [],
      );
      assert.equal(answers.length, names.length, run("hostile").stderr);
    });
  }

  test("leaves nothing after sixty runs", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await machine.sh(`cat /proc/net/unix | wc -l > before
      for n in $(seq 15); do for name in a b c d; do start $name -- true; done; wait; cat ?.code; done | sort | uniq -c
      while [ -n "$(traces)" ]; do sleep 0.1; done
      cat /proc/net/unix | wc -l | cmp - before`);
    assert.deepEqual([done.stdout.trim(), done.stderr], ["60 0", ""]);
  });
});
