/** What the command prints, where the supervisor passes it on. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { closeSync, constants, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { compileAttempts, NEEDS, type Outcome, type Rig, rig } from "../../abuse/rig.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";

const MIB = 1024 * 1024;
const summary = ({ code, exit }: Outcome): unknown[] => [code, exit?.code, exit?.signal, exit?.reason];
const counted = ({ exit }: Outcome): unknown[] => [exit?.stats["outputBytes"], exit?.stats["outputDroppedBytes"]];

describe("toroid-sandbox, of what a command prints,", () => {
  let sandbox: Rig;
  before(async () => {
    sandbox = await rig();
  });
  after(() => sandbox[Symbol.asyncDispose]());
  /** Its caller is a shell that gives it other files. */
  const within = (line: string): { readonly within: readonly string[] } => ({ within: ["bash", "-c", line, "bash"] });

  test("passes on as much as is allowed, counts the rest, and ends the run as `output`", async (t) => {
    if (!needs(t, NEEDS)) return;
    const chatty = await sandbox.sh("printf 123456789; exec sleep 1000", ["--output-bytes", "5"]);
    assert.deepEqual([chatty.stdout, ...summary(chatty), ...counted(chatty)], ["12345", 143, null, 15, "output", 5, 4]);
    assert.equal(chatty.exit?.message, "it printed more than its 5 bytes");
    const both = await sandbox.sh("printf 123; printf 456 >&2; exec sleep 1000", ["--output-bytes", "5"]);
    assert.deepEqual([both.stdout.length + both.stderr.length, both.exit?.reason], [5, "output"]);
    const exact = await sandbox.sh("printf 12345", ["--output-bytes", "5"]);
    assert.deepEqual([exact.stdout, ...summary(exact), ...counted(exact)], ["12345", 0, 0, null, "exit", 5, 0]);
    const quick = await sandbox.sh("printf 123456", ["--output-bytes", "5"]);
    assert.deepEqual([quick.stdout, quick.exit?.reason, ...counted(quick)], ["12345", "output", 5, 1]);
  });

  test("drops and counts what a command prints that does not mind being ended", async (t) => {
    if (!needs(t, NEEDS)) return;
    const options = ["--output-bytes", "1000", "--grace-ms", "300"];
    const stubborn = await sandbox.sh("trap '' TERM; while :; do echo 0123456789; done", options);
    assert.deepEqual([stubborn.stdout.length, ...summary(stubborn)], [1000, 137, null, 9, "output"]);
    assert.ok(Number(stubborn.exit?.stats["outputDroppedBytes"]) > 1000);
  });

  test("ends a run that has printed nothing for too long as `silence`, and none that still prints", async (t) => {
    if (!needs(t, NEEDS)) return;
    const silent = await sandbox.sh("echo last; exec sleep 1000", ["--silence-ms", "300"]);
    assert.deepEqual([silent.stdout, ...summary(silent)], ["last\n", 124, null, 15, "silence"]);
    assert.equal(silent.exit?.message, "it was ended after it had printed nothing for 300 ms");
    const noisy = await sandbox.sh("for i in 1 2 3 4 5 6; do sleep 0.2; echo $i; done", ["--silence-ms", "1000"]);
    assert.deepEqual([noisy.stdout, noisy.code], ["1\n2\n3\n4\n5\n6\n", 0]);
    const closed = await sandbox.sh("exec >&- 2>&-; exec sleep 1000", ["--silence-ms", "300"]);
    assert.equal(closed.exit?.reason, "silence");
  });

  test("keeps the order of stdout and stderr where they are one file, and both apart where not", async (t) => {
    if (!needs(t, NEEDS)) return;
    const line = "for i in $(seq 500); do echo out $i; echo err $i >&2; done";
    const options = ["--output-bytes", String(MIB)];
    const one = await sandbox.sh(line, options, within('exec "$@" 2>&1'));
    const numbers = Array.from({ length: 500 }, (_, index) => index + 1);
    assert.equal(one.stdout, numbers.map((n) => `out ${n}\nerr ${n}\n`).join(""));
    const two = await sandbox.sh(line, options);
    assert.equal(two.stdout, numbers.map((n) => `out ${n}\n`).join(""));
    assert.equal(two.stderr, numbers.map((n) => `err ${n}\n`).join(""));
  });

  test("gives pipes that the command can open again, whoever it runs as", async (t) => {
    if (!needs(t, NEEDS)) return;
    const line = "echo a > /dev/stdout; echo b > /dev/stderr; echo c > /proc/self/fd/1";
    for (const user of ["0:0", "1000:7"]) {
      const outcome = await sandbox.sh(line, ["--silence-ms", "60000", "--user", user]);
      assert.deepEqual([outcome.code, outcome.stdout, outcome.stderr], [0, "a\nc\n", "b\n"]);
    }
  });

  test("passes 100 MiB on unchanged, into a pipe, a socket and the end of a file", async (t) => {
    if (!needs(t, NEEDS)) return;
    const options = ["--output-bytes", String(200 * MIB)];
    const line = "head -c 104857600 /dev/zero | tr '\\0' x; printf 'end\\377'";
    const expected = createHash("sha256")
      .update("x".repeat(100 * MIB))
      .update(Buffer.from("656e64ff", "hex"));
    const digest = expected.digest("hex");
    const file = join(sandbox.dir, "file");
    assert.equal((await sandbox.sh(line, options, within('"$@" | sha256sum'))).stdout, `${digest}  -\n`);
    const { stdout, exit } = await sandbox.sh(line, options);
    assert.ok(stdout === `${"x".repeat(100 * MIB)}end\ufffd`, `${stdout.length} characters`);
    assert.deepEqual([exit?.stats["outputBytes"], exit?.reason], [100 * MIB + 4, "exit"]);
    for (const text of ["one", "two"]) await sandbox.sh(`echo ${text}`, options, within(`exec "$@" >> ${file}`));
    assert.equal(await readFile(file, "utf8"), "one\ntwo\n");
  });

  test("is told when nobody reads any more, as without us", async (t) => {
    if (!needs(t, NEEDS)) return;
    const head = within('"$@" | head -n 1; exit $PIPESTATUS');
    const outcome = await sandbox.run(["--output-bytes", String(64 * MIB)], ["yes"], head);
    assert.deepEqual([outcome.stdout, ...summary(outcome)], ["y\n", 141, null, 13, "signal"]);
  });

  test("waits with the command for a caller that does not read, and not with the clock", async (t) => {
    if (!needs(t, { ...NEEDS, program: "mkfifo" })) return;
    const pipe = join(sandbox.dir, "unread");
    await execa("mkfifo", [pipe]);
    const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      // Held up, it is not silent; out of time it is.
      const limits = [
        "--silence-ms",
        "200",
        "--wall-ms",
        "1500",
        "--output-bytes",
        String(64 * MIB),
        "--grace-ms",
        "100",
      ];
      await using running = await sandbox.start(
        limits,
        ["sh", "-c", "trap '' TERM; yes; sleep 1000"],
        within(`exec "$@" > ${pipe}`),
      );
      const { pid } = await running.heard("started");
      await until(
        "everything inside to be dead",
        async () => !(await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")),
      );
      running.kill("SIGTERM"); // the caller does not want the rest
      const outcome = await running.outcome;
      assert.equal(outcome.exit?.reason, "timeout");
      assert.ok(Number(outcome.exit?.stats["outputDroppedBytes"]) > 0, JSON.stringify(outcome.exit));
    } finally {
      closeSync(reader);
    }
  });

  test("does not wait for daemons that hold the output", async (t) => {
    if (!needs(t, { ...NEEDS, program: "cc" })) return;
    const bind = ["--bind", `${await compileAttempts(sandbox.dir)}:/attempts:ro`];
    const outcome = await sandbox.run(
      [...bind, "--output-bytes", "1000"],
      ["/attempts/attempts", "escape_session", "escape_session"],
    );
    assert.deepEqual([outcome.stdout, outcome.code], ["escape_session done\nescape_session done\n", 0]);
    assert.ok((outcome.gone?.leftoverProcesses ?? 0) >= 2);
  });
});
