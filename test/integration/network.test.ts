import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  BRIDGE,
  HOST,
  METADATA,
  NETWORK_NEEDS,
  NetworkRig,
  PUBLIC,
  RESOLVER,
  slotAddress,
} from "../abuse/network-rig.ts";
import { HELPER, type Outcome } from "../abuse/rig.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";

const T = { timeout: 60_000 };

describe("the pool of networks", () => {
  let made: NetworkRig | undefined;
  let clean = "";
  before(async () => {
    made = await NetworkRig.start();
    clean = (await made?.traces()) ?? "";
  });
  after(() => made?.[Symbol.asyncDispose]());
  const theRig = (): NetworkRig => {
    assert.ok(made !== undefined);
    return made;
  };
  const assertClean = async (): Promise<void> => assert.equal(await theRig().traces(), clean);

  test("net up makes what it says, net down leaves nothing of it", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const up = await rig.helper(["net", "up", "--state", rig.state, "--slots", "3", "--dns", RESOLVER, "--forward"]);
    assert.equal(up.code, 0, up.stderr);
    const said: { bridge: string; subnet: string; slots: number } = JSON.parse(up.stdout);
    assert.match(said.bridge, /^toroid[0-9a-f]{6}$/);
    assert.deepEqual([said.subnet, said.slots], ["10.213.0.0/29", 3]);
    assert.deepEqual((await readdir(rig.state)).sort(), ["0", "1", "2", "policy", "resolv.conf"]);
    const again = await rig.helper(["net", "up", "--state", rig.state, "--slots", "3", "--dns", RESOLVER]);
    assert.match(again.stderr, /^toroid-sandbox: net: a pool of \S+ is up, or was left: net down first$/);
    const down = await rig.helper(["net", "down", "--state", rig.state]);
    assert.deepEqual([down.code, JSON.parse(down.stdout)], [0, { removed: 6 }]);
    await assertClean();
    assert.deepEqual(JSON.parse((await rig.helper(["net", "down", "--state", rig.state])).stdout), { removed: 0 });
  });

  test("net check says that it works, and touches nothing", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const check = async (): Promise<{ ok: boolean; lacks: string[] }> =>
      JSON.parse((await rig.helper(["net", "check", "--json"])).stdout);
    await rig.host.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
    const lacking = (await check()).lacks.join();
    assert.match(lacking, /^net: the host does not forward packets: net\.ipv4\.ip_forward is 0/);
    const { code, stderr } = await rig.helper(["net", "up", "--state", rig.state, "--slots", "1", "--dns", RESOLVER]);
    assert.equal(code, 125);
    assert.match(stderr, /does not forward packets: set net\.ipv4\.ip_forward=1, or give --forward$/);
    await rig.host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    // The machine's own resolver may be one that no namespace reaches, which is said.
    for (const sentence of (await check()).lacks) assert.match(sentence, /resolver/);
    await assertClean();
  });

  test("a program that is missing is named with its package", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const hidden = [...rig.host.enter.slice(1), "unshare", "--mount", "sh", "-c"];
    const line = `mount --bind /dev/null "$(readlink -f "$(command -v nft)")" && exec "$0" "$@"`;
    const words = [HELPER, "net", "up", "--state", rig.state, "--slots", "1", "--dns", RESOLVER, "--forward"];
    const child = spawn("nsenter", [...hidden, line, ...words], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const [code] = await once(child, "close");
    assert.equal(code, 125);
    assert.match(said, /`nft` is not installed: it is in the package nftables|`nft` failed with 126/);
    await rig.down();
    await assertClean();
  });

  const BAD: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["no slots", [], /^toroid-sandbox: usage:/],
    ["too many slots", ["--slots", "257"], /--slots wants a number from 1 to 256/],
    ["a subnet that is none", ["--slots", "1", "--subnet", "10.0.0.0/33"], /--subnet wants an IPv4 network/],
    ["a subnet with host bits", ["--slots", "1", "--subnet", "10.0.0.1/16"], /--subnet wants an IPv4 network/],
    ["a subnet too small", ["--slots", "9", "--subnet", "10.9.0.0/29"], /the subnet is too small for 9 slots/],
    ["a subnet in use", ["--slots", "1", "--subnet", "198.51.100.0/24"], /the host uses all of the subnet/],
    ["an opening that is none", ["--slots", "1", "--open", "example.com"], /--open wants an IPv4 network/],
    ["an opening with host bits", ["--slots", "1", "--open", "10.1.2.3/8"], /--open wants an IPv4 network/],
    ["a resolver that is none", ["--slots", "1", "--dns", "::1"], /--dns wants an IPv4 address/],
    ["an unknown option", ["--slots", "1", "--frobnicate", "1"], /^toroid-sandbox: usage:/],
  ];
  for (const [what, words, sentence] of BAD) {
    test(`${what} is refused with a sentence, and nothing is made`, T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      const options = ["net", "up", "--state", rig.state, "--forward", ...words];
      if (!words.includes("--dns")) options.push("--dns", RESOLVER);
      const { code, stderr } = await rig.helper(options);
      assert.equal(code, 125);
      assert.match(stderr, sentence);
      await assertClean();
    });
  }

  test("two pools of one host have no address, name or rule in common", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const other = `${rig.state}-2`;
    await mkdir(other, { mode: 0o700 });
    await Promise.all([rig.up(2), rig.up(6, [], other)]);
    const subnets = await rig.host.sh("ip -4 route | grep -o '^10.213.[0-9./]*' | sort");
    assert.match(subnets, /^10\.213\.0\.\d+\/\d+\n10\.213\.0\.\d+\/\d+$/);
    const answers = async (state: string): Promise<string> =>
      (await rig.sandbox.run(rig.slot(1, state), ["bash", "-c", `cat </dev/tcp/${PUBLIC}/80`])).stdout;
    assert.deepEqual([await answers(rig.state), await answers(other)], [`world ${HOST}\n`, `world ${HOST}\n`]);
    await rig.down();
    assert.equal(await answers(other), `world ${HOST}\n`);
    await rig.down(other);
    await rm(other, { recursive: true });
    await assertClean();
  });

  test("one that serves a client keeps nobody from making another, and goes with who made it", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const [own, other] = [`${rig.state}-served`, `${rig.state}-2`];
    const scratches = join(rig.sandbox.dir, "scratches");
    for (const dir of [own, other, scratches]) await mkdir(dir, { mode: 0o700 });
    const options = ["--state", scratches, "--net", own, "--dns", RESOLVER, "--slots", "2", "--client-uid", "1000"];
    const words = [HELPER, "serve", "--socket", join(rig.sandbox.dir, "socket"), ...options];
    const serve = spawn("nsenter", [...rig.host.enter.slice(1), ...words], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(serve, "close");
    try {
      const [ready] = await once(serve.stdout, "data");
      assert.match(String(ready), /"pool":true/);
      await rig.up(2, [], other);
      await rig.down(other);
    } finally {
      serve.kill("SIGTERM");
    }
    assert.deepEqual(await ended, [0, null]);
    for (const dir of [own, other, scratches]) await rm(dir, { recursive: true });
    await assertClean();
  });

  describe("that is up", () => {
    before(async () => made?.up(4));
    after(async () => {
      await made?.down();
      if (made !== undefined) await assertClean();
    });

    test("a run has a loopback, one link with one address, and the resolver it was given", T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const line = `cat /etc/resolv.conf; ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; ask 127.0.0.1 9; ask ::1 9`;
      const { stdout, created, exit } = await theRig().run(2, line);
      assert.equal(stdout, `nameserver ${RESOLVER}\nlo\neth0\nclosed\nclosed\n`);
      assert.deepEqual([created?.network, created?.weak, exit?.code], ["full", ["image-host"], 0]);
    });

    test("a user who is not root binds low ports and opens a ping socket", T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const options = ["--user", "1000:1000"];
      await using user = await theRig().attempts(0, ["socket_ping", "listen_inet"], options);
      await user.printed("socket_ping done\nup\n");
    });

    test("a slot takes one run at a time, and says so", T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      await using first = await rig.attempts(1, ["listen_inet"]);
      await first.printed("up");
      const second = await rig.run(1, "true");
      assert.deepEqual([second.code, second.exit?.reason], [125, "setup"]);
      assert.match(second.stderr, /net\/1 is in use by another run/);
      assert.equal((await rig.run(0, "true")).code, 0);
    });

    test("what is no slot is refused", T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      const own = join(rig.state, "resolv.conf");
      for (const path of [own, "/proc/self/ns/net", "/proc/self/ns/mnt", "/nowhere"]) {
        const { code, stderr } = await rig.sandbox.run(["--network", "full", "--netns", path], ["true"]);
        assert.equal(code, 125);
        assert.match(stderr, /is no network namespace of a pool|ELOOP|ENOENT/);
      }
    });

    test("connections, dying sockets and listeners of a run are gone after it", T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      const running = await rig.attempts(3, ["leave_connections", "listen_inet"]);
      await running.printed("up");
      assert.match(await rig.connections(), new RegExp(`src=${slotAddress(3)} dst=${PUBLIC}`));
      const alive = (await rig.sockets(3)).split("\n").length;
      assert.ok(alive > 16, `${alive} sockets while it ran`);
      running.kill("SIGTERM");
      assert.match((await running.outcome).stdout, /^leave_connections done$/m);
      assert.deepEqual([await rig.connections(), await rig.sockets(3)], ["", ""]);
      assert.equal(
        (await rig.attempts(3, ["leave_connections"]).then((again) => again.outcome)).stdout,
        "leave_connections done\n",
      );
    });

    test("what the kernel learned for a run is forgotten after it", T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      const learned = async (): Promise<readonly string[]> => {
        const list = "ip -4 -o neigh show nud all; ip -6 -o neigh show nud all";
        const lines = (await rig.host.sh(`nsenter --net=${rig.state}/2 sh -c "${list}"`)).split("\n").filter(Boolean);
        return lines.map((line) => line.split(" ").slice(0, 3).join(" "));
      };
      assert.equal((await rig.ask(2, [[PUBLIC, 80]]))[0], `world ${HOST}`);
      const own = [`${BRIDGE} dev eth0`];
      assert.deepEqual(await learned(), own, "the bridge, which is the same for everybody");
      await using running = await rig.attempts(2, ["leave_neighbours", "listen_inet"]);
      await running.printed("up");
      assert.equal((await learned()).length, own.length + 16, (await learned()).join());
      assert.doesNotMatch(await rig.connections(), /dst=224\./, "nor does the host learn of what is said to many");
      running.kill("SIGTERM");
      assert.match((await running.outcome).stdout, /^leave_neighbours done$/m);
      assert.deepEqual(await learned(), own);
    });

    test("what a helper that was killed left in its slot is gone before the next run begins", T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      const killed = await rig.attempts(2, ["leave_connections", "listen_inet"]);
      await killed.printed("up");
      process.kill(killed.pid, "SIGKILL");
      await killed.outcome;
      await until("the slot to be free", async () => (await rig.run(2, "true")).code === 0);
      const { stdout } = await rig.run(2, "tail -n +2 -q /proc/net/tcp /proc/net/tcp6 /proc/net/udp; echo end");
      assert.equal(stdout, "end\n");
      assert.doesNotMatch(await rig.connections(), new RegExp(`src=${slotAddress(2)} `));
      await rig.helper(["gc", "--state", rig.sandbox.dir, ...cgroupOf(rig)]);
    });

    test("20 runs in parallel over 4 slots all reach the world, and nothing of them stays", T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      const serveSlot = async (slot: number): Promise<Outcome[]> => {
        const outcomes: Outcome[] = [];
        for (let i = 0; i < 5; i += 1) outcomes.push(await rig.run(slot, `ask ${PUBLIC} 80; ask ${METADATA} 80`));
        return outcomes;
      };
      const all = (await Promise.all([0, 1, 2, 3].map(serveSlot))).flat();
      for (const { stdout, stderr } of all) assert.deepEqual([stdout, stderr], [`world ${HOST}\nclosed\n`, ""]);
      assert.equal(all.length, 20);
      assert.equal(await rig.connections(), "");
      for (const slot of [0, 1, 2, 3]) assert.equal(await rig.sockets(slot), "");
    });

    test("no program is started for a run but the helper", T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      const empty = join(rig.sandbox.dir, "empty");
      await writeFile(empty, "", { mode: 0o755 });
      const hide = `for name in ip nft; do mount --bind ${empty} "$(readlink -f "$(command -v $name)")"; done; exec "$0" "$@"`;
      const scratch = await rig.sandbox.scratch();
      const words = ["run", "--image", "host", "--scratch", scratch, ...rig.sandbox.where, ...rig.slot(0)];
      const { exitCode, stdout } = await run([
        ...rig.host.enter,
        "unshare",
        "--mount",
        "sh",
        "-ec",
        hide,
        HELPER,
        ...words,
        "--",
        "bash",
        "-c",
        `cat </dev/tcp/${PUBLIC}/80`,
      ]);
      assert.deepEqual([exitCode, stdout], [0, `world ${HOST}\n`]);
    });
  });

  test("killed at any moment, gc removes what was made so far", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    let partly = 0;
    for (const delayMs of [2, 5, 8, 11, 14, 17, 20, 24, 28, 33, 40, 60]) {
      const words = [HELPER, "net", "up", "--state", rig.state, "--slots", "4", "--dns", RESOLVER];
      const child = spawn("nsenter", [...rig.host.enter.slice(1), ...words], { stdio: "ignore" });
      const closed = once(child, "close");
      await sleep(delayMs);
      child.kill("SIGKILL");
      await closed;
      partly += (await rig.traces()) === clean ? 0 : 1;
      const { code, stdout, stderr } = await rig.helper([
        "gc",
        "--state",
        rig.sandbox.dir,
        "--net",
        rig.state,
        ...cgroupOf(rig),
      ]);
      assert.equal(code, 0, `${stderr} ${stdout}`);
      await assertClean();
    }
    assert.ok(partly > 0, "no kill came while something was there");
  });

  test("gc leaves a pool alone that has a run in it", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    await rig.up(2);
    const gc = async (): Promise<unknown> =>
      JSON.parse((await rig.helper(["gc", "--state", rig.sandbox.dir, "--net", rig.state, ...cgroupOf(rig)])).stdout)
        .network;
    const running = await rig.attempts(0, ["listen_inet"]);
    await running.printed("up");
    assert.equal(await gc(), 0);
    running.kill("SIGTERM");
    await running.outcome;
    assert.equal(await gc(), 5);
    await assertClean();
  });
});

function cgroupOf(rig: NetworkRig): readonly string[] {
  return rig.sandbox.cgroup === null ? [] : ["--cgroup", rig.sandbox.cgroup];
}

async function run([program = "", ...words]: readonly string[]): Promise<{ exitCode: unknown; stdout: string }> {
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  const [exitCode] = await once(child, "close");
  return { exitCode, stdout };
}
