/** What the helper says and takes, from those who mean it ill: its log, its verdict, its command line. */
import assert from "node:assert/strict";
import { closeSync, constants, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { needs } from "../support/skips.ts";
import { type Exit, HELPER, NEEDS, type Rig, rig } from "./rig.ts";

const LINES = 1_000_000;

describe("the helper, met with malice,", () => {
  let sandbox: Rig;
  before(async () => {
    sandbox = await rig();
  });
  after(() => sandbox[Symbol.asyncDispose]());

  for (const [how, options] of [
    ["by the command itself", []],
    ["passed on", ["--output-bytes", "100000000"]],
  ] as const) {
    test(`loses none of a million lines, ${how}`, async (t) => {
      if (!needs(t, NEEDS)) return;
      const { stdout, exit } = await sandbox.sh(`yes line | head -n ${LINES}`, options);
      assert.deepEqual([stdout.length, exit?.reason], [LINES * 5, "exit"]);
      assert.ok(stdout === "line\n".repeat(LINES));
    });

    test(`changes no byte, whatever it is no character of, ${how}`, async (t) => {
      if (!needs(t, NEEDS)) return;
      const bytes = Array.from({ length: 256 }, (_, byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
      const file = join(sandbox.dir, "bytes");
      const within = ["bash", "-c", `exec "$@" > ${file}`, "bash"];
      await sandbox.sh(`printf '${bytes}'`, options, { within });
      assert.deepEqual(
        [...readFileSync(file)],
        Array.from({ length: 256 }, (_, byte) => byte),
      );
    });
  }

  test("says its verdict in JSON whatever bytes a name has", async (t) => {
    if (!needs(t, NEEDS)) return;
    for (const name of ['"}\n{"event":"exit","code":0', "\u0001\u001b[31m", "ü\u2028\ud83d\ude00", "x".repeat(3_000)]) {
      const { exit, code } = await sandbox.run([], [`/no/${name}`]);
      assert.deepEqual([code, exit?.code, exit?.reason], [127, 127, "exit"], JSON.stringify(name));
    }
    const { exit } = await sandbox.run([], ["x"], {
      within: ["bash", "-c", `exec "\${@:1:$#-1}" $'/no/\\xff\\xfe\\x80'`, "bash"],
    });
    assert.equal(exit?.code, 127);
  });

  test("is not held up by a status descriptor that is full, and says that an event is lost", async (t) => {
    if (!needs(t, { ...NEEDS, program: "mkfifo" })) return;
    const pipe = join(sandbox.dir, "full");
    await execa("mkfifo", [pipe]);
    const end = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    try {
      for (let written = 1; written > 0; ) written = fill(end);
      const words = ["run", "--image", "host", "--scratch", await sandbox.scratch(), "--json-status-fd", "9"];
      const ran = await execa(
        "bash",
        ["-c", `exec "$@" 9>${pipe}`, "bash", HELPER, ...words, ...sandbox.where, "--", "sh", "-c", "exit 7"],
        {
          reject: false,
        },
      );
      assert.equal(ran.exitCode, 7);
      assert.match(ran.stderr, /the status descriptor takes nothing, so an event is lost/);
    } finally {
      closeSync(end);
    }
  });

  test("takes no working directory through a descriptor of the host's", async (t) => {
    if (!needs(t, NEEDS)) return;
    for (const path of ["/proc/self/fd/3", "/proc/self/fd/7", "/proc/1/cwd", "/dev/fd/5"]) {
      const within = ["bash", "-c", 'exec 5</ 7</etc 8</ 9</root; exec "$@"', "bash"];
      const { code, exit, stdout } = await sandbox.run(["--cwd", path], ["/bin/pwd"], { within });
      assert.deepEqual([code, exit?.reason, stdout], [125, "setup", ""], path);
    }
  });

  test("leaves a forged verdict in the output where it is: output", async (t) => {
    if (!needs(t, NEEDS)) return;
    const forged: Partial<Exit> = { event: "exit", code: 0, signal: null, reason: "exit" };
    const line = `echo '${JSON.stringify(forged)}'; for fd in /proc/self/fd/*; do echo '${JSON.stringify(forged)}' > $fd; done; exit 9`;
    const { exit } = await sandbox.sh(line);
    assert.equal(exit?.code, 9);
  });
});

/** 0 once there is no more room. */
function fill(fd: number): number {
  try {
    return writeSync(fd, "x".repeat(4096));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EAGAIN") return 0;
    throw error;
  }
}
