import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { needs } from "../support/skips.ts";
import { BRIDGE, HOST, METADATA, NETWORK_NEEDS, NetworkRig, OPENED, PRIVATE, PUBLIC } from "./network-rig.ts";

const T = { timeout: 120_000 };

const numbersOf = (address: string): readonly number[] => address.split(".").map(Number);
const wholeOf = (address: string): number => numbersOf(address).reduce((sum, part) => sum * 256 + part, 0);
const inHex = (address: string): string =>
  [wholeOf(address) >>> 16, wholeOf(address) & 0xffff].map((half) => half.toString(16)).join(":");

/** How programs let people write an IPv4 address. */
function spellings(address: string): readonly string[] {
  const [a = 0, b = 0, c = 0, d = 0] = numbersOf(address);
  const whole = wholeOf(address);
  const each = (spell: (part: number) => string): string => [a, b, c, d].map(spell).join(".");
  return [
    address,
    String(whole),
    `0${whole.toString(8)}`,
    `0x${whole.toString(16)}`,
    each((part) => `0${part.toString(8)}`),
    each((part) => `0x${part.toString(16)}`),
    each((part) => `0000${part.toString(8)}`),
    `${a}.${b * 65_536 + c * 256 + d}`,
    `${a}.${b}.${c * 256 + d}`,
    `0x${a.toString(16)}.0${b.toString(8)}.${c}.${d}`,
  ];
}

/** How IPv6 says an IPv4 address that the kernel then takes for one. */
const mapped = (address: string): readonly string[] => [
  `::ffff:${address}`,
  `::FFFF:${inHex(address)}`,
  `0:0:0:0:0:ffff:${inHex(address)}`,
  `0000:0000:0000:0000:0000:ffff:${address}`,
];

/** Every way in which IPv6 carries an IPv4 address to somebody who then goes there. */
const carried = (address: string): readonly string[] => [
  `::${address}`,
  `64:ff9b::${address}`,
  `64:ff9b::${inHex(address)}`,
  `64:ff9b:1::${address}`,
  `::ffff:0:${address}`,
  `2002:${inHex(address)}::1`,
  `2001:0:${inHex(address)}::1`,
  `fe80::5efe:${address}%eth0`,
];

describe("in a slot an address in any spelling", () => {
  let made: NetworkRig | undefined;
  before(async () => {
    made = await NetworkRig.start();
    await made?.up(2, ["--open", `${OPENED}/32`]);
  });
  after(async () => {
    await made?.down();
    await made?.[Symbol.asyncDispose]();
  });
  const theRig = (): NetworkRig => {
    assert.ok(made !== undefined);
    return made;
  };
  /** What each of them answers, if not what it should. */
  const unless = async (
    expected: string,
    port: number,
    addresses: readonly string[],
    options = theRig().slot(0),
  ): Promise<readonly string[]> => {
    const answers = await theRig().ask(
      options,
      addresses.map((address) => [address, port]),
    );
    assert.equal(answers.length, addresses.length);
    return addresses.flatMap((address, i) => (answers[i] === expected ? [] : [`${address}: ${answers[i]}`]));
  };

  const CLOSED: readonly (readonly [string, string, number])[] = [
    ["the instance metadata", METADATA, 80],
    ["the metadata of containers", "169.254.170.2", 80],
    ["the time service of the cloud", "169.254.169.123", 123],
    ["a private address", PRIVATE, 80],
    ["the bridge", BRIDGE, 8080],
    ["the host", HOST, 8080],
  ];
  for (const [what, address, port] of CLOSED) {
    test(`is closed when it is ${what}`, T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      assert.deepEqual(await unless("closed", port, [...spellings(address), ...mapped(address)]), []);
      assert.deepEqual(await unless("no way", port, carried(address)), []);
      const all = theRig().only(1, ["0.0.0.0/0"]);
      assert.deepEqual(await unless("closed", port, [...spellings(address), ...mapped(address)], all), []);
    });
  }

  test(
    "is reached when it is public, so that the closed ones are told apart from mistakes in spelling",
    T,
    async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      assert.deepEqual(await unless(`world ${HOST}`, 80, [...spellings(PUBLIC), ...mapped(PUBLIC)]), []);
      assert.deepEqual(await unless("no way", 80, carried(PUBLIC)), []);
    },
  );

  test("of IPv6 leads nowhere", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const addresses = ["fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::1", "fe80::1%eth0", "fe80::a9fe:a9fe%eth0"];
    addresses.push("fd20:ce::254", "2001:db8::1", "ff02::1%eth0", "2600::");
    assert.deepEqual(await unless("no way", 80, addresses), []);
    assert.deepEqual(await unless("no way", 8080, addresses), []);
    const { stdout } = await rig.run(0, "cat /proc/net/if_inet6; cut -d' ' -f10 /proc/net/ipv6_route | sort -u");
    assert.match(stdout, /^0{31}1 01 80 10 80 +lo\n/);
    assert.doesNotMatch(stdout, /eth0/);
  });

  test("of IPv6 leads nowhere even if the slot were given one: no frame of it passes", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    // As root of the host, who may.
    const line = [
      "echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6",
      "ip -6 addr add fd00:ec2::77/64 dev eth0 nodad",
      "timeout 2 bash -c 'cat </dev/tcp/fd00:ec2::254/80' 2>/dev/null || echo silent",
      "timeout 2 bash -c 'cat </dev/tcp/fd00:ec2::1/8080' 2>/dev/null || echo silent",
      "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6",
    ].join("; ");
    const answer = await rig.host.sh(`nsenter --net=${rig.state}/1 bash -c ${JSON.stringify(line)}`);
    assert.equal(answer, "silent\nsilent");
  });
});

describe("the loopback", () => {
  let made: NetworkRig | undefined;
  before(async () => {
    made = await NetworkRig.start();
    await made?.up(1);
  });
  after(async () => {
    await made?.down();
    await made?.[Symbol.asyncDispose]();
  });

  for (const mode of ["none", "full", "full with an allow list", "host"] as const) {
    test(`works with the network ${mode}`, T, async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      assert.ok(made !== undefined);
      const options = {
        none: ["--network", "none"],
        full: [],
        "full with an allow list": ["--allow-host", PUBLIC],
        host: ["--network", "host"],
      }[mode];
      const rig = made;
      for (const user of ["0:0", "1000:1000"]) {
        const network = mode === "full" ? rig.slot(0) : mode.startsWith("full") ? rig.only(0, []) : [];
        const words = [...network, ...options, "--user", user];
        const running = await rig.attemptsIn(words, ["loopback_four", "loopback_six"]);
        const { stdout, stderr } = await running.outcome;
        assert.deepEqual([stdout, stderr], ["loopback_four done\nloopback_six done\n", ""]);
      }
    });
  }
});
