/** Who an executor is: root only until it has started the sandbox's `serve`, and nobody that builds could turn into one. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../support/leaks.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { Rig, type RunningExecutor, SANDBOX } from "./rig.ts";

const NEEDS = { root: true, path: SANDBOX, program: ["git", "setpriv"] } as const;
const T = { timeout: 60_000 };
/** The first that no account has. */
const OWN_UID = 65_520;

const phases = (script: string[], then: string[] = []): Pick<StagePlan, "phases"> => ({
  phases: { install: [], script, publish: [], after: then },
});

/** Fields of `/proc/<pid>/status`, of all its threads. */
async function statusOf(pid: number): Promise<readonly Readonly<Record<string, string>>[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  return Promise.all(
    threads.map(async (thread) => {
      const text = await readFile(`/proc/${pid}/task/${thread}/status`, "utf8");
      return Object.fromEntries(text.split("\n").map((line) => line.split(/:\t+/) as [string, string]));
    }),
  );
}

async function serveOf(executor: number): Promise<number> {
  const children = await readFile(`/proc/${executor}/task/${executor}/children`, "utf8");
  for (const pid of children.split(" ").filter((word) => word !== "")) {
    const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (words.split("\0")[1] === "serve") return Number(pid);
  }
  throw new Error(`no serve among the children of ${executor}: ${children}`);
}

describe("an executor's privilege", () => {
  let rig: Rig;
  let leaks: Snapshot;
  before(async () => {
    leaks = await snapshot();
    rig = await Rig.start();
  });
  after(async () => {
    await rig?.[Symbol.asyncDispose]();
    await assertNoLeaks(leaks);
  });

  const passes = async (stage: Partial<StagePlan>, pool: string): Promise<string> => {
    const id = await rig.queue(await rig.stageWork(stage), pool);
    const result = await rig.result(id);
    assert.equal(result.outcome, "passed", result.message);
    return (await rig.output(id)).toString();
  };
  const running = (name: string, more: Record<string, string> = {}): RunningExecutor =>
    rig.executor(name, { TOROID_POOL: name, ...more });

  test("is gone from every thread when it takes work, and serve alone is root", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using executor = running("bare");
    await passes(phases(["true"]), "bare");
    for (const status of await statusOf(executor.pid)) {
      const { Uid, Gid, Groups, CapEff, CapPrm, CapAmb } = status;
      assert.deepEqual(
        [Uid, Gid],
        [OWN_UID, OWN_UID].map((id) => Array.from({ length: 4 }, () => id).join("\t")),
      );
      assert.deepEqual(
        [Groups?.trim(), CapEff, CapPrm, CapAmb],
        ["", ...Array.from({ length: 3 }, () => "0".repeat(16))],
      );
    }
    const [status] = await statusOf(await serveOf(executor.pid));
    assert.equal(status?.["Uid"], "0\t0\t0\t0");
  });

  test("leaves the state's parts to those who need them, and a build sees none", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using _executor = running("parts");
    const state = join(rig.dir.path, "parts");
    const said = await passes(phases([`ls ${state}/mirrors ${state}/scratches 2>/dev/null || echo nothing`]), "parts");
    assert.equal(said, "nothing\n");
    const shown = async (name: string): Promise<string> => {
      const { uid, mode } = await stat(join(state, name));
      return `${name} ${uid} ${(mode & 0o777).toString(8)}`;
    };
    assert.deepEqual(
      await Promise.all(["", "scratches", "networks", "image-cache", "mirrors", "workspaces", "slots"].map(shown)),
      [
        " 0 711",
        "scratches 0 700",
        "networks 0 700",
        "image-cache 0 755",
        `mirrors ${OWN_UID} 700`,
        `workspaces ${OWN_UID} 700`,
        `slots ${OWN_UID} 700`,
      ],
    );
  });

  test("is not needed to read what users that a build made up have left", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using _executor = running("users");
    const as = "setpriv --reuid 1000 --regid 1000 --clear-groups sh -c";
    const script = [
      "chmod 777 /toroid /workspace; rm /toroid/output",
      `${as} 'umask 077; echo key=value > /toroid/output; mkdir -p out/deep; echo app > out/deep/app'`,
      "echo x > closed; chmod 0 closed; chmod 700 /toroid; chown 1000 /toroid",
    ];
    const id = await rig.queue(
      await rig.stageWork({ ...phases(script), artifactFiles: ["out/**", "closed"] }),
      "users",
    );
    const result = await rig.result(id);
    assert.equal(result.outcome, "passed", result.message);
    assert.deepEqual(result.outputs, { key: "value" });
    assert.equal(result.artifact?.files, 2);
    for (const name of ["workspaces", "scratches"]) {
      const dir = join(rig.dir.path, "users", name);
      await until(`its ${name} to be removed`, async () => (await readdir(dir)).length === 0);
    }
  });

  test("is another's when TOROID_USER says so, and never root's", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const artifacts = join(rig.dir.path, "theirs-artifacts");
    const mine = { TOROID_ARTIFACTS: artifacts };
    {
      await using executor = running("theirs", { ...mine, TOROID_USER: "daemon" });
      await passes(phases(["true"]), "theirs");
      const [status] = await statusOf(executor.pid);
      assert.match(String(status?.["Uid"]), /^1\t1\t1\t1$/);
    }
    for (const [user, sentence] of [
      ["root", /TOROID_USER must be a user who is not root: an executor does not stay root/],
      ["0", /an executor does not stay root/],
      ["no-such-user", /there is no user "no-such-user"/],
      ["2000000000", /uids from 1879048192 up are those of builds/],
      ["65521", /mirrors belongs to uid 1, and this executor runs as uid 65521: set TOROID_USER=1, or /],
    ] as const) {
      await assert.rejects(running("theirs", { ...mine, TOROID_USER: user }).ended, (error: unknown) => {
        assert.match(String(error), sentence);
        return error instanceof Error && "code" in error && error.code === "TOR_CONFIG_INVALID";
      });
    }
    const ssh = running("ssh", { TOROID_GIT_REMOTE: "ssh" }).ended;
    await assert.rejects(ssh, /TOROID_GIT_REMOTE is ssh, which wants a user with an account/);
  });

  test("says which directory its user may not enter, and does not lie below what that one can change", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const closed = join(rig.dir.path, "closed");
    await mkdir(closed, { mode: 0o700 });
    await assert.rejects(
      running("shut", { TOROID_EXECUTOR_STATE: join(closed, "state") }).ended,
      new RegExp(`uid ${OWN_UID}\\) may not enter ${closed}, on the way to `),
    );
    await chmod(closed, 0o755);
    await chown(closed, OWN_UID, OWN_UID);
    await assert.rejects(
      running("theirs", { TOROID_EXECUTOR_STATE: join(closed, "state") }).ended,
      new RegExp(`${closed} can be changed by the executor's user`),
    );
  });

  test("is tried in a workspace of its default image, before it takes work", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await assert.rejects(
      running("none", { TOROID_DEFAULT_IMAGE: "nothing" }).ended,
      /the image nothing cannot be used/,
    );
    const empty = join(rig.dir.path, "empty-image");
    await mkdir(empty, { mode: 0o755 });
    const ended = running("empty", { TOROID_DEFAULT_IMAGE: empty }).ended;
    await assert.rejects(ended, /no workspace can be made on this host: .*\/bin\/sh/);
  });

  test("takes over what an older executor left as root's", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const state = join(rig.dir.path, "older");
    for (const name of ["mirrors/a", "workspaces/b/src", "slots", "artifact-cache/c", "networks", "image-cache"])
      await mkdir(join(state, name), { recursive: true, mode: 0o700 });
    await writeFile(join(state, "mirrors", "a", "HEAD"), "ref: refs/heads/main\n", { mode: 0o600 });
    await chmod(state, 0o700);
    await using _executor = running("older");
    await passes(phases(["true"]), "older");
    assert.equal((await stat(join(state, "mirrors", "a", "HEAD"))).uid, OWN_UID);
    assert.deepEqual(await readdir(join(state, "artifact-cache")), []);
  });

  test("lost with serve ends it, after what ran has been reported", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const executor = running("lost");
    const id = await rig.queue(await rig.stageWork(phases(["echo begun; sleep 2; echo done"], ["echo after"])), "lost");
    await until("the script to run", async () => (await rig.output(id)).includes("begun"));
    process.kill(await serveOf(executor.pid), "SIGKILL");
    assert.equal((await rig.result(id)).outcome, "passed");
    assert.match((await rig.output(id)).toString(), /^begun\ndone\ntoroid: after did not succeed/);
    await assert.rejects(executor.ended, /nobody serves the sandbox any more: it ended with SIGKILL/);
  });

  test("is never there for an executor that is the client of a serve started for it", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const [uid, dir] = [45_679, join(rig.dir.path, "socket")];
    const at = (name: string): string => join(dir, name);
    for (const [name, owner] of [
      ["", 0],
      ["state", 0],
      ["images", 0],
      ["mine", uid],
      ["artifacts", uid],
    ] as const) {
      await mkdir(at(name), { recursive: true, mode: name === "" || name === "images" ? 0o755 : 0o700 });
      await chown(at(name), owner, owner);
    }
    const words = [
      "serve",
      "--socket",
      at("socket"),
      "--client-uid",
      String(uid),
      "--state",
      at("state"),
      "--slots",
      "1",
    ];
    words.push("--share", at("mine"), "--images", at("images"), "--may-share-network");
    for (const name of ["memoryBytes", "pids", "cpuMilli"]) words.push("--allow-weak", `no-limit-${name}`);
    const serve = spawn(SANDBOX, words, { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => serve.stdout.once("data", resolve));
    const variables = rig.variables("socket", {
      TOROID_POOL: "socket",
      TOROID_SLOTS: "",
      TOROID_EXECUTOR_STATE: at("mine"),
      TOROID_ARTIFACTS: at("artifacts"),
      TOROID_IMAGES: at("images"),
      TOROID_SANDBOX_SOCKET: at("socket"),
      TOROID_LOG_LEVEL: "fatal",
    });
    const become = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
    const toroid = join(import.meta.dirname, "..", "..", "..", "bin", "toroid.ts");
    const executor = execa("setpriv", [...become, process.execPath, toroid, "executor"], {
      env: variables,
      reject: false,
    });
    assert.equal(await passes(phases(["id -u; echo hello"]), "socket"), "0\nhello\n");
    serve.kill("SIGKILL");
    const next = await rig.error(await rig.queue(await rig.stageWork(phases(["true"])), "socket"));
    assert.deepEqual([next.code, /cannot be asked/.test(next.message)], ["TOR_SANDBOX_SETUP", true]);
    const { exitCode, stderr } = await executor;
    assert.notEqual(exitCode, 0);
    assert.match(stderr, /nobody serves the sandbox any more: connect ECONNREFUSED/);
    const bare = await execa("setpriv", [...become, process.execPath, toroid, "executor"], {
      env: { ...variables, TOROID_SANDBOX_SOCKET: "" },
      reject: false,
    });
    assert.match(bare.stderr, /has to be started by root, and then gives root up; or, .* TOROID_SANDBOX_SOCKET/);
  });
});
