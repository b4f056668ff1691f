import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { NEEDS, type Outcome, type Rig, rig } from "../../abuse/rig.ts";
import { needs } from "../../support/skips.ts";

const CAP = 16 * 1024 * 1024;
const LIMITED = ["--disk-bytes", String(CAP), "--allow-weak", "no-limit-diskBytes"];
const FILL = "dd if=/dev/zero of=/var/filled bs=64k count=1000";

/** What `test/vm/disk.test.ts` proves of each way; here, of whichever this host has. */
describe("toroid-sandbox run with a limit of its disk", () => {
  let sandbox: Rig;
  before(async () => {
    sandbox = await rig();
  });
  after(() => sandbox[Symbol.asyncDispose]());

  /** False where this host cannot hold it, which has to be said. */
  const isHeld = ({ created }: Outcome): boolean => {
    const said = created?.limits["diskBytes"] ?? "";
    assert.match(said, /^(enforced: (project quota|a file system of its own, in)|unsupported: .+, so )/);
    assert.equal(created?.weak.includes("no-limit-diskBytes"), said.startsWith("unsupported"));
    return said.startsWith("enforced");
  };

  for (const [where, more] of [
    ["on disk", []],
    ["in memory", ["--disk-in-memory"]],
  ] as const) {
    test(`${where} writes what it may, goes on in a scratch that was kept, and leaves nothing`, async (t) => {
      if (!needs(t, NEEDS)) return;
      const scratch = await sandbox.scratch();
      const options = [...LIMITED, ...more];
      const first = await sandbox.sh("echo kept > /var/kept", [...options, "--keep-scratch"], { scratch });
      assert.equal(first.code, 0, first.stderr);
      const second = await sandbox.sh(`cat /var/kept; ${FILL}`, options, { scratch });
      assert.equal(second.stdout, "kept\n", second.stderr);
      if (isHeld(second)) assert.deepEqual([second.code, second.exit?.reason], [1, "disk"], second.stderr);
      await sandbox.assertClean();
      assert.equal((await readdir(sandbox.dir)).filter((name) => name.startsWith("scratch-")).length, 0);
    });
  }

  test("counts a bind that is to be counted, or says that it does not", async (t) => {
    if (!needs(t, NEEDS)) return;
    const given = join(sandbox.dir, "given");
    await mkdir(given);
    const outcome = await sandbox.sh(FILL.replace("/var", "/given"), [...LIMITED, "--bind", `${given}:/given:counted`]);
    const said = outcome.created?.limits["diskBytes"] ?? "";
    if (said.startsWith("enforced")) assert.equal(outcome.exit?.reason, "disk");
    else assert.match(said, /^unsupported: (.*given is not counted by|disk: )/);
  });
});
