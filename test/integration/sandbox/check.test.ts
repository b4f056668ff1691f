/** What `toroid-sandbox check` finds, on this machine and on worse ones: each is made of namespaces of the test's own. */
import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { execa } from "execa";
import { HELPER, NEEDS } from "../../abuse/rig.ts";
import { needs } from "../../support/skips.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import { rootlessRig } from "../rootless-rig.ts";

interface Check {
  readonly id: string;
  readonly verdict: "works" | "weak" | "lacks";
  readonly says: string;
  readonly follows?: string;
  readonly how?: string;
}
interface Checked {
  readonly code: number | undefined;
  readonly ok: boolean;
  readonly root: boolean;
  readonly allow: readonly string[];
  readonly checks: readonly Check[];
}

/** In scripts and in the manual: they are added to, and never renamed. */
const FOR_ALL = (
  "kernel namespaces cgroup-namespace image-host overlay overlay-detached devices proc seccomp pidfd network-none " +
  "cgroup cgroup-enter cgroup-kill limit-memory limit-pids limit-cpu limit-io run"
).split(" ");
const FOR_ROOT = ["owners", "network-pool", "project-quota"];
const FOR_USERS = ["subordinate-uids"];

async function check(within: readonly string[], ...words: readonly string[]): Promise<Checked> {
  const [program = "", ...rest] = [...within, "check", "--json", ...words];
  const { exitCode, stdout } = await execa(program, rest, { reject: false });
  const said: Omit<Checked, "code"> = JSON.parse(stdout);
  return { code: exitCode, ...said };
}

/** In namespaces of its own, after a line of shell. */
function after(line: string, ...namespaces: readonly string[]): readonly string[] {
  return ["unshare", ...namespaces, "sh", "-ec", `${line}\nexec "$@"`, "sh", HELPER];
}

function of(checked: Checked, id: string): Check {
  const found = checked.checks.find((one) => one.id === id);
  assert.ok(found, `${id} is not among ${checked.checks.map((one) => one.id).join()}`);
  return found;
}

/** What does not work says what follows and how to get it. */
function assertHelpful({ code, ok, checks }: Checked): void {
  for (const { id, verdict, says, follows, how } of checks) {
    assert.match(says, /^\S.*[^.]$/, id);
    if (verdict === "works") assert.deepEqual([follows, how], [undefined, undefined], id);
    else assert.match(`${follows ?? ""} ${how ?? ""}`, /^[A-Z-].*\. .+\.$/, id);
  }
  const lacks = checks.some(({ verdict }) => verdict === "lacks");
  assert.deepEqual([ok, code], [!lacks, lacks ? 1 : 0]);
}

describe("toroid-sandbox check", () => {
  test("tries for root what root's runs need and can use, each under a name that stays", async (t) => {
    if (!needs(t, NEEDS)) return;
    await using dir = await tempDir();
    const checked = await check([HELPER], "--state", dir.path);
    assert.equal(checked.root, true);
    assert.deepEqual(checked.checks.map(({ id }) => id).sort(), [...FOR_ALL, ...FOR_ROOT].sort());
    assertHelpful(checked);
    assert.equal(of(checked, "run").verdict, "works");
    await until("what it tried to be gone", async () => (await readdir(dir.path)).length === 0);
  });

  test("says the same to people, in lines that begin with the verdict and the name", async (t) => {
    if (!needs(t, NEEDS)) return;
    const { checks } = await check([HELPER]);
    const { stdout } = await execa(HELPER, ["check"], { reject: false });
    const lines = stdout.split("\n").filter((line) => !line.startsWith(" "));
    const last = lines.pop() ?? "";
    assert.deepEqual(
      lines,
      checks.map(({ id, verdict, says }) => `${verdict.padEnd(5)}  ${id.padEnd(16)}  ${says}.`),
    );
    assert.match(last, /^toroid-sandbox run (works|will not work) here/);
  });

  test("says so of each of several that are tried at once", async (t) => {
    if (!needs(t, NEEDS)) return;
    await using dir = await tempDir();
    const all = await Promise.all(Array.from({ length: 6 }, () => check([HELPER], "--state", dir.path)));
    const said = new Set(all.map((checked) => of(checked, "project-quota").says));
    assert.equal(said.size, 1, [...said].join("\n"));
    await until("what they tried to be gone", async () => (await readdir(dir.path)).length === 0);
  });

  test("holds what may be gone without against the host until it is allowed by name", async (t) => {
    if (!needs(t, NEEDS)) return;
    const before = await check([HELPER]);
    const allowed = await check([HELPER], ...before.allow.flatMap((name) => ["--allow-weak", name]));
    assert.deepEqual([allowed.allow, allowed.ok], [[], true]);
    for (const { id, verdict } of before.checks)
      assert.equal(of(allowed, id).verdict, verdict === "lacks" ? "weak" : verdict, id);
  });

  test("tries for a user what the user's runs are like, and leaves nothing of it", async (t) => {
    if (!needs(t, { ...NEEDS, program: ["setpriv", "newuidmap"] })) return;
    for (const who of ["ranges", "alone"] as const) {
      await using sandbox = await rootlessRig(who, false);
      const state = await sandbox.directory("state");
      const checked = await check(sandbox.helper, "--state", state);
      assert.equal(checked.root, false);
      assert.deepEqual(checked.checks.map(({ id }) => id).sort(), [...FOR_ALL, ...FOR_USERS].sort());
      assertHelpful(checked);
      assert.equal(of(checked, "run").verdict, "works");
      assert.equal(of(checked, "subordinate-uids").verdict, who === "ranges" ? "works" : "lacks");
      assert.equal(checked.allow.includes("single-uid"), who === "alone");
      assert.match(of(checked, "image-host").how ?? "", /toroid-sandbox unpack/);
      assert.match(of(checked, "cgroup").how ?? "", /Delegate=yes/);
      await until("what it tried to be gone", async () => (await readdir(state)).length === 0);
    }
  });

  test("finds a cgroup that was delegated to a user, and one that the user is outside of", async (t) => {
    if (!needs(t, { ...NEEDS, program: ["setpriv", "newuidmap"] })) return;
    await using sandbox = await rootlessRig("ranges", true);
    if (sandbox.base.cgroup === null) return t.skip("it needs a cgroup v2");
    const state = await sandbox.directory("state");
    const words = ["--state", state, "--cgroup", sandbox.base.cgroup];
    const inside = await check(sandbox.helper, ...words);
    assert.deepEqual([of(inside, "cgroup").verdict, of(inside, "cgroup-enter").verdict], ["works", "works"]);
    const outside = await check(["env", "CALLER_STAYS=1", ...sandbox.helper], ...words);
    assert.match(of(outside, "cgroup-enter").says, /EACCES/);
    assert.match(of(outside, "cgroup-enter").how ?? "", /from within/);
    assert.equal(of(outside, "run").verdict, "lacks");
  });

  const WORSE: readonly (readonly [string, string, readonly string[], Readonly<Record<string, RegExp>>])[] = [
    [
      "a /proc that is covered, as in a container",
      "mount --bind /dev/null /proc/cmdline",
      ["--mount"],
      { proc: /systempaths=unconfined/, run: /\S/ },
    ],
    [
      "a host that makes no user namespaces",
      "echo 0 > /proc/sys/user/max_user_namespaces",
      ["--user", "--map-root-user"],
      { namespaces: /user\.max_user_namespaces/, run: /namespaces/ },
    ],
    [
      "a host without cgroup v2",
      "mount -t tmpfs -o size=1m tmpfs /sys/fs/cgroup",
      ["--mount"],
      { cgroup: /cgroup_no_v1=all/ },
    ],
  ];
  for (const [what, line, namespaces, lacks] of WORSE) {
    test(`tells of ${what} by name, with what to do`, async (t) => {
      if (!needs(t, NEEDS)) return;
      const checked = await check(after(line, ...namespaces));
      assertHelpful(checked);
      for (const [id, how] of Object.entries(lacks)) {
        assert.equal(of(checked, id).verdict, "lacks");
        assert.match(of(checked, id).how ?? "", how);
      }
    });
  }

  test("tells of a state directory on an overlay, as in a container", async (t) => {
    if (!needs(t, NEEDS)) return;
    await using dir = await tempDir();
    for (const name of ["lower", "upper", "work", "merged"]) await mkdir(join(dir.path, name));
    const options = ["lower", "upper", "work"].map((name) => `${name}dir=${join(dir.path, name)}`).join(",");
    const line = `mount -t overlay overlay -o ${options} ${join(dir.path, "merged")}`;
    const checked = await check(after(line, "--mount"), "--state", join(dir.path, "merged"));
    assertHelpful(checked);
    for (const id of ["owners", "overlay", "run"]) assert.equal(of(checked, id).verdict, "lacks", id);
    assert.match(of(checked, "owners").how ?? "", /ext4, xfs, btrfs/);
  });
});
