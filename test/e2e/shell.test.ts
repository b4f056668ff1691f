/** `toroid run` and `toroid shell` as a person has them: no server, their own terminal, and nothing left behind. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { execa } from "execa";
import { assertNoLeaks, type Snapshot, snapshot } from "../support/leaks.ts";
import { GitRepo } from "../support/repo.ts";
import { missing, needs } from "../support/skips.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { weakHere } from "../support/weak.ts";

const LIMIT = { timeout: 60_000 };
const NEEDED = { root: true, program: ["bash", "script", "stty"] } as const;
const TOROID = join(import.meta.dirname, "..", "..", "bin", "toroid.ts");
const FILE = `
install: echo installed > /root/installed; echo installing
script: echo begun; sleep 1000
env: { GREETING: hello }
workdir: sub
`;

let leaks: Snapshot;
let repo: GitRepo;
let home: TempDir;

before(async () => {
  leaks = await snapshot();
  if (missing(NEEDED) !== undefined) return;
  repo = await GitRepo.create({ files: { ".toroid.yml": FILE, "sub/said": "committed\n" } });
  home = await tempDir();
  await writeFile(join(repo.path, "sub", "said"), "changed\n");
  await writeFile(join(repo.path, "sub", "new"), "untracked\n");
});

after(async () => {
  await repo?.[Symbol.asyncDispose]();
  await home?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

function environment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    TOROID_URL: "http://127.0.0.1:9",
    TOROID_ALLOW_WEAK: weakHere().join(","),
    TMPDIR: home.path,
    TERM: "xterm",
  };
}

/** Without a terminal. */
async function toroid(...args: readonly string[]) {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [TOROID, ...args], {
    cwd: repo.path,
    env: environment(),
    extendEnv: false,
    reject: false,
    stdin: "ignore",
    timeout: 50_000,
  });
  return { exit: exitCode, out: stdout, err: stderr };
}

/** On a terminal of 33 lines by 101 columns, with `typed` as the person's keys. */
async function onTerminal(typed: string, ...args: readonly string[]): Promise<string> {
  const line = [process.execPath, TOROID, ...args].map((word) => `'${word}'`).join(" ");
  const { stdout } = await execa(
    "script",
    ["-qec", `stty rows 33 cols 101; ${line}; echo "exit=$?"; stty -a`, "/dev/null"],
    {
      cwd: repo.path,
      env: environment(),
      extendEnv: false,
      input: typed,
      timeout: 50_000,
    },
  );
  return stdout.replaceAll("\r", "");
}

test("shell: a command has the stage's files, variables and directory, and its exit code is ours", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const ran = await toroid(
    "shell",
    "-p",
    "MORE=given",
    "--",
    "sh",
    "-c",
    'cat said new; echo "$GREETING $MORE $PWD $TOROID_STAGE"; exit 7',
  );
  assert.deepEqual([ran.exit, ran.out], [7, "changed\nuntracked\nhello given /workspace/sub build"], ran.err);
  assert.equal((await toroid("shell", "build", "--", "sh", "-c", "kill -9 $$")).exit, 137);
  const installed = await toroid("shell", "--install", "--", "cat", "/root/installed");
  assert.deepEqual([installed.exit, installed.out], [0, "installed"], installed.err);
  assert.match(installed.err, /--- install\ninstalling/);
  const plain = await toroid("shell", "--", "cat", "/root/installed");
  assert.equal(plain.exit, 1, "what one shell did, the next one does not see");
  assert.deepEqual(await readdir(home.path), []);
  assert.equal(await repo.git("status", "--porcelain"), " M sub/said\n?? sub/new\n");
});

test("shell: what cannot be is one sentence", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const bare = await toroid("shell");
  assert.deepEqual([bare.exit, bare.out], [2, ""]);
  assert.match(bare.err, /a shell needs a terminal; without one, name a command/);
  const stage = await toroid("shell", "prod", "--", "true");
  assert.deepEqual([stage.exit, stage.out], [4, ""]);
  assert.match(stage.err, /there is no stage prod; the file has build \(TOR_NOT_FOUND\)/);
  assert.equal((await toroid("shell", "--json", "--", "true")).exit, 2);
});

test("shell: on a terminal it is one, of the same size, and gives it back", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const said = await onTerminal("stty size; tty; echo $TERM; exit 5\n", "shell");
  assert.match(said, /33 101\n/);
  assert.match(said, /\n\/dev\/pts\/0\n/);
  assert.match(said, /\nxterm\n/);
  assert.match(said, /\nexit=5\n/);
  assert.match(said, /[^-]\bicanon\b[^]*[^-]\becho\b/, "the terminal is raw no more");
  assert.deepEqual(await readdir(home.path), []);
});

test("run: what a kill leaves behind, the next one removes; what lives, it leaves alone", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const [killed, living] = [await begun(), await begun()];
  killed.kill("SIGKILL");
  await until("its sandbox to be gone", async () => (await sandboxesOf(killed)) === 0);
  assert.equal((await readdir(home.path)).length, 2);
  assert.equal((await toroid("shell", "--", "true")).exit, 0);
  assert.equal((await readdir(home.path)).length, 1);
  living.kill("SIGTERM");
  const exit = await new Promise((resolve) => living.once("close", resolve));
  assert.equal(exit, 130);
  assert.deepEqual(await readdir(home.path), []);
});

/** `toroid run`, whose script has begun. */
async function begun(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [TOROID, "run"], {
    cwd: repo.path,
    env: environment(),
    stdio: ["ignore", "pipe", "ignore"],
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  await until("the script to begin", () => said.includes("begun"));
  return child;
}

/** How many helpers are there that were started by `child`. */
async function sandboxesOf({ pid }: ChildProcess): Promise<number> {
  const { stdout } = await execa("pgrep", ["-cf", `toroid-sandbox run .*--parent-pid ${pid ?? 0} `], { reject: false });
  return Number(stdout);
}
