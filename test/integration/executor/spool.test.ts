/** What an executor has to say while nobody can hear it: it is said later, unless the stage is another's by then. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { StageId } from "../../../protocol/ids.ts";
import { PRESENCE_TTL_MS } from "../../../protocol/streams.ts";
import { type Child, script } from "../../support/child.ts";
import { sandboxesOf } from "../../support/sandboxes.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { NEEDS, quiet, type Rig, rigForAll } from "./rig.ts";

const T = { timeout: 120_000 };
const LONG = { withinMs: 60_000 };
const PROCESS = join(import.meta.dirname, "executor-process.ts");

let rig: Rig;
rigForAll((made) => {
  rig = made;
});

/** An executor as a process, in a pool of its own unless `more` names another. */
const spawnExecutor = (name: string, more: Record<string, string> = {}): Child =>
  script(PROCESS, [], { ...rig.variables(name, { TOROID_POOL: name, ...more }), TOROID_LOG_LEVEL: quiet.level });

const doing = (...lines: string[]) => ({ phases: { install: [], script: lines, publish: [], after: [] } });
const typesOf = async (id: StageId): Promise<readonly string[]> => (await rig.events(id)).map(({ type }) => type);
const spoolOf = (name: string): Promise<string[]> => readdir(join(rig.dir.path, name, "spool"));
const nothingLeft = (name: string) => until("nothing to be left", async () => (await spoolOf(name)).length === 0, LONG);

/** What a script waits for in its checkout, and who lets the scripts of an executor go on. */
const GO = "until test -e go; do sleep 0.05; done";

async function letGo(name: string): Promise<void> {
  const workspaces = join(rig.dir.path, name, "workspaces");
  for (const one of await readdir(workspaces)) await writeFile(join(workspaces, one, "src", "go"), "");
}

describe("while NATS is away", () => {
  test("a stage that ends has ended, and its log is whole, when NATS is back much later", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using executor = rig.executor("ends", { TOROID_POOL: "ends" });
    await using _other = rig.executor("ends-other", { TOROID_POOL: "ends", TOROID_SLOTS: "1" });
    const both = async (): Promise<boolean> =>
      (await rig.presences()).filter(({ pool }) => pool === "ends").length === 2;
    await until("both to be there", both, LONG);
    const id = await rig.queue(await rig.stageWork(doing("echo begun", GO, "seq 30000", "echo done")), "ends");
    await until("the script to run", async () => (await rig.output(id)).includes("begun"), LONG);
    await rig.server.kill("SIGKILL");
    for (const name of ["ends", "ends-other"]) await letGo(name);
    await until(
      "the end to be on disk",
      async () => [...(await spoolOf("ends")), ...(await spoolOf("ends-other"))].some((name) => name.endsWith(".end")),
      LONG,
    );
    // Longer than any lease: both have let go of what they held.
    await until("no sandbox", async () => (await sandboxesOf(executor.pid)).length === 0, LONG);
    await sleep(PRESENCE_TTL_MS);
    await rig.server.restart();
    assert.equal((await rig.result(id, 60_000)).outcome, "passed");
    assert.deepEqual(await typesOf(id), ["queued", "claimed", "started", "finished"]);
    await until("the log to end", async () => (await rig.log(id)).at(-1)?.kind === "end", LONG);
    const numbers = Array.from({ length: 30_000 }, (_, n) => `${n + 1}\n`).join("");
    assert.equal((await rig.output(id)).toString(), `begun\n${numbers}done\n`);
    await until("the command to be settled", async () => (await rig.commandsLeft("ends")) === 0, LONG);
    for (const name of ["ends", "ends-other"]) await nothingLeft(name);
  });

  test("what a stage printed before it was let go of is told, with the reason why it stops there", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const lines = ["echo begun", 'test "$TOROID_ATTEMPT" -gt 1 || { ' + GO + "; seq 5000; sleep 1000; }"];
    await using executor = rig.executor("cut", { TOROID_POOL: "cut" });
    const id = await rig.queue(await rig.stageWork(doing(...lines)), "cut");
    await until("the script to run", async () => (await rig.output(id)).includes("begun"), LONG);
    await rig.server.kill("SIGKILL");
    await letGo("cut");
    await until("no sandbox", async () => (await sandboxesOf(executor.pid)).length === 0, LONG);
    await rig.server.restart();
    assert.equal((await rig.result(id, 60_000)).outcome, "passed");
    await until("the log to end", async () => (await rig.log(id)).at(-1)?.kind === "end", LONG);
    const said = (await rig.output(id)).toString();
    assert.match(said, /^begun\n1\n2\n[\d\n]*\n5000\ntoroid: this attempt ends here: NATS was away, [^\n]*\n$/);
    assert.equal((await rig.output(id, 2)).toString(), "begun\n");
    await nothingLeft("cut");
  });
});

describe("an executor that dies between the end of a stage and its report", () => {
  test("reports it when it starts again, and nothing is run twice", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const id = await rig.queue(await rig.stageWork(doing("echo once")), "again");
    await using dying = spawnExecutor("again", { TOROID_CRASH_AT: "executor-before-finish" });
    assert.equal((await dying.exited).signal, "SIGKILL");
    assert.equal((await spoolOf("again")).length, 1);
    await using _again = spawnExecutor("again");
    assert.equal((await rig.result(id, 60_000)).outcome, "passed");
    assert.deepEqual(await typesOf(id), ["queued", "claimed", "started", "finished"]);
    await nothingLeft("again");
    await until("the command to be settled", async () => (await rig.commandsLeft("again")) === 0, LONG);
  });

  test("says nothing of it when another has taken it over meanwhile", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const id = await rig.queue(await rig.stageWork(doing('echo "attempt $TOROID_ATTEMPT"')), "fenced");
    await using dying = spawnExecutor("fenced", { TOROID_CRASH_AT: "executor-before-finish" });
    assert.equal((await dying.exited).signal, "SIGKILL");
    await using _other = spawnExecutor("fenced-other", { TOROID_POOL: "fenced" });
    assert.equal((await rig.result(id, 60_000)).outcome, "passed");
    const told = await typesOf(id);
    assert.deepEqual(told, ["queued", "claimed", "started", "claimed", "started", "finished"]);
    await using _again = spawnExecutor("fenced");
    await nothingLeft("fenced");
    assert.deepEqual(await typesOf(id), told);
  });

  test("throws away what cannot be read, and starts", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using first = rig.executor("damaged", { TOROID_POOL: "damaged" });
    await until("it to be there", async () => (await rig.presences()).some(({ pool }) => pool === "damaged"), LONG);
    first.stop();
    await first.ended;
    const spool = join(rig.dir.path, "damaged", "spool");
    for (const name of ["7.end", "7.log", "8.end.draft", "nonsense"]) await writeFile(join(spool, name), "\x05\x00");
    await using _again = rig.executor("damaged", { TOROID_POOL: "damaged" });
    await nothingLeft("damaged");
    assert.ok(existsSync(spool));
    const id = await rig.queue(await rig.stageWork(doing("true")), "damaged");
    assert.equal((await rig.result(id, 60_000)).outcome, "passed");
  });
});
