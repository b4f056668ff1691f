/** The command line against the real system: data on standard output, words on standard error, and the exit code. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Gate } from "../support/gate.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../support/leaks.ts";
import { GitRepo } from "../support/repo.ts";
import { Rig } from "../support/rig.ts";
import { missing, needs } from "../support/skips.ts";
import { tempDir } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { weakHere } from "../support/weak.ts";

const LIMIT = { timeout: 90_000 };
const NEEDED = { root: true, program: "bash" } as const;
const TOROID = join(import.meta.dirname, "..", "..", "bin", "toroid.ts");
const APPLICATION = {
  ".toroid.yml": `kind: application
script: [echo built]
environments:
  prod: { run: 'echo "in prod \${REGION:-nowhere}"' }
`,
};

let leaks: Snapshot;
let rig: Rig;

before(async () => {
  leaks = await snapshot();
  if (missing(NEEDED) !== undefined) return;
  rig = await Rig.start();
  await rig.coordinator();
  rig.executor();
});

after(async () => {
  await rig?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

test("status: of all, of a repository, of a build, and its exit code says how that one went", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await built("acme/good", APPLICATION);
  await built("acme/bad", { ".toroid.yml": "script: exit 3\n" });
  const all = await toroid("status");
  assert.deepEqual([all.code, all.err], [0, ""]);
  assert.match(all.out, /REPOSITORY +ENVIRONMENT[^]*acme\/good +prod +open +live acme\/good#1, commit [0-9a-f]{7}\n/);
  assert.match(all.out, /BUILD +STATE[^]*acme\/bad#1 +failed[^]*acme\/good#1 +passed/);
  const one = await toroid("status", "acme/good", "--json");
  const { builds, repositories } = JSON.parse(one.out) as Record<"builds" | "repositories", { repository: string }[]>;
  assert.deepEqual(
    [...builds, ...repositories].map((x) => x.repository),
    ["acme/good", "acme/good"],
  );
  assert.equal((await toroid("status", "acme/good#1")).code, 0);
  const bad = await toroid("status", "acme/bad#1");
  assert.equal(bad.code, 1);
  assert.match(bad.out, /^acme\/bad#1 failed[^]*build +failed/);
  assert.equal(
    (JSON.parse((await toroid("--json", "status", "acme/bad#1")).out) as { outcome: string }).outcome,
    "failed",
  );
});

test("logs: what was written, byte for byte; followed while it runs, with the stage's exit code", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using gate = await Gate.start();
  const script = JSON.stringify(["printf 'begun \\377\\n'", gate.line, "echo the end", "exit 4"]);
  const repo = await rig.repo({ ".toroid.yml": `script: ${script}\n` });
  await rig.push(repo, { fullName: "acme/logs" });
  await gate.reached();
  const following = toroid("logs", "-f", "acme/logs#1");
  const events = toroid("logs", "-f", "--json", "acme/logs#1", "build");
  assert.equal((await toroid("logs", "acme/logs#1")).code, 0);
  await gate.pass();
  const whole = Buffer.from("begun \xff\nthe end\n", "latin1").toString("utf8");
  const [text, lines] = await Promise.all([following, events]);
  assert.deepEqual([text.code, text.out, text.err], [1, whole, ""]);
  const read = lines.out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { kind: string; text?: string });
  assert.equal(lines.code, 1);
  assert.equal(read.map((one) => one.text ?? "").join(""), whole);
  assert.deepEqual(read.at(-1)?.kind, "end");
  const later = await toroid("logs", "acme/logs#1", "build");
  assert.deepEqual([later.code, later.out], [0, whole]);
});

test("pause and resume say how the environment is; without a reason nothing is paused", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await built("acme/lane", APPLICATION);
  await refuses(2, /--reason is missing/, "pause", "acme/lane", "prod");
  const paused = await toroid("pause", "acme/lane", "prod", "--reason", "freeze", "--until", "2h", "--as", "ann");
  assert.equal(paused.code, 0);
  assert.match(paused.out, /^acme\/lane prod: paused by ann until \S+Z: freeze; live acme\/lane#1, commit \w+\n$/);
  assert.match((await toroid("status", "acme/lane")).out, /prod +paused +paused by ann until/);
  const resumed = await toroid("resume", "acme/lane", "prod", "--json");
  assert.equal((JSON.parse(resumed.out) as { paused: unknown }).paused, null);
});

test("cancel ends a build that runs, and says no to one that has ended", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using gate = await Gate.start();
  const repo = await rig.repo({ ".toroid.yml": `script: ${JSON.stringify([gate.line])}\n` });
  await rig.push(repo, { fullName: "acme/cancel" });
  await gate.reached();
  const cancelled = await toroid("cancel", "acme/cancel#1", "--reason", "not today");
  assert.deepEqual([cancelled.code, cancelled.err], [0, ""]);
  assert.match(cancelled.out, /^acme\/cancel#1 (is being )?cancelled\n$/);
  const ended = await rig.ended(1, "acme/cancel");
  assert.deepEqual([ended.outcome, ended.message], ["cancelled", "not today"]);
  await built("acme/over", { ".toroid.yml": "script: echo over\n" });
  await refuses(5, /acme\/over#1 has ended already: passed/, "cancel", "acme/over#1");
});

test("trigger builds a branch of a repository that never pushed, and runs an environment again", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo(APPLICATION);
  const made = await toroid("trigger", "acme/asked", "main", "--remote", repo.url);
  assert.deepEqual(made, { code: 0, out: "acme/asked#1\n", err: "" });
  assert.equal((await rig.ended(1, "acme/asked")).outcome, "passed");
  const again = await toroid("trigger", "acme/asked", "--build", "1", "--environment", "prod", "-p", "REGION=mars");
  assert.deepEqual(again, { code: 0, out: "acme/asked#1 prod\n", err: "" });
  await until("prod to run again", async () => (await toroid("logs", "acme/asked#1", "prod")).out === "in prod mars\n");
});

test("builds, wait and events: filtered, followed, and behind an event nothing is missing", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using gate = await Gate.start();
  const repo = await rig.repo(APPLICATION);
  await rig.push(repo, { fullName: "acme/followed" });
  await rig.ended(1, "acme/followed");
  const events = listening("events", "acme/followed", "--json");
  const list = listening("builds", "-f", "acme/followed");
  await until("both to listen", async () => {
    await rig.post("/api/v1/environments/acme/followed/prod/pause", { reason: "for those who listen" });
    await rig.post("/api/v1/environments/acme/followed/prod/resume", {});
    return events.said().includes("environment") && list.said().includes("#1 passed");
  });
  await repo.commit({ files: { ".toroid.yml": `script: ${JSON.stringify([gate.line])}\n` } });
  await rig.push(repo, { fullName: "acme/followed" });
  const commit = await repo.head();
  const waiting = toroid("wait", "acme/followed", "--commit", commit.slice(0, 12), "--timeout", "60s");
  await gate.reached();
  assert.equal((await toroid("wait", "acme/followed#2", "--timeout", "1ms")).code, 124);
  const active = await toroid("builds", "acme/followed", "--state", "active", "--json");
  assert.deepEqual(numbersOf(active.out), [2]);
  assert.deepEqual(numbersOf((await toroid("builds", "acme/followed", "--branch", "other", "--json")).out), []);
  await gate.pass();
  const ended = await waiting;
  assert.deepEqual([ended.code, ended.out], [0, "acme/followed#2 passed\n"]);
  assert.match(ended.err, /acme\/followed#2 (planning|running|waits)/);
  await until(
    "the end to be heard of",
    () => /"number":2,[^\n]*"outcome":"passed"/.test(events.said()) && /#2 passed/.test(list.said()),
  );
  assert.match(list.said(), /acme\/followed#2 running [^]*acme\/followed#2 passed main /);
  for (const one of [events, list]) assert.equal(await one.stop(), 130);
  const lines = events
    .said()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { event: string; id: string });
  assert.ok(
    lines.every(({ event }) => event === "build" || event === "environment"),
    events.said(),
  );
  // Somebody who heard of nothing but the first one gets the rest.
  const again = listening("events", "acme/followed", "--json", "--after", lines[0]?.id ?? "");
  await until("what was missed", () => /"number":2,[^\n]*"outcome":"passed"/.test(again.said()));
  assert.doesNotMatch(again.said(), /"resync"/);
  await again.stop();
});

test("secret ls: what stages ask for, and where executors look for it", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const file =
    "script: echo\npublish: { run: echo, secrets: [GEM_KEY] }\nenvironments: { prod: { run: echo, secrets: [AWS_KEY] } }\n";
  const repo = await rig.repo({ ".toroid.yml": file });
  await rig.push(repo, { fullName: "acme/secret" });
  await until("it to be planned", async () => (await rig.build(1, "acme/secret")).status !== "planning");
  const listed = await toroid("secret", "ls", "acme/secret");
  assert.equal(listed.code, 0, listed.err);
  assert.match(listed.out, /^SECRET +STAGE +FILE[^]*GEM_KEY +build +acme\/secret\/GEM_KEY\n/);
  assert.match(listed.out, /AWS_KEY +prod +acme\/secret\/prod\/AWS_KEY, else acme\/secret\/AWS_KEY\n$/);
  const { secrets } = JSON.parse((await toroid("secret", "ls", "acme/secret#1", "--json")).out) as {
    secrets: unknown[];
  };
  assert.equal(secrets.length, 2);
  await refuses(4, /acme\/unheard has no build with a plan/, "secret", "ls", "acme/unheard");
});

test("lint needs no server, and shows each mistake in its place", LIMIT, async () => {
  await using dir = await tempDir();
  const at = { cwd: dir.path, TOROID_URL: "http://127.0.0.1:9" };
  await refuses(2, /there is no \.toroid\.yml here/, at, "lint");
  await writeFile(join(dir.path, ".toroid.yml"), "script: make\n");
  await refuses(0, /is fine/, at, "lint");
  await writeFile(join(dir.path, ".toroid.yml"), "scrpt: make\n");
  const wrong = await toroid(at, "lint", "--json");
  const { problems } = JSON.parse(wrong.out) as { problems: { line: number; column: number; hint: string }[] };
  assert.deepEqual([wrong.code, problems[0]?.line, problems[0]?.column], [2, 1, 1]);
  assert.match(problems[0]?.hint ?? "", /script/);
});

test("run sees what is not committed, works without a server, and leaves nothing behind", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const here = await snapshot();
  await using repo = await GitRepo.create({ files: { ".toroid.yml": "script: cat said\n", said: "committed\n" } });
  await using home = await tempDir();
  await mkdir(join(repo.path, "below"));
  await writeFile(join(repo.path, "said"), "changed\n");
  await writeFile(join(repo.path, ".toroid.yml"), "script: ['cat said new', 'echo mess > mess', 'exit $CODE']\n");
  await writeFile(join(repo.path, "new"), "untracked\n");
  const at = { cwd: repo.path, TOROID_URL: "http://127.0.0.1:9", TMPDIR: home.path };
  const passed = await toroid(at, "run", "-p", "CODE=0");
  assert.deepEqual([passed.code, passed.out], [0, "changed\nuntracked\n"], passed.err);
  assert.match(passed.err, /--- build passed after /);
  const failed = await toroid(at, "run", "--json", "-p", "CODE=3");
  const lines = failed.out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(failed.code, 1);
  assert.deepEqual([lines.at(-1)?.["outcome"], lines.at(-1)?.["exitCode"]], ["failed", 3]);
  assert.equal(await repo.git("status", "--porcelain"), " M .toroid.yml\n M said\n?? new\n");
  assert.deepEqual(await readdir(home.path), []);
  await assertNoLeaks({
    ...here,
    things: new Set([...here.things, `temp ${home.path}`, `temp ${join(repo.path, "..")}`]),
  });
});

test("doctor finds a system that works, and says what does not", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using state = await tempDir();
  const well = await toroid(
    {
      TOROID_EXECUTOR_STATE: state.path,
      TOROID_NATS_URL: rig.nats.url,
      TOROID_ALLOW_WEAK: [...weakHere(), "network-host"].join(","),
    },
    "doctor",
    "--executor",
  );
  assert.equal(well.code, 0, well.out + well.err);
  assert.match(well.out, /^ok +node[^]*ok +coordinator +ok at http:[^]*ok +its parts/);
  const ill = await toroid({ TOROID_URL: "http://127.0.0.1:9" }, "doctor", "--json");
  const { findings } = JSON.parse(ill.out) as { findings: { what: string; ok: boolean; says: string }[] };
  assert.equal(ill.code, 6);
  assert.deepEqual(
    findings.map(({ what, ok }) => [what, ok]),
    [
      ["node", true],
      ["coordinator", false],
    ],
  );
});

test("what cannot be is one sentence on standard error, and an exit code that scripts know", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await refuses(4, /no build acme\/nowhere#7/, "status", "acme/nowhere#7");
  await refuses(4, /TOR_NOT_FOUND/, "logs", "acme/nowhere#7");
  await refuses(2, /is not a build: expected owner\/name#number/, "cancel", "nonsense");
  await refuses(4, /nothing was ever pushed/, "pause", "acme/nowhere", "prod", "--reason", "x");
  await refuses(2, /unknown command/, "nonsense");
  const gone = await toroid({ TOROID_URL: "http://127.0.0.1:9" }, "status", "--json");
  assert.deepEqual([gone.code, gone.out], [6, ""]);
  assert.equal((JSON.parse(gone.err) as { code: string }).code, "TOR_SERVER_UNREACHABLE");
});

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Where and with what; a name in capitals is a variable. */
type Where = Readonly<Record<string, string>>;

/** Runs one command line against the rig, unless told of another server. */
function toroid(...words: readonly (string | Where)[]): Promise<Ran> {
  const { cwd, ...env } = Object.assign({}, ...words.filter((word) => typeof word !== "string")) as { cwd?: string };
  const args = words.filter((word) => typeof word === "string");
  const child = spawn(process.execPath, [TOROID, ...args], {
    cwd,
    env: { ...process.env, ...(rig === undefined ? {} : { TOROID_URL: rig.url }), ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  return new Promise((resolve) => {
    child.once("close", (code) => resolve({ code, out, err }));
  });
}

/** Starts one that ends only when it is told to. */
function listening(...args: readonly string[]) {
  const child = spawn(process.execPath, [TOROID, ...args], {
    env: { ...process.env, TOROID_URL: rig.url },
    stdio: ["ignore", "pipe", "ignore"],
    timeout: 80_000,
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  return {
    said: () => said,
    stop: () => {
      child.kill("SIGINT");
      return ended;
    },
  };
}

function numbersOf(out: string): readonly number[] {
  return (JSON.parse(out) as { builds: readonly { number: number }[] }).builds.map(({ number }) => number);
}

/** Runs one that prints no data and says such a thing. */
async function refuses(code: number, says: RegExp, ...words: readonly (string | Where)[]): Promise<void> {
  const ran = await toroid(...words);
  assert.deepEqual([ran.code, ran.out], [code, ""], ran.err);
  assert.match(ran.err, says);
}

async function built(fullName: string, files: Readonly<Record<string, string>>): Promise<void> {
  await rig.push(await rig.repo(files), { fullName });
  await rig.ended(1, fullName);
}
