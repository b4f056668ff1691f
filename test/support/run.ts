/**
 * `npm test`: every test file in a process of its own, by node's test runner, group after group; then what was
 * skipped and why, and whether anything of ours is left on the machine.
 *
 *   npm test                               everything but the benchmark and the virtual machine
 *   npm test -- unit integration           groups
 *   npm test -- test/unit/ids.test.ts      files or directories
 *   npm test -- --name 'a pushed tag'      tests whose title matches
 */
import { chmodSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { run } from "node:test";
import { spec, type TestEvent } from "node:test/reporters";
import { parseArgs } from "node:util";
import { killSince, leaksSince, snapshot } from "./leaks.ts";
import { GROUPS, type Group, select } from "./run/select.ts";
import { Tally } from "./run/tally.ts";
import { removeTree } from "./temp.ts";

const ROOT = join(import.meta.dirname, "..", "..");
/** For a test that names no limit of its own. */
const TEST_MS = 60_000;
/** No event from any file for so long: one of them hangs after its last test, with a handle open. */
const QUIET_MS = 180_000;
/** How long files that are cut short may take to end. What they started may hold their output open for ever. */
const CUT_SHORT_MS = 10_000;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { name: { type: "string" }, "quiet-ms": { type: "string" } },
  });
  const groups = select(ROOT, positionals);
  if (groups.length === 0) {
    console.error(`no test file found in ${positionals.join(", ") || `test/{${GROUPS.join(",")}}`}`);
    return 1;
  }
  const stop = new AbortController();
  const interrupt = (): void => stop.abort(new Error("interrupted"));
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  const begin = performance.now();
  const home = mkdtempSync(join(tmpdir(), "toroid-t-"));
  // Executors run as users of their own, and what they are given lies below.
  chmodSync(home, 0o755);
  process.env["TMPDIR"] = home;
  try {
    const before = await snapshot("run");
    stop.signal.addEventListener("abort", () => setTimeout(() => void killSince(before), CUT_SHORT_MS).unref());
    const tally = new Tally(ROOT);
    const quietMs = Number(values["quiet-ms"] ?? QUIET_MS);
    const events = Readable.from(eventsOf(groups, tally, { name: values.name, quietMs, stop }));
    await pipeline(events, new spec(), process.stdout, { end: false });
    // Files that were cut short leave their directories; those go with ours.
    const left = (await leaksSince(before)).filter((thing) => !stop.signal.aborted || !thing.startsWith("temp "));
    report(tally, left, performance.now() - begin);
    const failed = tally.hasFailed(values.name !== undefined) || left.length > 0 || stop.signal.aborted;
    return failed ? 1 : 0;
  } finally {
    await removeTree(home);
  }
}

interface Limits {
  /** Only tests with such a title. */
  readonly name: string | undefined;
  readonly quietMs: number;
  /** Ends the run: aborted by a signal, or by the run itself when it hangs. */
  readonly stop: AbortController;
}

/** All groups as one stream for the reporter. */
async function* eventsOf(groups: readonly Group[], tally: Tally, { name, quietMs, stop }: Limits) {
  for (const { files, concurrency } of groups) {
    if (stop.signal.aborted) return;
    const stream = run({
      files: [...files],
      concurrency,
      timeout: TEST_MS,
      signal: stop.signal,
      ...(name === undefined ? {} : { testNamePatterns: [name] }),
    });
    const hung = setTimeout(() => {
      console.error(`no sign of life for ${quietMs / 1000} s: a test file hangs after its last test`);
      stop.abort(new Error("a test file hangs"));
    }, quietMs);
    for await (const event of stream as AsyncIterable<TestEvent>) {
      hung.refresh();
      if (tally.add(event)) yield event;
    }
    clearTimeout(hung);
  }
}

function report(tally: Tally, left: readonly string[], durationMs: number): void {
  console.log(`\n${tally.summary(durationMs)}\n\n${tally.skips()}`);
  for (const file of tally.empty) console.error(`no test ran in ${file}`);
  if (left.length > 0) console.error(`left behind by this run:\n${left.map((thing) => `  ${thing}`).join("\n")}`);
}
