/**
 * The helper for the other architecture, as far as a machine of this one can tell: it is built without a warning, and
 * under an emulator of user programs it reads its command line. Namespaces, mounts and filters are the kernel's, which is
 * not emulated: no run is proved here. The filter is, by test/unit/sandbox/seccomp.test.ts.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { execa } from "execa";
import { missing, needs } from "../../support/skips.ts";

const SANDBOX = join(import.meta.dirname, "..", "..", "..", "sandbox");
const BUILT = join(SANDBOX, "build", "aarch64", "toroid-sandbox");
const NEEDED = {
  program: ["make", "aarch64-linux-gnu-gcc", "qemu-aarch64-static"],
  other: process.arch === "x64" ? undefined : "needs an x86-64 machine: elsewhere this is no other architecture",
} as const;

describe("toroid-sandbox for aarch64", () => {
  before(async () => {
    if (missing(NEEDED) === undefined) await execa("make", ["-s", "-C", SANDBOX, "aarch64"]);
  });

  const ask = async (...words: readonly string[]): Promise<{ readonly code?: number; readonly said: string }> => {
    const { exitCode, stdout, stderr } = await execa("qemu-aarch64-static", [BUILT, ...words], { reject: false });
    return { ...(exitCode === undefined ? {} : { code: exitCode }), said: stdout + stderr };
  };

  test("is a static program of that architecture", async (t) => {
    if (!needs(t, NEEDED)) return;
    const { stdout } = await execa("aarch64-linux-gnu-readelf", ["-h", "-l", BUILT]);
    assert.match(stdout, /Machine: +AArch64/);
    assert.doesNotMatch(stdout, /INTERP/);
  });

  test("says the same of itself as the one for this machine", async (t) => {
    if (!needs(t, NEEDED)) return;
    const here = join(SANDBOX, "build", "toroid-sandbox");
    for (const words of [["--version"], ["--help"], ["run", "--help"], ["serve", "--help"], ["net", "--help"]]) {
      const { stdout } = await execa(here, words);
      assert.deepEqual(await ask(...words), { code: 0, said: stdout });
    }
  });

  test("answers a wrong command line with 125 and the same sentence", async (t) => {
    if (!needs(t, NEEDED)) return;
    const CASES: readonly (readonly [RegExp, readonly string[]])[] = [
      [/a command is missing/, ["run", "--image", "host"]],
      [/--pids wants a whole number from 2 to 4194304, not `1`$/, ["run", "--pids", "1", "--", "true"]],
      [/no option `--frobnicate`/, ["run", "--frobnicate", "--", "true"]],
      [/--user wants UID:GID/, ["run", "--user", "65536:0", "--", "true"]],
      [/there is no such command/, ["frobnicate"]],
      [/usage: toroid-sandbox gc --state DIR/, ["gc"]],
    ];
    for (const [sentence, words] of CASES) {
      const { code, said } = await ask(...words);
      assert.equal(code, 125);
      assert.match(said, sentence);
    }
  });
});
