/** `toroid image` beside an executor that runs: it looks, fetches and removes, and takes nothing away that is in use. */
import assert from "node:assert/strict";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { execa } from "execa";
import { makeLayout } from "../../support/oci-layout.ts";
import { type Registry, registryOrWhyNot } from "../../support/registry.ts";
import { missing, needs } from "../../support/skips.ts";
import { smallSystem } from "../../support/small-system.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import { archive, type Entry } from "../sandbox/archives.ts";
import { type Rig, rigForAll, SANDBOX } from "./rig.ts";

const NEEDS = { root: true, path: SANDBOX, program: ["git", "skopeo"] } as const;
const T = { timeout: 120_000 };
const TOROID = join(import.meta.dirname, "..", "..", "..", "bin", "toroid.ts");

let rig: Rig;
let registry: Registry;
let system: readonly Entry[] = [];
/** What else keeps the tests from running; undefined: nothing. */
let other: string | undefined;
before(async () => {
  if (missing(NEEDS) !== undefined) return;
  const [started, small] = [await registryOrWhyNot(), await smallSystem()];
  if (typeof started === "string") other = started;
  else registry = started;
  if (typeof small === "string") other = small;
  else system = small;
});
// Before the rig's own end, which looks whether anything is left.
after(async () => registry?.[Symbol.asyncDispose]());
rigForAll((one) => {
  rig = one;
});

interface Told {
  readonly exitCode?: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** `toroid image` for the executor `name`. */
async function image(name: string, ...words: readonly string[]): Promise<Told> {
  const variables = rig.variables(name, { TOROID_REGISTRIES: registry.registriesFile, TOROID_CACHE: "/nonexistent" });
  return execa(process.execPath, [TOROID, "image", ...words], { env: variables, reject: false });
}

async function listed(name: string): Promise<readonly (readonly [string, string, boolean])[]> {
  const { stdout, stderr } = await image(name, "ls", "--json");
  assert.equal(stderr, "");
  const { images }: { images: { names: string[]; kind: string; digest: string; inUse: boolean }[] } =
    JSON.parse(stdout);
  return images
    .map(({ names, digest, inUse }) => [names.join(), digest, inUse] as const)
    .toSorted(([a], [b]) => a.localeCompare(b));
}

test("what is in use is told so and stays; what is not goes, with what no other image has", T, async (t) => {
  if (!needs(t, { ...NEEDS, other })) return;
  await using dir = await tempDir("toroid-image-");
  const base = archive(...system);
  const [one, two] = [
    await makeLayout(join(dir.path, "one"), { layers: [base, archive({ name: "one", data: "1" })] }),
    await makeLayout(join(dir.path, "two"), { layers: [base, archive({ name: "two", data: "2".repeat(50_000) })] }),
  ];
  const [first, second] = [await registry.push(one.path, "commands:1"), await registry.push(two.path, "commands:2")];
  const [digest = "", another = ""] = [one.digests[0], two.digests[0]];
  await using _ = rig.executor("keeper", { TOROID_POOL: "keeper", TOROID_REGISTRIES: registry.registriesFile });
  const lines = ["echo waiting; while [ ! -e go ]; do sleep 0.05; done", "ls /one"];
  const running = await rig.queue(
    await rig.stageWork({
      image: { kind: "oci", reference: first },
      phases: { install: [], script: lines, publish: [], after: [] },
    }),
    "keeper",
  );
  await until("the script to wait", async () => (await rig.output(running)).includes("waiting"), { withinMs: 60_000 });

  const pulled = await image("keeper", "pull", second);
  assert.deepEqual([pulled.exitCode, pulled.stdout], [0, `${second} is ${another}, with 2 layers`], pulled.stderr);
  // The layer that both have is in use.
  assert.deepEqual(await listed("keeper"), [
    [first, digest, true],
    [second, another, true],
  ]);
  const { stdout } = await image("keeper", "ls");
  assert.match(stdout, /^IMAGE +KIND +DIGEST +SIZE +USED/m);
  assert.ok(stdout.includes(`${first}  oci   ${digest.slice(0, 19)}`), stdout);
  assert.match(stdout, /^all .* [KM]iB$/m);

  const refused = await image("keeper", "rm", first);
  assert.deepEqual(
    [refused.exitCode, refused.stderr],
    [5, `toroid: ${first} is in use by a stage: try again when that has ended (TOR_REFUSED)`],
  );
  const dry = await image("keeper", "gc", "--to", "0B", "--dry-run");
  assert.match(dry.stdout, /^would go +layer +\S+commands:2 .*KiB/m);
  assert.equal((await listed("keeper")).length, 2);
  const gone = await image("keeper", "gc", "--to", "0B", "--json");
  const report: { gone: { shown: string }[] } = JSON.parse(gone.stdout);
  assert.deepEqual(
    report.gone.map(({ shown }) => shown),
    [second],
  );
  assert.deepEqual(await listed("keeper"), [[first, digest, true]]);

  const [workspace = ""] = await readdir(join(rig.dir.path, "keeper", "workspaces"));
  await writeFile(join(rig.dir.path, "keeper", "workspaces", workspace, "src", "go"), "");
  assert.equal((await rig.result(running, 60_000)).outcome, "passed");
  await until("the stage to have let go", async () => (await listed("keeper")).every(([, , inUse]) => !inUse));
  const removed = await image("keeper", "rm", digest.slice(0, 20));
  assert.deepEqual([removed.exitCode, removed.stderr], [0, `removed ${first}`]);
  assert.deepEqual(await listed("keeper"), []);
  assert.deepEqual(await readdir(join(rig.dir.path, "keeper", "image-cache")), []);
});

test("what root fetches for an executor is the executor's to use, and to be rid of", T, async (t) => {
  if (!needs(t, { ...NEEDS, other })) return;
  await using dir = await tempDir("toroid-image-");
  const layout = await makeLayout(join(dir.path, "one"), { layers: [archive(...system)] });
  const name = await registry.push(layout.path, "given:1");
  const variables = { TOROID_POOL: "given", TOROID_REGISTRIES: registry.registriesFile, TOROID_SKOPEO: "/bin/false" };
  {
    await using _ = rig.executor("given", variables);
    await until("the executor to be there", async () => (await rig.presences()).some(({ pool }) => pool === "given"), {
      withinMs: 30_000,
    });
  }
  assert.equal((await image("given", "pull", name)).exitCode, 0);
  const index = join(rig.dir.path, "given", "image-index");
  const [entry = ""] = await readdir(join(index, "stored"));
  assert.equal((await stat(join(index, "stored", entry))).uid, (await stat(index)).uid);
  await using _ = rig.executor("given", variables);
  const stage = { phases: { install: [], script: ["echo there"], publish: [], after: [] } };
  const work = await rig.stageWork({ ...stage, image: { kind: "oci", reference: name } });
  const id = await rig.queue(work, "given");
  assert.equal((await rig.result(id, 60_000)).outcome, "passed");
  assert.equal((await rig.output(id)).toString(), "there\n");
});

test("what is wrong is told in one sentence", T, async (t) => {
  if (!needs(t, { ...NEEDS, other })) return;
  for (const [words, code, says] of [
    [["ls"], 4, /^toroid: no executor that keeps images has been in \S+\/nobody: name its .* \(TOR_NOT_FOUND\)$/],
    [["gc", "--to", "5"], 2, /^toroid: --to: expected a size .* has no unit \(TOR_INVALID_INPUT\)$/],
    [["nothing"], 2, /unknown command 'nothing'/],
  ] as const) {
    const { exitCode, stderr } = await image("nobody", ...words);
    assert.deepEqual([exitCode, says.test(stderr)], [code, true], stderr);
  }
  for (const [words, code, says] of [
    [["rm", "nothing"], 4, "toroid: no image is kept that is nothing: `toroid image ls` (TOR_NOT_FOUND)"],
    [["pull", "No Name"], 2, /^toroid: `No Name` is no reference of an image: .* \(TOR_INVALID_INPUT\)$/],
    [["pull", `${registry.address}/none:1`], 4, /^toroid: the image \S+none:1 is not there, .* \(TOR_NOT_FOUND\)$/],
    [["pull", "oci:here"], 2, /^toroid: oci:here is in files, .* \(TOR_INVALID_INPUT\)$/],
  ] as const) {
    const { exitCode, stderr } = await image("keeper", ...words);
    assert.equal(exitCode, code, stderr);
    if (typeof says === "string") assert.equal(stderr, says);
    else assert.match(stderr, says);
  }
});
