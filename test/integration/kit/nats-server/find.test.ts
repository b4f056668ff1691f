import assert from "node:assert/strict";
import { chmod, copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { fetchApt } from "../../../../kit/nats-server/fetch-apt.ts";
import { fetchGo } from "../../../../kit/nats-server/fetch-go.ts";
import { checksumIn, fetchRelease } from "../../../../kit/nats-server/fetch-release.ts";
import { findNatsServer, type Way } from "../../../../kit/nats-server/find.ts";
import { atLeast, PINNED_VERSION, versionOf } from "../../../../kit/nats-server/version.ts";
import { sentenceOf, ToroidError } from "../../../../protocol/errors.ts";
import { script } from "../../../support/child.ts";
import { assertNoLeaks, snapshot } from "../../../support/leaks.ts";
import { needs } from "../../../support/skips.ts";
import { tempDir } from "../../../support/temp.ts";

const before = await snapshot();
after(() => assertNoLeaks(before));

const ROOT = join(import.meta.dirname, "..", "..", "..", "..");
const { path: real } = await findNatsServer(join(ROOT, ".toroid", "cache"), console.error);
const silent = (): void => undefined;

/** A way that has the server at hand; counts how often it is taken. */
function copying(): Way & { times: number } {
  return {
    name: "copying",
    times: 0,
    async fetch(into) {
      this.times++;
      await copyFile(real, join(into, "server"));
      return join(into, "server");
    },
  };
}

test("what TOROID_NATS_SERVER names is taken, and refused with a sentence when it is too old", async (t) => {
  await using dir = await tempDir();
  hidePath(t);
  setVariable(t, "TOROID_NATS_SERVER", await fakeServer(dir.path, "2.13.0"));
  assert.equal((await findNatsServer(dir.path, silent, [])).version, "2.13.0");
  await fakeServer(dir.path, "2.10.29");
  await assert.rejects(findNatsServer(dir.path, silent, [copying()]), {
    code: "TOR_TOOL_MISSING",
    message: /which is nats-server 2\.10\.29; Toroid needs nats-server 2\.12\.3 or newer$/,
  });
});

test("one on PATH is taken when it is new enough, and passed over when it is not", async (t) => {
  await using dir = await tempDir();
  const folder = hidePath(t, dir.path);
  await mkdir(folder, { recursive: true });
  await fakeServer(folder, "2.12.3");
  assert.equal((await findNatsServer(join(dir.path, "cache"), silent, [])).version, "2.12.3");
  await fakeServer(folder, "2.12.2");
  const way = copying();
  assert.equal((await findNatsServer(join(dir.path, "cache"), silent, [way])).path.startsWith(folder), false);
});

test("it is fetched once, by the first way that works, and then found in the cache", async (t) => {
  await using dir = await tempDir();
  hidePath(t);
  const said: string[] = [];
  const broken: Way = { name: "the broken way", fetch: () => Promise.reject(new Error("no road")) };
  const way = copying();
  const found = await findNatsServer(dir.path, (line) => said.push(line), [broken, way]);
  assert.equal(await versionOf(found.path), found.version);
  assert.deepEqual(await findNatsServer(dir.path, silent, [broken, way]), found);
  assert.equal(way.times, 1);
  assert.equal(said[1], "no nats-server by the broken way: no road");
  assert.deepEqual(await readdir(dir.path), [`nats-server-${found.version}`]);
});

test("of many at once, one fetches", async (t) => {
  await using dir = await tempDir();
  hidePath(t);
  const way = copying();
  const found = await Promise.all(Array.from({ length: 4 }, () => findNatsServer(dir.path, silent, [way])));
  assert.equal(new Set(found.map(({ path }) => path)).size, 1);
  assert.equal(way.times, 1);
});

test("a fetch that was killed leaves no lock, and its remains go with the next", async (t) => {
  await using dir = await tempDir();
  hidePath(t);
  await using killed = script(join(ROOT, "test", "support", "hang-fetch.ts"), [dir.path]);
  assert.equal(await killed.line(), "fetching");
  assert.equal((await readdir(dir.path)).length, 1);
  killed.kill("SIGKILL");
  await killed.exited;
  const { version } = await findNatsServer(dir.path, silent, [copying()]);
  assert.deepEqual(await readdir(dir.path), [`nats-server-${version}`]);
});

test("when nothing works, one sentence names each way and why", async (t) => {
  await using dir = await tempDir();
  hidePath(t);
  const ways: Way[] = [
    { name: "one", fetch: () => Promise.reject(new Error("closed")) },
    { name: "two", fetch: (into) => Promise.resolve(join(into, "nothing")) },
  ];
  await assert.rejects(findNatsServer(dir.path, silent, ways), (error) => {
    assert.ok(error instanceof ToroidError);
    assert.equal(
      error.message,
      "no nats-server 2.12.3 or newer is here and none could be fetched (one: closed; two: what was fetched does not " +
        "run here): install one and put it on PATH, or name it in TOROID_NATS_SERVER",
    );
    return true;
  });
  assert.deepEqual(await readdir(dir.path), []);
});

test("the official release is fetched and verified, or fails within seconds", { timeout: 120_000 }, async (t) => {
  await using dir = await tempDir();
  const begin = performance.now();
  try {
    assert.equal(await versionOf(await fetchRelease(dir.path)), PINNED_VERSION);
  } catch (error) {
    assert.match(sentenceOf(error), /^cannot download https:/);
    assert.ok(performance.now() - begin < 6_000);
    t.diagnostic(`not reachable from here: ${sentenceOf(error)}`);
  }
});

test("Debian's package gives a server that runs, and leaves apt's own lists alone", { timeout: 120_000 }, async (t) => {
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  if (!needs(t, { downloads: true, program: ["apt-get", "dpkg-deb"], path: keyring })) return;
  await using dir = await tempDir();
  const lists = await readdir("/var/lib/apt/lists");
  assert.ok(await versionOf(await fetchApt(dir.path)));
  assert.deepEqual(await readdir("/var/lib/apt/lists"), lists);
});

test("go builds the pinned server, and leaves nothing of its caches behind", { timeout: 600_000 }, async (t) => {
  if (!needs(t, { downloads: true, program: "go" })) return;
  await using dir = await tempDir();
  const path = process.env["PATH"] ?? "";
  hidePath(t);
  const way: Way = {
    name: "go install, with go in sight",
    fetch(into) {
      process.env["PATH"] = path;
      return fetchGo(into);
    },
  };
  assert.equal((await findNatsServer(dir.path, silent, [way])).version, PINNED_VERSION);
  assert.deepEqual(await readdir(dir.path), [`nats-server-${PINNED_VERSION}`]);
});

test("the checksum of a file is read from the release's list, and missed with a sentence", () => {
  const hex = "0123456789abcdef".repeat(4);
  const sums = `${"f".repeat(64)}  other.tar.gz\n${hex}  nats.tar.gz\n`;
  assert.equal(checksumIn(sums, "nats.tar.gz"), hex);
  assert.throws(() => checksumIn(sums, "tar.gz"), /^Error: SHA256SUMS of the release does not name tar\.gz$/);
});

test("versions are compared by number", () => {
  assert.equal(atLeast("2.12.3"), true);
  assert.equal(atLeast("2.9.30"), false);
  assert.equal(atLeast("2.15.0"), true);
  assert.equal(atLeast("3.0.0", "2.15.1"), true);
});

/** Hides the servers of this machine; answers the one folder that PATH then holds. */
function hidePath(t: TestContext, below = "/nonexistent"): string {
  const folder = join(below, "bin");
  setVariable(t, "PATH", folder);
  return folder;
}

function setVariable(t: TestContext, name: string, value: string): void {
  const old = process.env[name];
  process.env[name] = value;
  t.after(() => {
    if (old === undefined) delete process.env[name];
    else process.env[name] = old;
  });
}

async function fakeServer(folder: string, version: string): Promise<string> {
  const path = join(folder, "nats-server");
  await writeFile(path, `#!/bin/sh\necho 'nats-server: v${version}'\n`);
  await chmod(path, 0o755);
  return path;
}
