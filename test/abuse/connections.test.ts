import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";
import { HOST, listen, NETWORK_NEEDS, NetworkRig, PUBLIC, RESOLVER, slotAddress } from "./network-rig.ts";

const T = { timeout: 60_000 };
/** What a slot may have open, and begin in a minute. */
const MOST = 20;

/** The host has one table of connections for everybody; a build that fills it cuts the others off. */
describe("the connections of a slot", () => {
  let made: NetworkRig | undefined;
  before(async () => {
    made = await NetworkRig.start();
    await made?.up(2, ["--connections", String(MOST)]);
  });
  after(async () => {
    await made?.down();
    await made?.[Symbol.asyncDispose]();
  });
  const theRig = (): NetworkRig => {
    assert.ok(made !== undefined);
    return made;
  };
  const entriesOf = async (slot: number): Promise<number> =>
    (await theRig().connections()).split("\n").filter((line) => line.includes(`src=${slotAddress(slot)} `)).length;
  /** `hold`: opens one more and keeps it, if it may. */
  const HOLD = `hold() { if exec {fd}<>/dev/tcp/${PUBLIC}/80; then held+=($fd); fi 2>/dev/null; }; held=()`;

  test("are no more than it may have, whoever else has how many", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const line = `${HOLD}
      for i in {1..60}; do hold; done 2>/dev/null; echo \${#held[@]} held; read -t 1000 <> <(:)`;
    const greedy = await rig.sandbox.start(rig.slot(0), ["bash", "-c", line]);
    await greedy.printed("held");
    assert.equal(await entriesOf(0), MOST);
    const neighbour = await rig.run(1, `for i in {1..10}; do ask ${PUBLIC} 80; done`);
    assert.equal(neighbour.stdout, `world ${HOST}\n`.repeat(10));
    greedy.kill("SIGTERM");
    assert.equal((await greedy.outcome).stdout, `${MOST} held\n`);
  });

  test(
    "are refused while so many are open, however slowly they are asked for, and let out again when some are closed",
    T,
    async (t) => {
      if (!needs(t, NETWORK_NEEDS)) return;
      // A token comes every three seconds: two have come when the time is up, and only what is open is in the way.
      const line = `${HOLD}
      for i in {1..${MOST}}; do hold; done 2>/dev/null; echo \${#held[@]}
      until=$((SECONDS + 7)); while ((SECONDS < until)); do hold 2>/dev/null; done; echo \${#held[@]}
      for fd in \${held[@]:0:5}; do exec {fd}>&-; done
      until hold 2>/dev/null; ((\${#held[@]} > ${MOST})); do :; done; echo \${#held[@]}`;
      assert.equal((await theRig().run(0, line)).stdout, `${MOST}\n${MOST}\n${MOST + 1}\n`);
    },
  );

  test("are no more when each is closed at once: the host remembers them for a while", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const line = `for i in {1..60}; do timeout 4 bash -c 'exec 3<>/dev/tcp/${PUBLIC}/80 && cat <&3' 2>/dev/null; done | wc -l`;
    const reached = async (): Promise<number> => Number((await rig.run(0, line)).stdout);
    const first = await reached();
    // One more may begin every three seconds that it took.
    assert.ok(first >= MOST && first < 40, `${first} connections`);
    assert.ok((await reached()) >= MOST, "the next build in the slot begins anew");
  });

  test("of a resolver are counted as well", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    await using world = await listen(rig.world, 53);
    await rig.run(0, `for i in {1..60}; do echo $i > /dev/udp/${RESOLVER}/53; done; sync`);
    await until("what was let out", () => world.heard().length >= MOST);
    assert.ok(world.heard().length < 40, `${world.heard().length} datagrams`);
  });

  test("are counted, not what goes over them: a datagram that nobody answers is no new connection", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    await using world = await listen(rig.world, 9);
    await rig.run(0, `exec 3> /dev/udp/${PUBLIC}/9; for i in {1..200}; do echo $i >&3; done`);
    await until("all of them", () => world.heard().length === 200);
  });

  test("are by default so few that all slots together leave half of the host's table", T, async (t) => {
    if (!needs(t, NETWORK_NEEDS)) return;
    const rig = theRig();
    const table = Number(await readFile("/proc/sys/net/netfilter/nf_conntrack_max", "utf8"));
    await rig.down();
    for (const slots of [1, 2, 100, 256]) {
      const words = ["net", "up", "--state", rig.state, "--slots", String(slots), "--dns", RESOLVER, "--forward"];
      const said: { connections: number } = JSON.parse((await rig.helper(words)).stdout);
      assert.equal(said.connections, Math.max(64, Math.min(4096, Math.floor(table / 8 / slots))));
      await rig.down();
    }
    for (const wrong of ["0", "1000001", "many"]) {
      const words = ["net", "up", "--state", rig.state, "--slots", "1", "--dns", RESOLVER, "--connections", wrong];
      assert.match((await rig.helper(words)).stderr, /--connections wants a number from 1 to 1000000, not/);
    }
    await rig.up(2);
  });
});
