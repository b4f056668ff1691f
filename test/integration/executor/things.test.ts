/** Images that stages run on and files that they hand on, through a whole executor. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import type { Artifact } from "../../../protocol/work.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../support/leaks.ts";
import { needs } from "../../support/skips.ts";
import { NEEDS, Rig, type RunningExecutor } from "./rig.ts";

const T = { timeout: 60_000 };
const run = promisify(execFile);

let rig: Rig;
let executor: RunningExecutor;
let leaks: Snapshot;

before(async () => {
  leaks = await snapshot();
  rig = await Rig.start({ "README.md": "hello\n" });
  executor = rig.executor();
});

after(async () => {
  await executor?.[Symbol.asyncDispose]();
  await rig?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

function stageThatRuns(script: string[], over: Partial<StagePlan> = {}): Partial<StagePlan> {
  return { phases: { install: [], script, publish: [], after: [] }, ...over };
}

/** A root file system with a shell, what that needs, and a file that tells it from others. */
async function makeRoot(root: string, mark: string): Promise<void> {
  const { stdout } = await run("ldd", ["/bin/sh"]).catch(() => ({ stdout: "" }));
  const libraries = [...stdout.matchAll(/(\/[^\s]+)/g)].map(([path]) => path);
  for (const path of ["/bin/sh", ...libraries]) {
    const to = join(root, path);
    await mkdir(join(to, ".."), { recursive: true });
    await run("cp", ["--dereference", path, to]);
  }
  await writeFile(join(root, "mark"), `${mark}\n`);
}

test("a stage runs on the image that it names: a directory, or an archive that is unpacked once", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const images = join(rig.dir.path, "images");
  const root = join(images, "small");
  await mkdir(root, { recursive: true });
  await makeRoot(root, "from a directory");
  const readMark = stageThatRuns(["read mark </mark; echo $mark; echo changed >/mark"]);
  for (const image of [
    { kind: "named", name: "small" },
    { kind: "directory", path: root },
  ] as const) {
    const id = await rig.queue(await rig.stageWork({ ...readMark, image }));
    assert.equal((await rig.result(id)).outcome, "passed");
    assert.equal((await rig.output(id)).toString(), "from a directory\n");
  }
  await writeFile(join(root, "mark"), "from an archive\n");
  await run("tar", ["--create", "--gzip", "--file", join(images, "packed.tar.gz"), "--directory", root, "."]);
  const work = await rig.stageWork({ ...readMark, image: { kind: "named", name: "packed" } });
  const ids = await Promise.all([rig.queue(work), rig.queue(work), rig.queue(work)]);
  for (const id of ids) {
    assert.equal((await rig.result(id)).outcome, "passed");
    assert.match((await rig.output(id)).toString(), /(^|\n)from an archive\n$/);
  }
  assert.equal((await readdir(join(rig.dir.path, "one", "image-cache"))).length, 1);
});

test("an image in the checkout may not lead out of it", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await symlink("/", join(rig.repo.path, "rootfs"));
  await rig.repo.commit();
  const id = await rig.queue(await rig.stageWork({ image: { kind: "directory", path: "rootfs" } }));
  const error = await rig.error(id);
  assert.deepEqual(
    [error.code, error.message],
    ["TOR_IMAGE_MISSING", "the image rootfs cannot be used: it leads out of the checkout"],
  );
  await rm(join(rig.repo.path, "rootfs"));
  await rig.repo.commit();
});

test("a push may not choose a directory of the host as its image", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  for (const path of ["/", "/etc", join(rig.dir.path, "images", "..")]) {
    const work = stageThatRuns(["cat /etc/shadow"]);
    const id = await rig.queue(await rig.stageWork({ ...work, image: { kind: "directory", path } }));
    const error = await rig.error(id);
    assert.equal(error.code, "TOR_IMAGE_MISSING");
    assert.match(error.message, /must lie in its image store/);
  }
});

test("an archive that is none errors the attempt with a sentence", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await mkdir(join(rig.dir.path, "images"), { recursive: true });
  await writeFile(join(rig.dir.path, "images", "broken.tar"), "this is not an archive");
  const error = await rig.error(await rig.queue(await rig.stageWork({ image: { kind: "named", name: "broken" } })));
  assert.equal(error.code, "TOR_IMAGE_MISSING");
  assert.match(error.message, /^the image broken cannot be unpacked: archive: the archive ends in the middle/);
});

async function build(script: string[], files: string[], over: Partial<StagePlan> = {}): Promise<Artifact> {
  const id = await rig.queue(await rig.stageWork(stageThatRuns(script, { artifactFiles: files, ...over })));
  const result = await rig.result(id);
  assert.equal(result.outcome, "passed", result.message);
  assert.ok(result.artifact !== null);
  return result.artifact;
}

test("files that a build declares are there, read-only, in a later stage", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const artifact = await build(
    ["mkdir -p out/deep; echo app >out/app; chmod 4755 out/app; echo x >out/deep/x; echo secret >out/secret.key"],
    ["out/**", "!**/*.key"],
  );
  assert.equal(artifact.files, 2);
  const list =
    "cd $TOROID_ARTIFACT; find . -type f -printf '%m %U %p\\n' | sort; cat out/app; ! touch here 2>/dev/null";
  const deploy = await rig.stageWork(stageThatRuns([list], { name: "prod", environment: "prod" }), {
    artifact,
    previousCommit: null,
    previousArtifact: null,
  });
  const id = await rig.queue(deploy);
  const result = await rig.result(id);
  assert.equal(result.outcome, "passed", result.message);
  assert.equal((await rig.output(id)).toString(), "644 0 ./out/deep/x\n755 0 ./out/app\napp\n");
});

test("the same files make the same artifact", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const one = await build(["echo a >b; echo c >a"], ["a", "b"]);
  const two = await build(["echo c >a; sleep 0.1; echo a >b"], ["b", "a"]);
  assert.equal(one.digest, two.digest);
});

test("links, pipes and hard links to files of the host do not get into an artifact", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const artifact = await build(
    [
      "mkdir out; ln -s /etc/shadow out/shadow; ln -s / out/root; mkfifo out/pipe; echo ok >out/file; ln out/file out/again; cp -r .git out/.git",
    ],
    ["out/**"],
    { workdir: "." },
  );
  const id = await rig.queue(
    await rig.stageWork(stageThatRuns(["cd $TOROID_ARTIFACT/out; ls | sort; test -d .git"]), { artifact }),
  );
  assert.equal((await rig.result(id)).outcome, "passed");
  assert.equal((await rig.output(id)).toString(), "again\nfile\n");
});

test("a workdir that the build replaced by a link to the host does not get into an artifact", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await rig.repo.commit({ files: { "work/dir/file": "" } });
  for (const [workdir, script] of [
    ["work/dir", "rm -r /workspace/work/dir; ln -s /etc /workspace/work/dir"],
    ["work/dir", "rm -r /workspace/work; ln -s / /workspace/work; mkdir -p /dir"],
    ["work/dir", "rm -r /workspace/work/dir; ln -s ../.git /workspace/work/dir"],
    ["work/dir", "rm -r /workspace/work/dir; echo >/workspace/work/dir"],
    ["work/dir", "rm -r /workspace/work"],
  ] as const) {
    const stage = stageThatRuns([script], { workdir, artifactFiles: ["**"] });
    const result = await rig.result(await rig.queue(await rig.stageWork(stage)));
    assert.deepEqual(
      [result.outcome, result.message],
      ["failed", "`workdir` is not a directory of the checkout any more, so there is no artifact"],
    );
  }
});

test("a pattern that matches nothing fails the stage and says which", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(await rig.stageWork(stageThatRuns(["echo x >a"], { artifactFiles: ["a", "dist/**"] })));
  const result = await rig.result(id);
  assert.deepEqual([result.outcome, result.message], ["failed", 'no file matches "dist/**" of `artifact`']);
});

test("an artifact that is gone or damaged errors the attempt", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const artifact = { kind: "files", digest: `sha256:${"a".repeat(64)}`, bytes: 1, files: 1 } as const;
  const gone = await rig.error(await rig.queue(await rig.stageWork({}, { artifact })));
  assert.equal(gone.code, "TOR_ARTIFACT_MISSING");
  await writeFile(join(rig.dir.path, "artifacts", `${"a".repeat(64)}.tar.zst`), "nonsense");
  const damaged = await rig.error(await rig.queue(await rig.stageWork({}, { artifact })));
  assert.equal(damaged.code, "TOR_ARTIFACT_MISSING");
  assert.match(damaged.message, /is damaged/);
});
