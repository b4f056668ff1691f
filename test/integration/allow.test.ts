import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, symlink } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  BRIDGE,
  HOST,
  listen,
  METADATA,
  NETWORK_NEEDS,
  NetworkRig,
  OPENED,
  OTHER,
  PRIVATE,
  PUBLIC,
  RESOLVER,
  slotAddress,
} from "../abuse/network-rig.ts";
import { HELPER, makeImage } from "../abuse/rig.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";
import { requestOf } from "./sandbox/serve-rig.ts";

const T = { timeout: 60_000 };
const WORLD = `world ${HOST}`;

describe("a run with an allow list", () => {
  let made: NetworkRig | undefined;
  let rules = "";
  before(async () => {
    made = await NetworkRig.start();
    await made?.up(4, ["--open", `${OPENED}/32`]);
    rules = (await made?.host.sh("nft list ruleset")) ?? "";
  });
  after(async () => {
    await made?.down();
    await made?.[Symbol.asyncDispose]();
  });
  const theRig = (): NetworkRig => {
    assert.ok(made !== undefined);
    return made;
  };
  /** The rules between two runs are those of the beginning, to the letter. */
  const assertNothingLeft = async (): Promise<void> => assert.equal(await theRig().host.sh("nft list ruleset"), rules);

  test("reaches what is on it and nothing else, not even what the pool opens", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const places = [
      [PUBLIC, 80],
      [PUBLIC, 53],
      [OTHER, 80],
      [OPENED, 80],
      [RESOLVER, 53],
      [METADATA, 80],
      [PRIVATE, 80],
      [BRIDGE, 8080],
      [HOST, 8080],
      [slotAddress(1), 80],
      ["127.0.0.1", 9],
      ["::1", 9],
    ] as const;
    const answers = await rig.ask(rig.only(0, [PUBLIC]), places);
    assert.deepEqual(answers, [WORLD, WORLD, ...places.slice(2).map(() => "closed")]);
    assert.deepEqual(await rig.ask(rig.only(0, [OPENED]), places.slice(0, 4)), ["closed", "closed", "closed", WORLD]);
    await assertNothingLeft();
  });

  test("finds its hosts by name, and all of their addresses", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const line = "ask a.example 80; ask b.example 80; cat /etc/hosts /etc/resolv.conf; getent ahostsv4 a.example";
    const options = rig.only(0, [`a.example=${PUBLIC},${OTHER}`, `b.example=${OPENED}:80`]);
    const { stdout, created, exit } = await rig.bash(options, line);
    const [one, two, ...rest] = stdout.trim().split("\n");
    assert.deepEqual([one, two, exit?.code], [WORLD, WORLD, 0]);
    assert.deepEqual(rest.slice(0, 6), [
      "127.0.0.1 localhost",
      "::1 localhost ip6-localhost ip6-loopback",
      `${PUBLIC} a.example`,
      `${OTHER} a.example`,
      `${OPENED} b.example`,
      "# no resolver is reached; the hosts that are: /etc/hosts",
    ]);
    assert.match(rest.slice(6).join("\n"), new RegExp(`^${PUBLIC} [^]*^${OTHER} `, "m"));
    assert.deepEqual([created?.network, created?.allowed], ["full", 3]);
  });

  test("reaches ports as they are listed, and networks", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const places = [
      [PUBLIC, 80],
      [PUBLIC, 53],
      [OTHER, 80],
      [OTHER, 53],
    ] as const;
    const LISTS: readonly (readonly [readonly string[], readonly boolean[]])[] = [
      [[`${PUBLIC}:80`], [true, false, false, false]],
      [[`a.example=${PUBLIC}:80,${OTHER}:53`], [true, false, false, true]],
      [["203.0.113.0/28"], [true, true, false, false]],
      [["203.0.113.0/24:53"], [false, true, false, true]],
      [["0.0.0.0/0:80"], [true, false, true, false]],
      // One within another, and the same twice.
      [
        ["203.0.113.0/24:80", `${PUBLIC}:80`, PUBLIC, PUBLIC, "203.0.112.0/20:80"],
        [true, true, true, false],
      ],
      [
        ["203.0.113.0/28", "203.0.113.8/29:53", "203.0.113.0/24:53"],
        [true, true, false, true],
      ],
    ];
    for (const [list, reached] of LISTS) {
      const answers = await rig.ask(rig.only(1, list), places);
      assert.deepEqual(
        answers.map((answer) => answer === WORLD),
        reached,
        list.join(),
      );
    }
    await assertNothingLeft();
  });

  test("sends no datagram to anybody else, a resolver above all", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    await using world = await listen(rig.world, 53);
    const say = (text: string, ...to: readonly string[]): string =>
      to.map((address) => `echo ${text} > /dev/udp/${address}/53`).join("\n");
    const everybody = [RESOLVER, PUBLIC, OTHER, PRIVATE, METADATA];
    await rig.bash(rig.only(2, [`${OTHER}:53`]), say("limited", ...everybody));
    await rig.bash(rig.slot(2), say("full", ...everybody));
    await until("the datagrams that may pass", () => world.heard().length === 4);
    assert.deepEqual([...world.heard()].sort(), [`${HOST} full`, `${HOST} full`, `${HOST} full`, `${HOST} limited`]);
  });

  test("hinders nobody beside it or after it", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const places = [
      [PUBLIC, 80],
      [OTHER, 80],
    ] as const;
    for (let round = 0; round < 3; round += 1) {
      const [first, second, third] = await Promise.all([
        rig.ask(rig.only(0, [PUBLIC]), places),
        rig.ask(rig.only(1, [`x.example=${OTHER}`]), places),
        rig.ask(rig.slot(2), places),
      ]);
      assert.deepEqual(
        [first, second, third],
        [
          [WORLD, "closed"],
          ["closed", WORLD],
          [WORLD, WORLD],
        ],
      );
      assert.deepEqual(await rig.ask(rig.slot(0), places), [WORLD, WORLD]);
    }
    await assertNothingLeft();
  });

  test("may list several hundred hosts", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const many = Array.from({ length: 400 }, (_, i) => `h${i}.example=8.8.${i >> 8}.${i & 255}${i % 2 ? ":443" : ""}`);
    const places = [
      ["h400.example", 80],
      [OTHER, 80],
    ] as const;
    assert.deepEqual(await rig.ask(rig.only(3, [...many, `h400.example=${PUBLIC}`]), places), [WORLD, "closed"]);
    const tooMany = Array.from({ length: 1025 }, (_, i) => `9.9.${i >> 8}.${i & 255}`);
    const words = ["run", "--image", "host", "--scratch", "/s", ...rig.only(3, [tooMany.join()]), "--", "true"];
    assert.match((await rig.helper(words)).stderr, /--allow-host: there are more than 1024$/);
    await assertNothingLeft();
  });

  test(
    "keeps its list when the same scratch is gone on in, and its hosts whatever the image has there",
    T,
    async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      const image = await makeImage(rig.sandbox.dir);
      await symlink("/proc/self/environ", join(image, "etc", "hosts"));
      const scratch = await rig.sandbox.scratch();
      const run = async (more: readonly string[]): Promise<string> => {
        const options = [...rig.only(0, [`a.example=${PUBLIC}`]), "--bind", "/bin:/bin:ro", "--bind", "/lib:/lib:ro"];
        const libraries = ["--bind", "/lib64:/lib64:ro", "--bind", "/usr:/usr:ro"];
        const line = "sed -n 3p /etc/hosts; echo 9.9.9.9 b.example >> /etc/hosts";
        const argv = ["/bin/sh", "-c", line];
        return (await rig.sandbox.run([...options, ...libraries, ...more], argv, { image, scratch })).stdout;
      };
      assert.equal(await run(["--keep-scratch"]), `${PUBLIC} a.example\n`);
      assert.equal(await run([]), `${PUBLIC} a.example\n`);
    },
  );

  const CLOSED: readonly (readonly [string, RegExp])[] = [
    [
      METADATA,
      /169\.254\.169\.254 is closed to builds: it is in a range that the pool does not open, 169\.254\.0\.0\/16$/,
    ],
    ["169.254.0.0/16", /169\.254\.0\.0\/16 is closed to builds/],
    [`imds.example=${METADATA}:80`, /imds\.example is at 169\.254\.169\.254, which is closed to builds/],
    [`a.example=${PUBLIC},${PRIVATE}`, /a\.example is at 192\.168\.77\.10, which is closed .*192\.168\.0\.0\/16$/],
    ["10.0.0.0/8", /10\.0\.0\.0\/8 is closed to builds: .*10\.0\.0\.0\/8$/],
    ["172.16.0.0/16", /closed to builds: .*172\.16\.0\.0\/12$/],
    ["localhost=127.0.0.1", /localhost is at 127\.0\.0\.1, which is closed to builds/],
    ["0.0.0.0", /closed to builds/],
    ["224.0.0.251", /closed to builds/],
    ["255.255.255.255", /closed to builds/],
    [HOST, /198\.51\.100\.2 is closed to builds: it is an address of this host$/],
    [BRIDGE, /10\.213\.0\.1 is closed to builds: it is another build's, of 10\.213\.0\.0\/29$/],
    [slotAddress(1), /10\.213\.0\.3 is closed to builds: it is another build's/],
    [slotAddress(0), /10\.213\.0\.2 is closed to builds: it is another build's/],
  ];
  for (const [host, sentence] of CLOSED) {
    test(`cannot list ${host}, which is closed to builds`, T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      const { code, exit, stderr } = await rig.bash(rig.only(0, [PUBLIC, host]), "echo ran");
      assert.deepEqual([code, exit?.reason, exit?.step], [125, "setup", "allow-host"]);
      assert.match(stderr.trim(), sentence);
      assert.equal(exit?.message, stderr.trim().replace("toroid-sandbox: ", ""));
    });
  }

  test("reaches of a wide network only what is public or opened", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const places = [
      [PUBLIC, 80],
      [OPENED, 80],
      [METADATA, 80],
      [PRIVATE, 80],
      [BRIDGE, 8080],
      [HOST, 8080],
      [slotAddress(1), 80],
    ] as const;
    const closed = places.slice(2).map(() => "closed");
    assert.deepEqual(await rig.ask(rig.only(0, ["0.0.0.0/0"]), places), [WORLD, WORLD, ...closed]);
  });

  const BAD: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["a name without an address", ["--allow-host", "a.example"], /wants NAME=ADDRESS.*, not `a\.example`$/],
    ["a name for nothing", ["--allow-host", "a.example="], /--allow-host a\.example= names no address$/],
    ["a name for a network", ["--allow-host", "a.example=8.8.8.0/24"], /not `a\.example=8\.8\.8\.0\/24`$/],
    ["a name of two lines", ["--allow-host", "a\n9.9.9.9 b=8.8.8.8"], /is no name of a host$/],
    ["a wildcard", ["--allow-host", "*.example=8.8.8.8"], /`\*\.example` is no name of a host$/],
    ["IPv6", ["--allow-host", "2001:db8::1"], /an IPv4 address or a network/],
    ["another spelling of an address", ["--allow-host", "0x08080808"], /an IPv4 address or a network/],
    ["a port that is none", ["--allow-host", "8.8.8.8:0"], /not `8\.8\.8\.8:0`$/],
    ["a network with host bits", ["--allow-host", "8.8.8.8/8"], /not `8\.8\.8\.8\/8`$/],
    [
      "a resolver",
      ["--allow-host", "8.8.8.8", "--resolver", "/etc/resolv.conf"],
      /--allow-host and --resolver exclude/,
    ],
  ];
  for (const [what, words, sentence] of BAD) {
    test(`${what} on it is refused with a sentence`, T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      const rig = theRig();
      const { code, stderr } = await rig.helper([
        "run",
        "--image",
        "host",
        "--scratch",
        "/s",
        ...rig.only(0, []),
        ...words,
        "--",
        "true",
      ]);
      assert.equal(code, 125);
      assert.match(stderr, sentence);
    });
  }

  test("has to have a slot", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    for (const network of ["none", "host"]) {
      const words = ["--network", network, "--allow-host", PUBLIC, "--", "true"];
      const { code, stderr } = await theRig().helper(["run", "--image", "host", "--scratch", "/s", ...words]);
      assert.equal(code, 125);
      assert.match(stderr, /--allow-host is for --network full$/m);
    }
  });

  test("leaves no list to the next when its helper is killed, and no process of it meets the next", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const bind = ["--allow-host", PUBLIC];
    const killed = await rig.sandbox.start([...rig.only(1, []), ...bind], ["sh", "-c", "echo up; exec sleep 1000"]);
    await killed.printed("up");
    assert.notEqual(await rig.host.sh("nft list ruleset"), rules, "the list was in the rules");
    process.kill(killed.pid, "SIGKILL");
    await killed.outcome;
    await until("the slot to be free", async () => (await rig.run(1, "true")).code === 0);
    assert.deepEqual(await rig.ask(rig.slot(1), [[OTHER, 80]]), [WORLD]);
    await assertNothingLeft();
    const gc = ["gc", "--state", rig.sandbox.dir];
    await rig.helper(rig.sandbox.cgroup === null ? gc : [...gc, "--cgroup", rig.sandbox.cgroup]);
  });
});

describe("a slot that was left by a helper that was killed", () => {
  let made: NetworkRig | undefined;
  before(async () => {
    made = await NetworkRig.start();
    await made?.up(2);
  });
  after(async () => {
    await made?.down();
    await made?.[Symbol.asyncDispose]();
  });
  const theRig = (): NetworkRig => {
    assert.ok(made !== undefined);
    return made;
  };
  const markInUse = async (slot: number): Promise<string> =>
    theRig().host.sh(`nsenter --net=${theRig().state}/${slot} sh -c 'echo 1 > /proc/sys/net/ipv4/conf/lo/tag'`);

  test("takes no run before all processes in it are dead", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    await markInUse(0);
    const [program = "", ...words] = rig.host.enter;
    const inside = spawn(program, [...words, "nsenter", `--net=${rig.state}/0`, "sh", "-c", "echo in; exec cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const dead = once(inside, "close");
    await once(inside.stdout, "data");
    try {
      const refused = await rig.run(0, "echo ran");
      assert.deepEqual([refused.code, refused.stdout], [125, ""]);
      assert.match(refused.stderr, /processes of an earlier run are left in the slot$/m);
      const waiting = rig.run(0, "echo ran");
      inside.stdin.end();
      await dead;
      assert.equal((await waiting).stdout, "ran\n");
    } finally {
      inside.kill("SIGKILL");
    }
  });

  test("takes no run when its rules are gone, nor does any other", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    await markInUse(0);
    const table = await rig.host.sh("nft list tables inet | cut -d' ' -f3");
    await rig.host.sh("nft flush ruleset");
    for (const options of [rig.slot(0), rig.slot(1), rig.only(1, [PUBLIC])]) {
      const { code, stdout, stderr, exit } = await rig.bash(options, "echo ran");
      assert.deepEqual([code, stdout, exit?.reason], [125, "", "setup"]);
      assert.match(
        stderr,
        /the rules of the pool are gone, perhaps with all rules of the host: take it down and up again$/m,
      );
    }
    await rig.down();
    await rig.up(2);
    assert.equal(await rig.host.sh("nft list tables inet | cut -d' ' -f3"), table);
    assert.equal((await rig.run(0, "echo ran")).stdout, "ran\n");
  });
});

describe("a client of serve", () => {
  let made: NetworkRig | undefined;
  before(async () => {
    made = await NetworkRig.start();
  });
  after(() => made?.[Symbol.asyncDispose]());

  test("may list hosts, and is told what is closed", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    assert.ok(made !== undefined);
    const [scratches, socket] = [join(made.sandbox.dir, "scratches"), join(made.sandbox.dir, "socket")];
    await mkdir(scratches, { mode: 0o700 });
    const options = [
      "--state",
      scratches,
      "--net",
      made.state,
      "--dns",
      RESOLVER,
      "--slots",
      "1",
      "--client-uid",
      "1000",
    ];
    const words = [HELPER, "serve", "--socket", socket, ...options, "--forward"];
    const serve = spawn("nsenter", [...made.host.enter.slice(1), ...words], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(serve, "close");
    const reaches = async (hosts: readonly string[], address: string): Promise<unknown> => {
      const list = hosts.flatMap((host) => ["--allow-host", host]);
      const line = `exec 3<>/dev/tcp/${address}/80`;
      const run = ["run", "--image", "host", "--scratch", "one", "--slot", "0", "--network", "full", ...list];
      const said = await askServe(socket, [...run, "--", "bash", "-c", line]);
      const exit = said.split("\n").find((text) => text.includes('"event":"exit"')) ?? "{}";
      const { code, step }: { code?: number; step?: string } = JSON.parse(exit);
      return step ?? code;
    };
    try {
      await once(serve.stdout, "data");
      assert.equal(await reaches([`a.example=${PUBLIC}:80`], "a.example"), 0);
      assert.equal(await reaches([`a.example=${PUBLIC}:80`], OTHER), 1);
      assert.equal(await reaches([], OTHER), 0);
      assert.equal(await reaches([METADATA], METADATA), "allow-host");
    } finally {
      serve.kill("SIGTERM");
    }
    assert.deepEqual(await ended, [0, null]);
    assert.equal(await made.host.sh("nft list ruleset"), "");
  });
});

/** All that is said to one request. */
async function askServe(path: string, words: readonly string[]): Promise<string> {
  const socket = connect(path);
  let said = "";
  socket.on("data", (chunk: Buffer) => (said += chunk.toString()));
  socket.write(requestOf(words));
  await once(socket, "end");
  socket.destroy();
  return said;
}
