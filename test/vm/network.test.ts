import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { programsWithLibraries } from "../support/vm-programs.ts";
import { BOOT, type Done, Machine, SLOW, summary } from "./rig.ts";

/** What the pool stands on; a host that loads drivers by itself has them as modules. */
const DRIVERS = [
  ..."veth bridge inet_diag tcp_diag".split(" "),
  ..."nf_tables nf_conntrack nf_conntrack_netlink nft_ct nft_chain_nat nft_masq nft_limit nft_connlimit".split(" "),
  ..."nft_reject_inet nft_reject_ipv4".split(" "),
];

const HOST = "198.51.100.2";
const PUBLIC = "203.0.113.10";
const OTHER = "203.0.113.20";
const PRIVATE = "192.168.77.10";
const METADATA = "169.254.169.254";
const RESOLVER = "10.99.0.53";
const BRIDGE = "10.213.0.1";

/** The guest is the host; the world is a namespace behind its one link, with every address there is to reach or not to. */
const WORLD = `set -e
  ip() { /sbin/ip "$@"; } # and not busybox's
  ip netns add world
  ip link add uplink type veth peer name uplink netns world
  ip addr add ${HOST}/24 dev uplink
  ip link set uplink up
  ip -n world link set lo up
  for address in 198.51.100.1/24 ${PUBLIC}/32 ${OTHER}/32 ${PRIVATE}/32 ${RESOLVER}/32 ${METADATA}/16; do
    ip -n world addr add $address dev uplink
  done
  ip -6 -n world addr add fd00:ec2::254/64 dev uplink nodad
  ip -n world link set uplink up
  ip route add default via 198.51.100.1
  for port in 53 80; do ip netns exec world setsid nc -ll -p $port -e echo world < /dev/null > /dev/null 2>&1 & done
  setsid nc -ll -p 8080 -e echo host < /dev/null > /dev/null 2>&1 &
  until nc -w 1 ${PUBLIC} 80 < /dev/null | grep -q world; do sleep 0.05; done
  mkdir -m 700 /var/tmp/net
  cat /proc/mounts > /run/mounts
  nft list ruleset > /run/ruleset
  ip -o link | cut -d : -f 2 > /run/links`;

/** In every script: the options of a slot, and what is run in it to ask somebody. */
const SHELL = `NET=/var/tmp/net
  ip() { /sbin/ip "$@"; } # and not busybox's
  up() { toroid-sandbox net up --state $NET --dns ${RESOLVER} --forward "$@"; }
  down() { toroid-sandbox net down --state $NET; }
  slot() { echo --network full --netns $NET/$1; }
  full() { echo $(slot $1) --resolver $NET/resolv.conf; }
  ask() { for place; do echo "{ nc -w 3 \${place%/*} \${place#*/} < /dev/null 2>&1 || :; } | sed 's/^nc: .*refused$/closed/; s/^nc: .*No route.*/closed/; s/^nc: .*unreachable$/no way/; s/^nc: .*assign.*/no way/'"; done; }
  connections() { grep -c src=10.213. /proc/net/nf_conntrack || :; }
  `;

describe("on Linux 6.1 a slot of the pool", () => {
  let machine: Machine;
  before(async () => {
    machine = await Machine.boot(() => programsWithLibraries(["ip", "nft"]), DRIVERS);
    if (machine.release === "") return;
    const { code, stderr } = await machine.sh(WORLD);
    assert.equal(code, 0, stderr);
  }, BOOT);
  after(() => machine[Symbol.asyncDispose]());
  const inNetwork = (script: string): Promise<Done> => machine.sh(`${SHELL}\n${script}`, { withinMs: 90_000 });
  /** Nothing of the pool or of a run is left, in the rules, the links or the table of connections. */
  afterEach(async () => {
    if (machine.release === "") return;
    const done = await inNetwork(`[ ! -e $NET/0 ] || down > /dev/null
      nft list ruleset | cmp - /run/ruleset; ip -o link | cut -d : -f 2 | cmp - /run/links; ls $NET; connections`);
    assert.equal(done.stdout.trim(), "0", done.stderr);
    await machine.assertClean();
  });

  test("can be made there", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await inNetwork("toroid-sandbox net check --forward --json; up --slots 2; down");
    assert.match(done.stdout, /"lacks":\[("net: the host's resolver [^"]*")?\]/, done.stderr);
    assert.match(done.stdout, /"subnet":"10\.213\.0\.0\/29","slots":2,"connections":\d+\}\n\{"removed":5\}/);
  });

  test("reaches what is public, and not the metadata, private ranges, the host or another slot", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const closed = [
      `${METADATA}/80`,
      `${PRIVATE}/80`,
      `${RESOLVER}/80`,
      `${HOST}/8080`,
      `${BRIDGE}/8080`,
      "10.213.0.3/80",
    ];
    const six = ["fd00:ec2::254/80", `64:ff9b::${METADATA}/80`];
    const done = await inNetwork(`up --slots 2 > /dev/null
      start other $(full 1) -- attempts listen_inet; printed other up
      run one $(full 0) -- sh -c "$(ask ${PUBLIC}/80 ${RESOLVER}/53 ::ffff:${PUBLIC}/80 ${closed.join(" ")} ${six.join(" ")})"
      kill $(helper_of other); wait`);
    const said = done.run("one").stdout.trim().split("\n");
    assert.deepEqual(said, ["world", "world", "world", ...closed.map(() => "closed"), "no way", "no way"], done.stderr);
    assert.doesNotMatch(done.run("other").stdout, /reached/);
    assert.deepEqual(summary(done.run("one")), [0, 0, null, "exit"]);
  });

  test("is held to an allow list, by name, port and network, with no program started for it", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await inNetwork(`up --slots 2 > /dev/null
      mv /sbin/nft /sbin/ip /run
      places="a.example/80 ${PUBLIC}/53 ${OTHER}/80 ${RESOLVER}/53 ${METADATA}/80 ${PRIVATE}/80"
      run port $(slot 0) --allow-host a.example=${PUBLIC}:80 -- sh -c "$(ask $places)"
      run net $(slot 1) --allow-host a.example=${PUBLIC} --allow-host 203.0.113.16/28:80 -- sh -c "$(ask $places)"
      run closed $(slot 0) --allow-host ${METADATA} -- true
      run full $(full 0) -- sh -c "$(ask ${OTHER}/80)"
      mv /run/nft /run/ip /sbin`);
    const said = (name: string): string[] => done.run(name).stdout.trim().split("\n");
    const rest = ["closed", "closed", "closed"];
    assert.deepEqual(said("port"), ["world", "closed", "closed", ...rest], done.run("port").stderr);
    assert.deepEqual(said("net"), ["world", "world", "world", ...rest], done.run("net").stderr);
    assert.deepEqual(summary(done.run("closed")), [125, 125, null, "setup"]);
    assert.match(done.run("closed").stderr, /169\.254\.169\.254 is closed to builds/);
    assert.deepEqual(said("full"), ["world"]);
  });

  test("has nothing of one run left for the next: rules, connections, sockets, neighbours", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await inNetwork(`up --slots 1 > /dev/null
      nft list ruleset > before
      left() {
        nft list ruleset | cmp - before; connections
        nsenter --net=$NET/0 sh -c 'tail -n +2 -q /proc/net/tcp /proc/net/tcp6 /proc/net/udp | wc -l; /sbin/ip -o neigh show nud all | grep -vc " lladdr .* \\(REACHABLE\\|STALE\\|DELAY\\|PROBE\\)"'
      }
      run first $(slot 0) --allow-host ${PUBLIC} -- attempts leave_connections leave_neighbours
      left
      start killed $(slot 0) --allow-host ${PUBLIC} -- attempts leave_connections leave_neighbours listen_inet
      printed killed up; nft list ruleset | cmp -s - before || echo limited
      kill -9 $(helper_of killed); wait
      run next $(full 0) -- sh -c "$(ask ${OTHER}/80)"
      left
      toroid-sandbox gc --state $STATE --cgroup $DELEGATED > /dev/null`);
    assert.equal(done.run("first").stdout, "leave_connections done\nleave_neighbours done\n");
    assert.equal(done.run("next").stdout, "world\n", done.run("next").stderr);
    const clean = ["0", "0", "0"];
    assert.deepEqual(done.stdout.trim().split("\n"), [...clean, "limited", ...clean], done.stderr);
  });

  test("has so many connections and no more", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await inNetwork(`up --slots 2 --connections 5 > /dev/null
      run many $(full 0) -- sh -c "seq 30 | while read -r i; do $(ask ${PUBLIC}/80); done"
      run again $(full 0) -- sh -c "$(ask ${PUBLIC}/80)"`);
    const said = done.run("many").stdout.trim().split("\n");
    assert.deepEqual(
      said.slice(0, 5),
      Array.from({ length: 5 }, () => "world"),
    );
    assert.ok(said.includes("closed"), said.join());
    assert.equal(done.run("again").stdout, "world\n");
  });

  test("takes no run when its rules are gone", SLOW, async (t) => {
    if (!machine.ready(t)) return;
    const done = await inNetwork(
      `up --slots 1 > /dev/null; nft flush ruleset; run gone $(full 0) -- echo ran; down > /dev/null`,
    );
    assert.deepEqual(summary(done.run("gone")), [125, 125, null, "setup"]);
    assert.match(done.run("gone").stderr, /the rules of the pool are gone/);
  });

  test(
    "leads nowhere when something escapes from it unfiltered: a foreign address, a frame of IPv6",
    SLOW,
    async (t) => {
      if (!machine.ready(t)) return;
      const done = await inNetwork(`up --slots 1 > /dev/null
      inside() { nsenter --net=$NET/0 "$@"; }
      inside /sbin/ip addr add 10.213.0.77/32 dev eth0
      inside /sbin/ip route replace default via ${BRIDGE} dev eth0 onlink src 10.213.0.77
      inside timeout 3 nc -w 2 ${PUBLIC} 80 < /dev/null; echo $?
      inside sh -c 'echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6'
      inside /sbin/ip -6 addr add fd00:ec2::77/64 dev eth0 nodad
      inside timeout 3 nc -w 2 fd00:ec2::254 80 < /dev/null; echo $?`);
      assert.match(done.stdout, /^[1-9]\d*\n[1-9]\d*\n$/, done.stderr);
    },
  );
});
