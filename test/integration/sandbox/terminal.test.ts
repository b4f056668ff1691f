/** `--pty`: a terminal of the sandbox's own, between the command and a caller who may have one too. */
import assert from "node:assert/strict";
import { type FileHandle, mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { ATTEMPTS, assertRefused } from "../../abuse/attempts.ts";
import { compileAttempts, HELPER, NEEDS, type Options, type Rig, type Running, rig } from "../../abuse/rig.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";

const PTY = ["--pty"];
const NEEDED = { ...NEEDS, program: ["script", "stty", "mkfifo", "bash"] } as const;

describe("a terminal for the command", () => {
  let sandbox: Rig;
  let count = 0;
  before(async () => {
    sandbox = await rig();
  });
  after(() => sandbox[Symbol.asyncDispose]());
  const within = (line: string): Options => ({ within: ["bash", "-c", line, "bash"] });

  /** Who types into it. */
  async function typist(line: string): Promise<{ readonly running: Running; readonly keys: FileHandle }> {
    count += 1;
    const pipe = join(sandbox.dir, `keys-${count}`);
    await execa("mkfifo", [pipe]);
    const keys = await open(pipe, "r+");
    return { running: await sandbox.start(PTY, ["bash", "-c", line], within(`exec "$@" < ${pipe}`)), keys };
  }

  /** Runs lines of shell on a terminal of the caller's, in which `$RUN` is the helper up to the command. */
  async function onTerminal(lines: string): Promise<string> {
    const scratch = await sandbox.scratch();
    const run = [HELPER, "run", "--image", "host", "--scratch", scratch, ...sandbox.where, ...PTY].join(" ");
    const file = join(sandbox.dir, `lines-${(count += 1)}`);
    await writeFile(file, lines);
    const { stdout } = await execa("script", ["-qec", `bash ${file}`, "/dev/null"], {
      env: { RUN: run, DIR: sandbox.dir },
      input: "",
      timeout: 20_000,
    });
    return stdout.replaceAll("\r", "").replaceAll("\0", "");
  }

  test("is its stdin, stdout and stderr and controls its session, whoever it runs as", async (t) => {
    if (!needs(t, NEEDED)) return;
    const line = "test -t 0 && test -t 1 && test -t 2 && tty && echo through > /dev/tty && stat -c %u:%a $(tty)";
    for (const [user, owner] of [
      ["0:0", "0"],
      ["1000:7", "1000"],
    ] as const) {
      const outcome = await sandbox.sh(line, [...PTY, "--user", user]);
      assert.deepEqual(
        [outcome.code, outcome.stdout],
        [0, `/dev/pts/0\r\nthrough\r\n${owner}:620\r\n`],
        outcome.stderr,
      );
    }
    const plain = await sandbox.sh("test -t 1 || echo none; echo > /dev/tty", []);
    assert.equal(plain.stdout, "none\n");
  });

  test("is typed into by the caller's stdin, whose end is the end of what is typed", async (t) => {
    if (!needs(t, NEEDED)) return;
    const whole = await sandbox.run(PTY, ["cat"], within("printf 'one\\ntwo\\n' | \"$@\""));
    assert.deepEqual([whole.stdout, whole.code], ["one\r\ntwo\r\none\r\ntwo\r\n", 0]);
    const part = await sandbox.run(PTY, ["cat"], within("printf 'part' | \"$@\""));
    assert.deepEqual([part.stdout, part.code], ["partpart", 0]);
  });

  test("turns Ctrl-C into a signal for what is in its foreground", async (t) => {
    if (!needs(t, NEEDED)) return;
    const { running, keys } = await typist("trap 'echo interrupted; exit 3' INT; echo up; while :; do sleep 1; done");
    try {
      await running.printed("up");
      await keys.write("\x03");
      const { stdout, exit } = await running.outcome;
      assert.match(stdout, /interrupted/);
      assert.deepEqual([exit?.code, exit?.reason], [3, "exit"]);
    } finally {
      await keys.close();
    }
  });

  test("is gone when the caller's is: who is told by HUP hears it, and all ends", async (t) => {
    if (!needs(t, NEEDED)) return;
    const told = join(sandbox.dir, "told");
    await mkdir(told);
    const line = "trap 'echo hung up > /told/how; exit' HUP; trap '' TERM; echo up; while :; do sleep 1; done";
    await using running = await sandbox.start([...PTY, "--bind", `${told}:/told`], ["bash", "-c", line]);
    await running.printed("up");
    running.kill("SIGHUP");
    assert.equal((await running.outcome).exit?.reason, "cancelled");
    assert.equal(await readFile(join(told, "how"), "utf8"), "hung up\n");
  });

  test("is counted and watched as other output is", async (t) => {
    if (!needs(t, NEEDED)) return;
    const chatty = await sandbox.sh("yes", [...PTY, "--output-bytes", "1000"]);
    assert.deepEqual([chatty.stdout.length, chatty.exit?.reason], [1000, "output"]);
    assert.equal((await sandbox.sh("sleep 1000", [...PTY, "--silence-ms", "200"])).exit?.reason, "silence");
  });

  test("refuses to type by itself, and every other attempt", async (t) => {
    if (!needs(t, { ...NEEDED, program: "cc" })) return;
    const bind = ["--bind", `${await compileAttempts(sandbox.dir)}:/attempts:ro`];
    const { stdout } = await sandbox.run([...PTY, ...bind], ["/attempts/attempts", ...Object.keys(ATTEMPTS)]);
    const answers = new Map(stdout.split("\r\n").map((line) => [line.split(" ")[0] ?? "", line.split(" ")[1] ?? ""]));
    // It has one now, and that is its own.
    assert.equal(answers.get("tty_of_the_caller"), "done");
    assertRefused(answers.set("tty_of_the_caller", ATTEMPTS["tty_of_the_caller"] ?? ""));
  });

  for (const [how, options, command] of [
    ["it exits", "", "sh -c 'exit 3'"],
    ["it is out of time", "--wall-ms 300", "sleep 1000"],
    ["it is not there", "", "no-such-program"],
    ["it cannot be set up", "--cwd /no/such", "true"],
  ] as const) {
    test(`gives the caller's back as it was when ${how}`, async (t) => {
      if (!needs(t, NEEDED)) return;
      const said = await onTerminal(`before=$(stty -g); $RUN ${options} -- ${command}
        [ "$(stty -g)" = "$before" ] && echo given back`);
      assert.match(said, /given back/);
    });
  }

  for (const signal of ["TERM", "INT", "HUP", "USR1", "ALRM"]) {
    test(`makes the caller's raw, and gives it back as it was when the helper gets ${signal}`, async (t) => {
      if (!needs(t, NEEDED)) return;
      const said = await onTerminal(`before=$(stty -g); rm -f $DIR/pid
        (until [ -s $DIR/pid ] && stty -F /dev/tty -a | grep -q -e -icanon; do sleep 0.02; done
          kill -${signal} $(cat $DIR/pid)) < /dev/null &
        sh -c 'echo $$ > $DIR/pid; exec $RUN -- sleep 1000'
        [ "$(stty -g)" = "$before" ] && echo given back; wait`);
      assert.match(said, /given back/);
    });
  }

  test("has the size of the caller's, and follows it", async (t) => {
    if (!needs(t, NEEDED)) return;
    const said = await onTerminal(`
      stty rows 33 cols 77
      (until [ -e $DIR/first ]; do sleep 0.02; done; stty -F /dev/tty rows 50 cols 120) < /dev/null &
      $RUN --bind $DIR:/shared -- sh -c 'stty size; echo > /shared/first
        until [ "$(stty size)" = "50 120" ]; do sleep 0.02; done; echo followed'
      wait`);
    assert.match(said, /33 77\n.*followed/s);
  });

  test("is the caller's to lose: a helper that is killed outright ends the run all the same", async (t) => {
    if (!needs(t, NEEDED)) return;
    const running = await sandbox.start(PTY, ["sh", "-c", "echo up; sleep 1000"]);
    const { pid } = await running.heard("started");
    await running.printed("up");
    running.kill("SIGKILL");
    await running.outcome;
    await until("pid 1 to be dead", async () => (await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")) === "");
    await execa(HELPER, [
      "gc",
      "--state",
      sandbox.dir,
      ...(sandbox.cgroup === null ? [] : ["--cgroup", sandbox.cgroup]),
    ]);
  });
});
