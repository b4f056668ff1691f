/** The life of an image that Packer makes: once for all who want it, ended with who wants it, nothing left of half of one. */
import assert from "node:assert/strict";
import { mkdir, readdir, readlink, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { StagePlan } from "../../../../protocol/pipeline/plan.ts";
import { script } from "../../../support/child.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../../support/leaks.ts";
import { programPath } from "../../../support/programs.ts";
import { needs } from "../../../support/skips.ts";
import { until } from "../../../support/until.ts";
import { quiet, Rig, SANDBOX } from "../rig.ts";
import { endOf, PackerRig } from "./local-rig.ts";

const NEEDS = { root: true, path: SANDBOX, program: ["git", "packer"] } as const;
const T = { timeout: 120_000 };
const PROCESS = join(import.meta.dirname, "..", "executor-process.ts");

const template = (...provisioners: readonly string[]): string =>
  `build {\n  sources = ["source.null.toroid"]\n${provisioners.join("\n")}\n}\n`;
const shell = (...lines: readonly string[]): string => `  provisioner "shell" { inline = ${JSON.stringify(lines)} }`;
const local = (...lines: readonly string[]): string =>
  `  provisioner "shell-local" { inline = ${JSON.stringify(lines)} }`;

let rig: Rig;
let leaks: Snapshot;

before(async () => {
  leaks = await snapshot();
  rig = await Rig.start({
    quick: template(shell("echo made > /etc/made")),
    slow: template(shell("echo begun", "sleep 2", "echo made > /etc/made")),
    endless: template(shell("echo begun", "sleep 1000")),
    curious: template(
      local(
        "echo $N; grep : /proc/net/dev; readlink /proc/self/ns/net; env",
        "! bash -c ': </dev/tcp/127.0.0.1/'$PORT",
      ),
    ),
  });
});

after(async () => {
  await rig?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

function imageBy(name: string, lines: readonly string[] = ["cat /etc/made"]): Partial<StagePlan> {
  return {
    image: { kind: "packer", template: name, text: null, base: { kind: "host" }, files: [] },
    phases: { install: [], script: [...lines], publish: [], after: [] },
  };
}

const text = async (id: Parameters<Rig["output"]>[0]): Promise<string> => (await rig.output(id)).toString("utf8");
const layers = (name: string): Promise<readonly string[]> => readdir(join(rig.dir.path, name, "image-cache"));
const workspaces = (name: string): Promise<readonly string[]> => readdir(join(rig.dir.path, name, "workspaces"));

test("stages that want the same image at once have it made once, by an executor that is not root", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await using _ = rig.executor("once", { TOROID_POOL: "once" });
  const work = await rig.stageWork(imageBy("slow"));
  const ids = await Promise.all([rig.queue(work, "once"), rig.queue(work, "once")]);
  for (const id of ids) assert.equal((await rig.result(id, 60_000)).outcome, "passed");
  const logs = await Promise.all(ids.map(text));
  assert.equal(logs.filter((one) => one.includes("begun")).length, 1, logs.join("\n---\n"));
  assert.ok(logs.every((one) => one.endsWith("made\n")));
  const last = await rig.queue(work, "once");
  const { stepsMs, phase } = await rig.result(last, 60_000);
  assert.deepEqual([await text(last), phase], ["made\n", "script"], JSON.stringify(stepsMs));
  assert.equal((await layers("once")).length, 1);
  await until("the workspaces to be gone", async () => (await workspaces("once")).length === 0);
});

test("a cancelled stage ends Packer in order, and leaves no image", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await using _ = rig.executor("cancel", { TOROID_POOL: "cancel" });
  const id = await rig.queue(await rig.stageWork(imageBy("endless")), "cancel");
  await until("the provisioner to run", async () => (await text(id)).includes("begun"), { withinMs: 60_000 });
  await rig.cancel(id);
  const { outcome, message } = await rig.result(id, 60_000);
  assert.deepEqual([outcome, message], ["cancelled", "cancelled by ada: a test"]);
  assert.match(await text(id), /interrupt|Cancelling|cancelled/i);
  assert.deepEqual(await layers("cancel"), []);
  await until("the workspaces to be gone", async () => (await workspaces("cancel")).length === 0);
});

test("an executor killed while an image is made leaves nothing of it, and the next one makes it", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const variables = { ...rig.variables("killed", { TOROID_POOL: "killed" }), TOROID_LOG_LEVEL: quiet.level };
  await using first = script(PROCESS, [], variables);
  const id = await rig.queue(await rig.stageWork(imageBy("slow")), "killed");
  await until("the provisioner to run", async () => (await text(id)).includes("begun"), { withinMs: 60_000 });
  first.kill("SIGKILL");
  await first.exited;
  await using _ = rig.executor("killed", { TOROID_POOL: "killed" });
  const again = await rig.queue(await rig.stageWork(imageBy("slow")), "killed");
  assert.equal((await rig.result(again, 60_000)).outcome, "passed");
  assert.deepEqual(
    (await layers("killed")).map((name) => name.replace(/-.*/, "")),
    ["packer"],
  );
});

test(
  "what a template runs beside Packer is in a workspace without a network, a secret or a way to others",
  T,
  async (t) => {
    if (!needs(t, NEEDS)) return;
    // On the host's loopback, where everything of the host's network could reach it.
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = String(address !== null && typeof address === "object" ? address.port : 0);
    const secret = "not-for-builds";
    await using _ = rig.executor("curious", { TOROID_POOL: "curious", AWS_SECRET_ACCESS_KEY: secret });
    const works = ["1", "2"].map((N) => rig.stageWork({ ...imageBy("curious", ["true"]), env: { PORT: port, N } }));
    const ids = await Promise.all(works.map(async (work) => rig.queue(await work, "curious")));
    try {
      for (const id of ids) assert.equal((await rig.result(id, 60_000)).outcome, "passed", await text(id));
      const logs = await Promise.all(ids.map(text));
      for (const log of logs) {
        assert.match(log, /^ *lo: .*\nnet:\[\d+\]$/m);
        assert.ok(!log.includes(secret) && !log.includes("NATS"), log);
      }
      const networks = [...logs.map((log) => /net:\[\d+\]/.exec(log)?.[0]), await readlink("/proc/self/ns/net")];
      assert.equal(new Set(networks).size, 3);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  },
);

test("an executor without Packer says what to install", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const bin = join(rig.dir.path, "bin");
  await mkdir(bin);
  for (const name of await readdir("/usr/bin"))
    if (name !== "packer") await symlink(join("/usr/bin", name), join(bin, name));
  await using _ = rig.executor("without", { TOROID_POOL: "without", PATH: `${bin}:/usr/sbin` });
  const id = await rig.queue(await rig.stageWork(imageBy("quick")), "without");
  const { code, message } = await rig.error(id, 60_000);
  assert.equal(code, "TOR_TOOL_MISSING");
  assert.match(message, /^the image is made by Packer, which this executor does not have: install it/);
});

test("two runs by hand at once make it once as well, and what a killed one had begun is removed", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const files = {
    ".toroid.yml": "image: { packer: .packer }\nscript: cat /etc/made\n",
    ".packer": template(shell("echo begun", "sleep 2", "echo made > /etc/made")),
  };
  await using byHand = await PackerRig.make(files, programPath("packer") ?? "");
  await mkdir(join(byHand.cache, "images", ".draft-packer-dead", "usr"), { recursive: true });
  const told = await Promise.all([byHand.run(), byHand.run()]);
  assert.deepEqual(told.map(endOf), ["passed: ", "passed: "]);
  const logs = told.map(({ log }) => log).sort();
  assert.deepEqual(logs[1], "<image>\ntoroid: another stage makes this image; waiting for it\n<script>\nmade\n");
  assert.match(logs[0] ?? "", /^<image>\n==> [^]*\nbegun\n[^]*<script>\nmade\n$/);
  assert.deepEqual((await readdir(join(byHand.cache, "images"))).length, 1);
});

test("a run by hand that is cancelled while its image is made ends as cancelled", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const files = {
    ".toroid.yml": "image: { packer: .packer }\nscript: cat /etc/made\n",
    ".packer": template(shell("echo begun", "sleep 1000")),
  };
  await using byHand = await PackerRig.make(files, programPath("packer") ?? "");
  const cancel = new AbortController();
  const running = byHand.run(cancel.signal, (said) => {
    if (said.includes("begun")) cancel.abort(new Error("enough"));
  });
  await assert.rejects(running, /enough/);
  assert.deepEqual(await readdir(join(byHand.cache, "images")), []);
});
