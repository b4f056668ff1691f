/** `toroid start`: the whole system by one command, in every way that it can begin and end. */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { copyFile, mkdir, readdir, symlink } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assertNoLeaks, type Snapshot, snapshot } from "../support/leaks.ts";
import { NatsServer } from "../support/nats.ts";
import { programPath } from "../support/programs.ts";
import { needs } from "../support/skips.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 90_000 };
const PROJECT = join(import.meta.dirname, "..", "..");
const TOROID = join(PROJECT, "bin", "toroid.ts");
const ANY_PORTS = ["--port", "0", "--nats-port", "0", "--queue-port", "0"];
const PASSED = ["build", "stage", "prod"].map((name) => ({ name, outcome: "passed" }));
/** One line for people, and no stack trace. */
const ONE_SENTENCE = /^toroid: [^\n]+ \(TOR_[A-Z_]+\)\n$/;

let leaks: Snapshot;
let dir: TempDir;

before(async () => {
  leaks = await snapshot();
  dir = await tempDir("toroid-start-");
});

after(async () => {
  await dir[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

test("--exit pushes the sample through, ends with its line of JSON, and leaves nothing", LIMIT, async (t) => {
  if (!needs(t, { root: true })) return;
  const here = await snapshot();
  await using run = new Run(["start", "--exit"]);
  assert.equal(await run.exited, 0, run.err);
  const lines = run.out.trimEnd().split("\n");
  const { pushToFirstCommandMs, ...said } = JSON.parse(lines.at(-1) ?? "") as { pushToFirstCommandMs: number };
  assert.deepEqual(said, { ok: true, stages: PASSED });
  assert.ok(pushToFirstCommandMs > 0 && pushToFirstCommandMs < 10_000, `${pushToFirstCommandMs} ms`);
  assert.match(run.err, /1 test, and it passed[^]*to stage [^]*to prod [^]*demo\/hello#1 passed\n$/);
  assert.deepEqual(await readdir(join(dir.path, ".toroid")), []);
  await assertNoLeaks(here);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  for (const when of ["while the parts start", "in the middle of a build"] as const) {
    test(`${signal} ${when} ends everything, with one sentence`, LIMIT, async (t) => {
      if (!needs(t, { root: true })) return;
      const here = await snapshot();
      await using run = new Run(["start", "--exit"]);
      if (when === "in the middle of a build") await run.says(/--- demo\/hello#1 build\n/);
      else await until("the system to start", async () => (await exitDirs()).length === 1);
      await run.endsWithin(8_000, signal);
      assert.equal(await run.exited, 130);
      assert.match(run.err, /(^|\n)toroid: (interrupted|terminated) \(TOR_INTERRUPTED\)\n$/);
      assert.equal(run.out, "");
      assert.deepEqual(await exitDirs(), []);
      await assertNoLeaks(here);
    });
  }
}

test("killed outright, its parts follow it, and the next start clears up and works", LIMIT, async (t) => {
  if (!needs(t, { root: true })) return;
  const here = await snapshot();
  await using run = new Run(["start", "--exit"]);
  await run.says(/--- demo\/hello#1 build\n/);
  run.child.kill("SIGKILL");
  await run.exited;
  // What an executor wants to say takes five seconds to fail, once NATS is gone.
  await assertNoLeaks(here, { withinMs: 10_000 });
  assert.equal((await exitDirs()).length, 1);
  await using again = new Run(["start", "--exit"]);
  assert.equal(await again.exited, 0, again.err);
  assert.deepEqual(await exitDirs(), []);
});

test("it keeps running until Ctrl-C, also with readers, and goes on where it was", LIMIT, async (t) => {
  if (!needs(t, { root: true })) return;
  const here = await snapshot();
  await using first = new Run(["start", ...ANY_PORTS]);
  const url = await first.url();
  assert.match(first.err, /demo\/hello#1 passed\n/);
  assert.match(first.err, /nats sub -s nats:[^]*git push origin main\n[^]* trigger me\/project main /);
  assert.deepEqual(await (await fetch(new URL("healthz", url))).json(), { status: "ok" });
  assert.match(await (await fetch(url)).text(), /<title>Toroid<\/title>/);
  assert.equal(
    (await fetch(new URL("builds/demo/hello/1", url))).headers.get("content-type"),
    "text/html; charset=utf-8",
  );
  const reader = await fetch(new URL("api/v1/events", url));
  const pause = { method: "POST", headers: { "content-type": "application/json" }, body: '{"reason":"freeze"}' };
  assert.equal((await fetch(new URL("api/v1/environments/demo/hello/prod/pause", url), pause)).status, 200);
  await first.endsWithin(5_000, "SIGINT");
  assert.equal(await first.exited, 0, first.err);
  await reader.text().catch(() => undefined);
  await assertNoLeaks(here);

  await using second = new Run(["start", ...ANY_PORTS]);
  const later = await second.url();
  assert.match(second.err, /demo\/hello#2 prod waits: paused by local: freeze\n/);
  const { builds } = (await (await fetch(new URL("api/v1/builds?repository=demo/hello", later))).json()) as {
    builds: { number: number; outcome: string | null }[];
  };
  assert.deepEqual(
    builds.map((one) => [one.number, one.outcome]),
    [
      [2, null],
      [1, "passed"],
    ],
  );
  await second.endsWithin(5_000, "SIGTERM");
  assert.equal(await second.exited, 0, second.err);
  await assertNoLeaks(here);
});

test("a port in use is one sentence, for each of the three", LIMIT, async (t) => {
  if (!needs(t, { root: true })) return;
  const other = await listening(createServer());
  try {
    for (const flag of ["--port", "--nats-port", "--queue-port"]) {
      await using run = new Run(["start", "--exit", flag, String(portOf(other))]);
      assert.equal(await run.exited, 2);
      assert.match(run.err, ONE_SENTENCE);
      assert.match(run.err, new RegExp(`port ${portOf(other)} .* in use.* ${flag} `));
    }
    assert.deepEqual(await exitDirs(), []);
  } finally {
    other.close();
  }
});

test("without root it says so, and how to have it", LIMIT, async (t) => {
  const nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
  const readable =
    (await command("setpriv", [...nobody, "test", "-r", TOROID, "-a", "-x", process.execPath])).code === 0;
  const other = readable ? undefined : "needs a checkout that everybody may read";
  if (!needs(t, { root: true, program: "setpriv", other })) return;
  await using run = new Run([...nobody, process.execPath, TOROID, "start", "--exit"], { program: "setpriv" });
  assert.equal(await run.exited, 2);
  assert.match(run.err, ONE_SENTENCE);
  assert.match(run.err, /must be root.*sudo/);
});

test("a full disk is one sentence, whether it was full before or becomes so", LIMIT, async (t) => {
  if (!needs(t, { root: true, program: ["unshare", "mount"] })) return;
  await using place = await tempDir("toroid-disk-");
  const onDisk = (size: string, then: string): Run =>
    new Run(
      [
        "-m",
        "sh",
        "-c",
        `set -e; mount -t tmpfs -o size=${size} tmpfs .; cd "$PWD"; ${then} exec "$@"`,
        "sh",
        process.execPath,
        TOROID,
        "start",
        "--exit",
      ],
      { program: "unshare", cwd: place.path },
    );
  await using full = onDisk("1m", "");
  assert.equal(await full.exited, 6);
  assert.match(full.err, ONE_SENTENCE);
  assert.match(full.err, /no space left on the disk of /);
  // A file beside us takes the rest while we start.
  await using filling = onDisk(
    "80m",
    "{ until ls -d .toroid/exit-*/queue; do sleep 0.05; done; cat /dev/zero >rest; } >/dev/null 2>&1 &",
  );
  assert.equal(await filling.exited, 6, filling.err);
  assert.match(filling.err, /(^|\n)toroid: no space left on the disk of [^\n]*\n$/);
  assert.doesNotMatch(filling.err, /\n {4}at /);
});

test("without a C compiler, setup says what to install", LIMIT, async () => {
  await using copy = await tempDir("toroid-setup-");
  await mkdir(join(copy.path, "bin"));
  await mkdir(join(copy.path, "scripts"));
  await copyFile(join(PROJECT, "scripts", "setup"), join(copy.path, "scripts", "setup"));
  for (const name of ["sh", "dirname", "mkdir", "uname", "id", "flock", "git", "make", "npm"]) {
    const path = programPath(name);
    if (path !== undefined) await symlink(path, join(copy.path, "bin", name));
  }
  const { code, err } = await command("sh", [join(copy.path, "scripts", "setup")], { PATH: join(copy.path, "bin") });
  assert.equal(code, 1);
  assert.match(err, /^setup: a C compiler \(cc\) is missing, .*: install gcc and libc6-dev\n$/m);
});

test("a coordinator without its queue, or with wrong keys, says so in one sentence", LIMIT, async () => {
  await using nats = await NatsServer.start();
  const denying = await listening(
    createHttpServer((_request, response) => {
      response.writeHead(403, { "content-type": "application/x-amz-json-1.0" });
      response.end('{"__type":"com.amazon.coral.service#InvalidClientTokenId","message":"no such key"}');
    }),
  );
  const gone = await listening(createServer());
  const nowhere = `http://127.0.0.1:${portOf(gone)}`;
  await new Promise((resolve) => gone.close(resolve));
  const keys = { AWS_REGION: "eu-west-1", AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
  const at = (endpoint: string): Record<string, string> => ({
    ...keys,
    TOROID_QUEUE_ENDPOINT: endpoint,
    TOROID_QUEUE_URL: `${endpoint}/000000000000/pushes`,
  });
  const cases: readonly (readonly [Record<string, string>, number, RegExp])[] = [
    [at(nowhere), 6, /queue cannot be reached: .*ECONNREFUSED/],
    [at(`http://127.0.0.1:${portOf(denying)}`), 2, /AWS|key|credentials/],
    [{ ...keys, TOROID_QUEUE_URL: "pushes" }, 2, /TOROID_QUEUE_URL must be/],
    [{ ...at(nowhere), TOROID_NATS_URL: nowhere.replace("http", "nats") }, 6, /cannot connect to NATS at/],
  ];
  try {
    for (const [env, code, sentence] of cases) {
      const shared = { TOROID_NATS_URL: nats.url, TOROID_HTTP_PORT: "0", TOROID_STORE_BYTES: String(256 * 1024 ** 2) };
      await using run = new Run(["coordinator"], { env: { ...shared, ...env } });
      assert.equal(await run.exited, code, run.err);
      assert.match(
        run.err
          .split("\n")
          .filter((line) => !line.startsWith("{"))
          .join("\n"),
        ONE_SENTENCE,
      );
      assert.match(run.err, sentence);
    }
  } finally {
    denying.close();
  }
});

interface RunOptions {
  /** `toroid` when left out. */
  readonly program?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** One command in the test's directory, killed at the end of the block that holds it. */
class Run implements AsyncDisposable {
  readonly child: ChildProcess;
  /** Its exit code; null after a signal. */
  readonly exited: Promise<number | null>;
  out = "";
  err = "";

  constructor(args: readonly string[], { program, cwd = dir.path, env = {} }: RunOptions = {}) {
    const [file, words] = program === undefined ? [process.execPath, [TOROID, ...args]] : [program, [...args]];
    this.child = spawn(file, words, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.out += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.err += text));
    this.exited = new Promise((resolve) => {
      this.child.once("close", (code) => resolve(code));
    });
  }

  async says(what: RegExp): Promise<void> {
    await until(`${String(what)}, after ${this.err}`, () => what.test(this.err), { withinMs: 60_000 });
  }

  /** Of the page, once all is said. */
  async url(): Promise<string> {
    await this.says(/Ctrl-C stops everything/);
    return /Page and API: +(\S+)/.exec(this.err)?.[1] ?? "";
  }

  async endsWithin(ms: number, signal: NodeJS.Signals): Promise<void> {
    const beganAtMs = performance.now();
    this.child.kill(signal);
    await this.exited;
    const took = performance.now() - beganAtMs;
    assert.ok(took < ms, `ended ${Math.round(took)} ms after ${signal}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }
}

/** What an unfinished `--exit` keeps its data in. */
async function exitDirs(): Promise<readonly string[]> {
  const names = await readdir(join(dir.path, ".toroid")).catch(() => []);
  return names.filter((name) => name.startsWith("exit-"));
}

async function listening<T extends Server>(server: T): Promise<T> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function command(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly err: string }> {
  return new Promise((resolve) => {
    execFile(programPath(file) ?? file, args, { env: { ...process.env, ...env } }, (error, _out, err) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : 1, err });
    });
  });
}
