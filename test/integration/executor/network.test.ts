import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  HOST,
  METADATA,
  NETWORK_NEEDS,
  NetworkRig,
  OPENED,
  PRIVATE,
  PUBLIC,
  RESOLVER,
} from "../../abuse/network-rig.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../support/leaks.ts";
import { needs } from "../../support/skips.ts";
import { weakHere } from "../../support/weak.ts";
import { Rig, SANDBOX } from "./rig.ts";

const NEEDS = { ...NETWORK_NEEDS, program: [...NETWORK_NEEDS.program, "git"] } as const;
const T = { timeout: 60_000 };

/** Prints what each place answers, or `closed`. */
const ASK = (places: readonly string[]): string =>
  places.map((place) => `timeout 4 bash -c 'cat </dev/tcp/${place}' 2>/dev/null || echo closed`).join("\n");

/** The executor runs here; its helper runs on the host that the network rig makes. */
describe("an executor's networks", () => {
  let leaks: Snapshot;
  let host: NetworkRig | undefined;
  let made: Rig | undefined;
  let helper = "";
  let clean = "";
  before(async () => {
    leaks = await snapshot();
    host = await NetworkRig.start();
    if (host === undefined) return;
    made = await Rig.start();
    helper = join(made.dir.path, "helper");
    await writeFile(helper, `#!/bin/sh\nexec /usr/bin/${host.host.enter.join(" ")} ${SANDBOX} "$@"\n`, {
      mode: 0o755,
    });
    clean = await host.traces();
  });
  after(async () => {
    await made?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
    await assertNoLeaks(leaks);
  });
  const both = (): { readonly rig: Rig; readonly network: NetworkRig } => {
    assert.ok(made !== undefined && host !== undefined);
    return { rig: made, network: host };
  };
  const variables = (more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
    TOROID_SANDBOX: helper,
    TOROID_NETWORK: "",
    TOROID_NETWORK_DNS: RESOLVER,
    TOROID_NETWORK_OPEN: `${OPENED}/32`,
    TOROID_NETWORK_FORWARD: "1",
    ...more,
  });
  const build = async (): Promise<{ readonly output: string; readonly weak: readonly string[] }> => {
    const { rig } = both();
    const places = [`${PUBLIC}/80`, `${OPENED}/80`, `${PRIVATE}/80`, `${METADATA}/80`];
    const script = [`grep nameserver /etc/resolv.conf\n${ASK(places)}`];
    const phases = { install: [], script, publish: [], after: [] };
    const id = await rig.queue(await rig.stageWork({ network: "full", phases }));
    assert.equal((await rig.result(id)).outcome, "passed");
    const started = (await rig.events(id)).find((event) => event.type === "started");
    return { output: (await rig.output(id)).toString(), weak: started?.type === "started" ? started.weak : [] };
  };
  const FULL = `nameserver ${RESOLVER}\nworld ${HOST}\nworld ${HOST}\nclosed\nclosed\n`;

  test(
    "a build has a slot's network, is not called weak in it, and nothing stays when the executor ends",
    T,
    async (t) => {
      if (!needs(t, NEEDS)) return;
      const { rig, network } = both();
      {
        await using _executor = rig.executor("one", variables());
        const { output, weak } = await build();
        assert.equal(output, FULL);
        assert.ok(!weak.includes("network-host"), weak.join());
      }
      assert.equal(await network.traces(), clean);
    },
  );

  test("what a killed executor left is removed, and two executors have a pool each", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const { rig, network } = both();
    const left = join(rig.dir.path, "two", "networks");
    await mkdir(left, { recursive: true, mode: 0o700 });
    await network.up(3, [], left);
    {
      await using _two = rig.executor("two", variables({ TOROID_NETWORK: "pool" }));
      assert.equal((await build()).output, FULL);
      await using _three = rig.executor("three", variables({ TOROID_NETWORK: "pool" }));
      for (let i = 0; i < 4; i += 1) assert.equal((await build()).output, FULL);
    }
    assert.equal(await network.traces(), clean);
  });

  test(
    "a host that forwards nothing runs no builds, unless it is allowed to give them its own network, and says so",
    T,
    async (t) => {
      if (!needs(t, NEEDS)) return;
      const { rig, network } = both();
      await network.host.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
      const off = { TOROID_NETWORK_FORWARD: "0" };
      {
        const allowed = { TOROID_ALLOW_WEAK: [...weakHere(), "network-host"].join(",") };
        await using _executor = rig.executor("four", variables({ ...off, ...allowed }));
        const { output, weak } = await build();
        assert.match(output, /\nworld .*\nworld .*\nworld .*\nworld /);
        assert.ok(weak.includes("network-host"), weak.join());
      }
      for (const [name, mode, ways] of [
        ["five", "", /TOROID_NETWORK=host .*TOROID_ALLOW_WEAK=network-host /],
        ["six", "pool", /TOROID_NETWORK is `pool`/],
      ] as const) {
        const refused = rig.executor(name, variables({ ...off, TOROID_NETWORK: mode })).ended;
        await assert.rejects(refused, {
          code: "TOR_SANDBOX_SETUP",
          message: /does not forward packets: set net\.ipv4\.ip_forward=1/,
        });
        await assert.rejects(refused, ways);
      }
      assert.equal(await network.traces(), clean);
    },
  );
});
