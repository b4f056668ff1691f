import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { lookupAt, placesOf } from "../../../executor/hosts.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { HOST, METADATA, NETWORK_NEEDS, NetworkRig, OPENED, OTHER, PUBLIC } from "../../abuse/network-rig.ts";
import { type DnsServer, serveDns } from "../../support/dns.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../support/leaks.ts";
import { needs } from "../../support/skips.ts";
import { Rig, SANDBOX } from "./rig.ts";

const NEEDS = { ...NETWORK_NEEDS, program: [...NETWORK_NEEDS.program, "git"] } as const;
const T = { timeout: 60_000 };

const NAMES = {
  "registry.example": [PUBLIC, OTHER],
  "opened.example": [OPENED],
  "inner.example": [METADATA],
  "six.example": [],
  "silent.example": null,
} as const;

describe("the hosts of a stage", () => {
  const never = new AbortController().signal;
  const refusal = async (hosts: readonly string[], network: "full" | "host", signal = never): Promise<unknown> => {
    const error: unknown = await placesOf(hosts, network, lookupAt([`127.0.0.1:${port}`]), signal).then(
      () => assert.fail("nothing was refused"),
      (reason: unknown) => reason,
    );
    return error instanceof ToroidError ? [error.code, error.message] : error;
  };
  let server: DnsServer | undefined;
  const port = 20_000 + (process.pid % 20_000);
  before(async () => {
    server = await serveDns("127.0.0.1", port, NAMES);
  });
  after(() => server?.[Symbol.asyncDispose]());

  test("are looked up once each, with all of their addresses", async () => {
    const hosts = ["registry.example:443", "registry.example:80", "opened.example", "203.0.113.0/24:53", "8.8.8.8"];
    assert.deepEqual(await placesOf(hosts, "full", lookupAt([`127.0.0.1:${port}`]), never), [
      `registry.example=${PUBLIC}:443,${OTHER}:443`,
      `registry.example=${PUBLIC}:80,${OTHER}:80`,
      `opened.example=${OPENED}`,
      "203.0.113.0/24:53",
      "8.8.8.8",
    ]);
    assert.deepEqual([...(server?.asked ?? [])].sort(), ["opened.example", "registry.example"]);
  });

  test("that are unknown, or have nothing but IPv6, are named", async () => {
    for (const name of ["nobody.example", "six.example"]) {
      assert.deepEqual(await refusal(["registry.example", `${name}:80`], "full"), [
        "TOR_HOST_UNKNOWN",
        `\`network\` lists ${name}, and no IPv4 address is known for it`,
      ]);
    }
  });

  test("that nobody answers for may be tried again", T, async () => {
    const [code, message] = (await refusal(["silent.example"], "full")) as readonly string[];
    assert.equal(code, "TOR_DNS_UNREACHABLE");
    assert.match(
      message ?? "",
      /^`network` lists silent\.example, and the executor's resolver does not answer for it: /,
    );
  });

  test("are not waited for when the stage is to end", T, async () => {
    const cancel = new AbortController();
    const refused = refusal(["silent.example"], "full", cancel.signal);
    cancel.abort(new Error("enough"));
    assert.deepEqual(String(await refused), "Error: enough");
  });

  test("need a network that a build can be held to them in", async () => {
    assert.deepEqual(await refusal(["8.8.8.8"], "host"), [
      "TOR_NETWORK_MISSING",
      "`network` lists hosts, and nothing here can hold a build to them: it would share the host's network",
    ]);
    assert.deepEqual(await placesOf([], "host", lookupAt([]), never), []);
  });
});

/** The executor runs here; its helper runs on the host that the network rig makes. */
describe("a stage that lists hosts", () => {
  let leaks: Snapshot;
  let host: NetworkRig | undefined;
  let made: Rig | undefined;
  let dns: DnsServer | undefined;
  let helper = "";
  const resolver = `127.${1 + (process.pid % 250)}.9.53`;
  before(async () => {
    leaks = await snapshot();
    host = await NetworkRig.start();
    if (host === undefined) return;
    made = await Rig.start();
    dns = await serveDns(resolver, 53, NAMES);
    helper = join(made.dir.path, "helper");
    await writeFile(helper, `#!/bin/sh\nexec /usr/bin/${host.host.enter.join(" ")} ${SANDBOX} "$@"\n`, { mode: 0o755 });
  });
  after(async () => {
    await dns?.[Symbol.asyncDispose]();
    await made?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
    await assertNoLeaks(leaks);
  });
  const theRig = (): Rig => {
    assert.ok(made !== undefined);
    return made;
  };
  const executor = (name: string, more: Readonly<Record<string, string>> = {}) =>
    theRig().executor(name, {
      TOROID_SANDBOX: helper,
      TOROID_NETWORK: "pool",
      TOROID_NETWORK_DNS: resolver,
      TOROID_NETWORK_OPEN: `${OPENED}/32`,
      TOROID_NETWORK_FORWARD: "1",
      ...more,
    });
  const queue = async (hosts: readonly string[]) => {
    const places = ["registry.example/80", "opened.example/80", `${PUBLIC}/80`, `${PUBLIC}/53`, `${METADATA}/80`];
    const ask = places
      .map((place) => `timeout 4 bash -c 'cat </dev/tcp/${place}' 2>/dev/null || echo closed`)
      .join("\n");
    const phases = {
      install: ["grep -c registry.example /etc/hosts || true"],
      script: [ask],
      publish: [],
      after: [ask],
    };
    return theRig().queue(await theRig().stageWork({ network: "none", hosts: [...hosts], phases }));
  };

  test("reaches them in every phase, and nothing else", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using _executor = executor("one");
    const id = await queue(["registry.example:80"]);
    assert.equal((await theRig().result(id)).outcome, "passed");
    const asked = `world ${HOST}\nclosed\nworld ${HOST}\nclosed\nclosed\n`;
    assert.equal((await theRig().output(id)).toString(), `2\n${asked}${asked}`);
    const started = (await theRig().events(id)).find((event) => event.type === "started");
    assert.ok(started?.type === "started" && !started.weak.includes("network-host"), JSON.stringify(started));
    const next = await queue(["opened.example", PUBLIC]);
    assert.equal((await theRig().result(next)).outcome, "passed");
    const other = `closed\nworld ${HOST}\nworld ${HOST}\nworld ${HOST}\nclosed\n`;
    assert.equal((await theRig().output(next)).toString(), `0\n${other}${other}`);
  });

  test("errors, and is not tried again, when one is unknown or closed to builds", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using _executor = executor("two");
    const unknown = await theRig().error(await queue(["nobody.example"]));
    assert.deepEqual(
      [unknown.code, unknown.message],
      ["TOR_HOST_UNKNOWN", "`network` lists nobody.example, and no IPv4 address is known for it"],
    );
    for (const [listed, sentence] of [
      [
        "inner.example",
        /^`network` lists what no build reaches: inner\.example is at 169\.254\.169\.254, which is closed/,
      ],
      ["10.1.2.3", /^`network` lists what no build reaches: 10\.1\.2\.3 is closed to builds/],
      [HOST, /is closed to builds: it is an address of this host$/],
    ] as const) {
      const id = await queue([listed]);
      const { code, message } = await theRig().error(id);
      assert.equal(code, "TOR_HOST_CLOSED");
      assert.match(message, sentence);
      const ends = (await theRig().events(id)).filter((event) => event.type === "attemptErrored");
      assert.deepEqual(
        ends.map((event) => event.type === "attemptErrored" && [event.acted, event.retryable]),
        [[false, false]],
      );
    }
  });

  test("is refused by an executor whose builds share the host's network", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using _executor = executor("three", { TOROID_NETWORK: "host" });
    const { code, message } = await theRig().error(await queue(["registry.example"]));
    assert.equal(code, "TOR_NETWORK_MISSING");
    assert.match(message, /nothing here can hold a build to them/);
  });
});
