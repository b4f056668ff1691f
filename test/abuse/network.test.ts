import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { needs } from "../support/skips.ts";
import {
  BRIDGE,
  HOST,
  METADATA,
  NETWORK_NEEDS,
  NetworkRig,
  OPENED,
  PRIVATE,
  PUBLIC,
  RESOLVER,
  slotAddress,
} from "./network-rig.ts";

/** What each attempt of `attempts.c` must be answered. */
const REFUSED: Readonly<Record<string, string>> = {
  socket_raw: "EPERM",
  socket_raw_six: "EPERM",
  socket_packet: "EAFNOSUPPORT",
  link_down: "EPERM",
  link_mtu: "EPERM",
  link_name: "EPERM",
  link_station: "EPERM",
  link_promiscuous: "EPERM",
  address_set: "EPERM",
  route_add: "EPERM",
  neighbour_add: "EPERM",
  netlink_link: "EPERM",
  netlink_address: "EPERM",
  netlink_route: "EPERM",
  netlink_neighbour: "EPERM",
  netlink_rule: "EPERM",
  netlink_queue: "EPERM",
  spoof_slot: "EINVAL ENETUNREACH",
  spoof_bridge: "EINVAL ENETUNREACH",
  spoof_world: "EINVAL ENETUNREACH",
  transparent: "EPERM",
  socket_mark: "EPERM",
  knob_network: "EACCES EROFS",
  knob_forward: "EACCES EROFS",
  unshare_net: "EPERM",
  enter_namespace: "EPERM",
  socket_netfilter: "EPROTONOSUPPORT",
};
const T = { timeout: 60_000 };

describe("from inside a slot", () => {
  let made: NetworkRig | undefined;
  before(async () => {
    made = await NetworkRig.start();
    await made?.up(4, ["--open", `${OPENED}/32`]);
  });
  after(async () => {
    await made?.down();
    await made?.[Symbol.asyncDispose]();
  });
  const theRig = (): NetworkRig => {
    assert.ok(made !== undefined);
    return made;
  };

  test("no service of the host is reached, at any of its addresses", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const answers = await theRig().ask(0, [
      [BRIDGE, 8080],
      [HOST, 8080],
      ["fd00:ec2::1", 8080],
    ]);
    assert.deepEqual(answers, ["closed", "closed", "no way"]);
    // The loopback is the slot's own: nobody listens there, and the host does on every address.
    const own = await theRig().ask(0, [
      ["127.0.0.1", 8080],
      ["::1", 8080],
      ["0.0.0.0", 8080],
      ["127.1.2.3", 8080],
    ]);
    assert.deepEqual(own, ["closed", "closed", "closed", "closed"]);
  });

  test("no other slot is reached, not even while it listens", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    await using listener = await rig.attempts(1, ["listen_inet"]);
    await listener.printed("up");
    assert.deepEqual(
      await rig.ask(0, [
        [slotAddress(1), 80],
        [slotAddress(2), 80],
      ]),
      ["closed", "closed"],
    );
    listener.kill("SIGTERM");
    assert.doesNotMatch((await listener.outcome).stdout, /reached/);
  });

  test("private ranges are closed unless opened, resolvers answer on port 53 alone", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const answers = await theRig().ask(0, [
      [PRIVATE, 80],
      ["100.64.0.1", 80],
      ["10.0.0.2", 80],
      ["172.20.5.6", 80],
      ["224.0.0.251", 80],
      ["255.255.255.255", 80],
      [OPENED, 80],
      [RESOLVER, 53],
      [RESOLVER, 80],
      [PRIVATE, 53],
    ]);
    assert.deepEqual(answers.slice(0, 4), ["closed", "closed", "closed", "closed"]);
    assert.deepEqual(answers.slice(6), [`world ${HOST}`, `world ${HOST}`, "closed", "closed"]);
    for (const answer of answers.slice(4, 6)) assert.doesNotMatch(answer, /world|host/);
  });

  test("what is public is reached, under the host's address", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    assert.deepEqual(
      await theRig().ask(2, [
        [PUBLIC, 80],
        [`::ffff:${PUBLIC}`, 80],
      ]),
      [`world ${HOST}`, `world ${HOST}`],
    );
  });

  test("link, addresses, routes, neighbours, raw packets and other people's addresses are refused", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    for (const user of ["0:0", "1000:1000"]) {
      const running = await rig.attempts(0, Object.keys(REFUSED), ["--user", user]);
      const { stdout } = await running.outcome;
      const answers = new Map(
        stdout.split("\n").map((line): [string, string] => {
          const [name = "", answer = ""] = line.split(" ");
          return [name, answer];
        }),
      );
      const wrong = Object.entries(REFUSED).filter(
        ([name, allowed]) => !allowed.split(" ").includes(answers.get(name) ?? "-"),
      );
      assert.deepEqual(
        wrong.map(([name]) => `${name}: ${answers.get(name) ?? "not heard of"}`),
        [],
        user,
      );
    }
  });

  test("a slot has no frame for anybody but the bridge: a foreign address from its end is dropped", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    // As root of the host, who may: what gets in by a slot's link is held to the slot's address.
    const line = [
      "ip addr add 10.213.0.77/32 dev eth0",
      `ip route replace default via ${BRIDGE} dev eth0 onlink src 10.213.0.77`,
      `timeout 1 bash -c 'cat </dev/tcp/${PUBLIC}/80' 2>/dev/null || echo silent`,
      `ip route replace default via ${BRIDGE} dev eth0 onlink`,
      "ip addr del 10.213.0.77/32 dev eth0",
    ].join("; ");
    const answer = await rig.host.sh(`nsenter --net=${rig.state}/3 bash -c ${JSON.stringify(line)}`);
    assert.equal(answer, "silent");
    assert.deepEqual(await rig.ask(3, [[PUBLIC, 80]]), [`world ${HOST}`]);
  });

  test("nobody outside reaches a slot, even if the host routes for him", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    await using listener = await rig.attempts(1, ["listen_inet"]);
    await listener.printed("up");
    const attempt = `ip route add 10.213.0.0/24 via ${HOST}; timeout 2 bash -c 'exec 3<>/dev/tcp/${slotAddress(1)}/80' 2>/dev/null && echo reached || echo not; ip route del 10.213.0.0/24`;
    assert.equal(await rig.world.sh(attempt), "not");
    listener.kill("SIGTERM");
    assert.doesNotMatch((await listener.outcome).stdout, /reached/);
  });

  test("abstract sockets of the host and of other slots are not there", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    await using listener = await rig.attempts(1, ["listen_abstract"]);
    await listener.printed("up");
    const { stdout } = await rig.run(0, "tail -n +2 /proc/net/unix; echo end");
    assert.equal(stdout, "end\n");
  });

  test("a metadata service that is opened by name answers, and its range stays closed", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    await rig.down();
    try {
      // Wide networks open private ranges, never metadata, the host or other slots.
      await rig.up(4, ["--open", "0.0.0.0/0", "--open", "10.213.0.0/16"]);
      const places = [
        [METADATA, 80],
        [PRIVATE, 80],
        [BRIDGE, 8080],
        [HOST, 8080],
        [slotAddress(1), 80],
      ] as const;
      assert.deepEqual(await rig.ask(0, places), ["closed", `world ${HOST}`, "closed", "closed", "closed"]);
      await rig.down();
      await rig.up(4, ["--open", METADATA, "--open", BRIDGE]);
      const opened = [
        [METADATA, 80],
        ["169.254.1.1", 80],
        [BRIDGE, 8080],
        [HOST, 8080],
        [PRIVATE, 80],
      ] as const;
      assert.deepEqual(await rig.ask(0, opened), [
        `world ${HOST}`,
        "closed",
        `host ${slotAddress(0)}`,
        "closed",
        "closed",
      ]);
    } finally {
      await rig.down();
      await rig.up(4, ["--open", `${OPENED}/32`]);
    }
  });
});
