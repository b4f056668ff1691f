/**
 * The documents' commands are run: each example of shell in the manual, the README and the runbook against one real
 * system, with the names and numbers that this one has, or listed with the reason why it cannot be run here.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Example, examplesIn } from "../support/examples.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../support/leaks.ts";
import { missing, needs } from "../support/skips.ts";
import { type Case, casesOf, ELSEWHERE } from "./manual/cases.ts";
import { ManualSystem, ROOT } from "./manual/system.ts";

const LIMIT = { timeout: 90_000 };
const NEEDED = { root: true, program: ["bash", "curl", "nats", "git"], aws: true } as const;

let leaks: Snapshot;
let system: ManualSystem;

const CASES = casesOf(() => system);
const EXAMPLES: Example[] = [];
for (const file of Object.keys(CASES)) EXAMPLES.push(...examplesIn(file, await readFile(join(ROOT, file), "utf8")));

before(async () => {
  leaks = await snapshot();
  if (missing(NEEDED) === undefined) system = await ManualSystem.start();
});

after(async () => {
  await system?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

interface Ran {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs one example as a person's shell would. */
async function run(one: Case, { text }: Example): Promise<Ran> {
  const words = { "http://127.0.0.1:7433": system.rig.url, ...(await one.given?.()) };
  const ours = Object.entries(words).reduce((line, [from, to]) => line.replaceAll(from, to), text);
  const child = spawn("bash", ["-c", ours], {
    cwd: one.cwd?.() ?? system.place,
    env: { ...system.environment, ...one.env?.() },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (some: string) => (out += some));
  child.stderr.setEncoding("utf8").on("data", (some: string) => (err += some));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  if (one.until === undefined) return { exit: await ended, out, err };
  const early = ended.then((exit) => assert.fail(`it ended with ${exit ?? "a signal"}: ${out}${err}`));
  early.catch(() => undefined); // when it ends because we stop it
  try {
    await Promise.race([one.until(() => out), early]);
  } finally {
    stop(child);
    await ended;
  }
  return { exit: 0, out, err };
}

/** With all that the shell has started. */
function stop({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGTERM");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

function caseOf({ file, text }: Example): Case | undefined {
  return CASES[file]?.find(({ begins }) => text.startsWith(begins));
}

test("every example is run, or listed with the reason why it is not; and nothing is listed that is not there", () => {
  const lost = EXAMPLES.filter(
    (one) => caseOf(one) === undefined && !ELSEWHERE.some(({ begins }) => begins.test(one.text)),
  );
  assert.deepEqual(lost, [], "examples that no case is for: test/e2e/manual.test.ts");
  for (const { begins, count } of ELSEWHERE) {
    const found = EXAMPLES.filter((one) => begins.test(one.text) && caseOf(one) === undefined);
    assert.equal(found.length, count, `${String(begins)}: ${found.map(({ text }) => text).join("; ")}`);
  }
  for (const [file, cases] of Object.entries(CASES)) {
    for (const { begins } of cases) {
      assert.ok(
        EXAMPLES.some((one) => one.file === file && one.text.startsWith(begins)),
        `${file} has no ${begins} any more`,
      );
    }
  }
});

for (const example of EXAMPLES) {
  const one = caseOf(example);
  if (one === undefined) continue;
  const [first = ""] = example.text.split("\n");
  test(`${example.file}:${example.line} ${first.slice(0, 90)}`, LIMIT, async (t) => {
    if (!needs(t, NEEDED)) return;
    const ran = await run(one, example);
    assert.equal(ran.exit, 0, `${ran.out}\n${ran.err}`);
    if (one.out !== undefined) assert.match(ran.out, one.out, ran.err);
    if (one.err !== undefined) assert.match(ran.err, one.err);
    await one.afterwards?.(ran.out);
  });
}
