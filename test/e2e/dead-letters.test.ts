/** `toroid dead-letters` against a running coordinator and a real queue. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { LetterSummary } from "../../protocol/letter.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../support/leaks.ts";
import { Rig } from "../support/rig.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 60_000 };
const TOROID = join(import.meta.dirname, "..", "..", "bin", "toroid.ts");

let leaks: Snapshot;
let rig: Rig;

before(async () => {
  leaks = await snapshot();
  rig = await Rig.start();
  await rig.coordinator();
});

after(async () => {
  await rig?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function letters(...args: readonly string[]): Promise<Ran> {
  const env = { ...process.env, TOROID_URL: rig.url, TOROID_USER: "ann" };
  const child = spawn(process.execPath, [TOROID, "dead-letters", ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const out: string[] = [];
  const err: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => out.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => err.push(text));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, out: out.join(""), err: err.join("") };
}

/** The id of the letter with this in its body, once it is listed. */
function idOf(text: string): Promise<string> {
  return until("the letter", async () => {
    const { out } = await letters("ls", "--json");
    const { letters: all } = JSON.parse(out) as { letters: readonly LetterSummary[] };
    return all.find(({ body }) => body.includes(text))?.id ?? null;
  });
}

test("nothing is there, and then what was refused is listed and shown, safe for a terminal", LIMIT, async () => {
  assert.deepEqual(await letters("ls"), { code: 0, out: "", err: "no dead letter waits for anybody\n" });
  await rig.queue.send("not JSON \u0085[31m\nsecond line", { Origin: "me" });
  const id = await idOf("not JSON");
  const listed = await letters("ls");
  assert.match(
    listed.out,
    /^DEAD LETTER +KIND +STATE +AGE +WHAT +WHY\n[0-9a-f]{16} +push +open +\d+s +not JSON .*the body is not JSON\n$/,
  );
  const shown = await letters("show", id);
  assert.equal(shown.code, 0);
  assert.match(
    shown.out,
    new RegExp(
      `^${id}: push, open\n {2}\\S+Z refused: the body is not JSON\nattributes:\n {2}Origin: me\nbody, \\d+ bytes:\n`,
    ),
  );
  assert.ok(!shown.out.includes("\u0085"));
});

test("a replay says what it came to, by its exit code too; to discard one needs a reason", LIMIT, async () => {
  await rig.queue.send({ toroid: 1, repository: "acme/cli", ref: "main", key: "k" });
  const id = await idOf("acme/cli");
  const bad = await letters("replay", id, "--reason", "try");
  assert.equal(bad.code, 1);
  assert.match(bad.out, new RegExp(`^${id} refused: nothing was ever pushed from acme/cli`));
  await rig.post("/api/v1/builds", { repository: "acme/cli", ref: "main", remote: "https://git.example/a.git" });
  const good = await letters("replay", id);
  assert.deepEqual([good.code, good.out], [0, `${id} replayed: it became acme/cli#2\n`]);
  const again = await letters("replay", id, "--json");
  assert.equal((JSON.parse(again.out) as LetterSummary).history.length, 5, "asked twice, done once");
  await rig.queue.send("drop me");
  const other = await idOf("drop me");
  assert.match((await letters("discard", other)).err, /--reason is missing/);
  assert.deepEqual(
    [(await letters("discard", other, "--reason", "noise")).out, (await letters("replay", other)).code],
    [`${other} discarded: noise\n`, 5],
  );
  assert.match((await letters("ls", "--all", "--limit", "1")).out, new RegExp(`${other} +push +discarded`));
  assert.deepEqual(
    [(await letters("show", "0000000000000000")).code, (await letters("show", "nonsense")).code],
    [4, 2],
  );
});
