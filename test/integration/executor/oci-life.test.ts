/** Stages on OCI images: what they see, what is recorded, and what is left of one whose executor was killed. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import { script } from "../../support/child.ts";
import { makeLayout } from "../../support/oci-layout.ts";
import { insecure, type Registry, registryOrWhyNot } from "../../support/registry.ts";
import { missing, needs } from "../../support/skips.ts";
import { slowRegistry } from "../../support/slow-registry.ts";
import { smallSystem } from "../../support/small-system.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import { archive, type Entry } from "../sandbox/archives.ts";
import { quiet, type Rig, rigForAll, SANDBOX } from "./rig.ts";

const NEEDS = { root: true, path: SANDBOX, program: ["git", "skopeo"] } as const;
const T = { timeout: 120_000 };
const PROCESS = join(import.meta.dirname, "executor-process.ts");

let rig: Rig;
let registry: Registry;
let base: readonly Entry[] = [];
/** What else keeps the tests from running; undefined: nothing. */
let other: string | undefined;
before(async () => {
  if (missing(NEEDS) !== undefined) return;
  const started = await registryOrWhyNot();
  if (typeof started === "string") other = started;
  else registry = started;
  const small = await smallSystem();
  if (typeof small === "string") other = small;
  else base = small;
});
// Before the rig's own end, which looks whether anything is left.
after(async () => registry?.[Symbol.asyncDispose]());
rigForAll((one) => {
  rig = one;
});

const system = (): readonly Entry[] => [
  ...base,
  { name: "etc/gone", data: "" },
  { name: "etc/kept", data: "" },
  { name: "opaque/below", data: "" },
  { name: "opt/tool", data: "#!/bin/sh\necho tool\n", mode: 0o755 },
];
const CHANGES: readonly Entry[] = [
  { name: "etc/.wh.gone", data: "" },
  { name: "opaque/.wh..wh..opq", data: "" },
  { name: "opaque/above", data: "" },
];

const stageOn = (reference: string, lines: readonly string[]): Partial<StagePlan> => ({
  image: { kind: "oci", reference },
  phases: { install: [], script: [...lines], publish: [], after: [] },
});
const text = async (id: Parameters<Rig["output"]>[0]): Promise<string> => (await rig.output(id)).toString("utf8");

test("a stage sees its layers as one, and its variables below its own; the digest is recorded", T, async (t) => {
  if (!needs(t, { ...NEEDS, other })) return;
  await using dir = await tempDir("toroid-oci-");
  const env = ["PATH=/opt:/bin", "OF_IMAGE=image", "OF_BOTH=image", "HOME=/opt"];
  const layout = await makeLayout(join(dir.path, "l"), { layers: [archive(...system()), archive(...CHANGES)], env });
  const reference = await registry.push(layout.path, "seen:1");
  await using _ = rig.executor("seen", { TOROID_POOL: "seen", TOROID_REGISTRIES: registry.registriesFile });
  const lines = ["ls /etc /opaque", "tool", "echo $OF_IMAGE $OF_BOTH $HOME", "echo $PWD"];
  const stage = { ...stageOn(reference, lines), env: { OF_BOTH: "stage" } };
  const id = await rig.queue(await rig.stageWork(stage), "seen");
  assert.equal((await rig.result(id, 60_000)).outcome, "passed", await text(id));
  const seen = "/etc:\nkept\n\n/opaque:\nabove\ntool\nimage stage /opt\n/workspace\n";
  assert.match(await text(id), /toroid: fetching \S+seen:1, which is sha256:/);
  assert.ok((await text(id)).endsWith(seen), await text(id));
  const digest = layout.digests[0] ?? "";
  assert.equal((await rig.stage(id)).stage.image, `${reference}@${digest}`);
  const again = await rig.queue(await rig.stageWork(stage), "seen");
  assert.equal((await rig.result(again, 60_000)).outcome, "passed");
  assert.deepEqual([await text(again), (await rig.stage(again)).stage.image], [seen, `${reference}@${digest}`]);
});

test("an image that is not there fails the stage; a registry that is not makes it errored", T, async (t) => {
  if (!needs(t, { ...NEEDS, other })) return;
  await using _ = rig.executor("not", { TOROID_POOL: "not", TOROID_REGISTRIES: registry.registriesFile });
  const none = await rig.queue(await rig.stageWork(stageOn(`${registry.address}/none:1`, ["true"])), "not");
  const { outcome, message, phase } = await rig.result(none, 60_000);
  assert.deepEqual([outcome, phase], ["failed", "image"]);
  assert.match(message, /^the image 127\.0\.0\.1:\d+\/none:1 is not there, /);
  const gone = await rig.queue(await rig.stageWork(stageOn("127.0.0.1:1/none:1", ["true"])), "not");
  const { code, retryable } = await rig.error(gone, 60_000);
  assert.deepEqual([code, retryable], ["TOR_REGISTRY_UNREACHABLE", true]);
});

test(
  "an executor killed while it fetches leaves nothing that runs or is used, and the next one fetches it",
  T,
  async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    await using dir = await tempDir("toroid-oci-");
    const layout = await makeLayout(join(dir.path, "l"), { layers: [archive(...system())] });
    await registry.push(layout.path, "killed:1");
    await using slow = await slowRegistry(registry.address, layout.blobs[0] ?? "");
    const registries = join(dir.path, "registries.conf");
    await writeFile(registries, insecure(slow.address));
    const variables = { TOROID_POOL: "killed", TOROID_REGISTRIES: registries };
    const work = await rig.stageWork(stageOn(`${slow.address}/killed:1`, ["ls /etc"]));
    await using first = script(PROCESS, [], { ...rig.variables("killed", variables), TOROID_LOG_LEVEL: quiet.level });
    await rig.queue(work, "killed");
    await slow.asked;
    const state = join(rig.dir.path, "killed");
    const pulls = async (): Promise<readonly string[]> =>
      (await readdir(join(state, "image-index"))).filter((name) => name.startsWith("."));
    assert.equal((await pulls()).length, 1);
    const [pull = ""] = await pulls();
    first.kill("SIGKILL");
    await first.exited;
    await until("skopeo to be gone", async () => !(await runs(join(state, "image-index", pull))));
    // As of one that died between the layer and what is known of it: nobody can tell whether it is whole.
    await mkdir(join(state, "image-cache", "layer-of-nobody"));
    slow.letThrough();
    await using _ = rig.executor("killed", variables);
    const again = await rig.queue(work, "killed");
    assert.equal((await rig.result(again, 60_000)).outcome, "passed");
    assert.match(await text(again), /gone\nkept\n$/);
    assert.deepEqual(await pulls(), []);
    assert.equal((await readdir(join(state, "image-cache"))).length, 1);
  },
);

/** Does a process work in the directory? */
async function runs(dir: string): Promise<boolean> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.some((line) => line.includes(dir));
}
