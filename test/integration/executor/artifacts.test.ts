/** Files that builds hand on through a bucket, between executors that share nothing else. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import type { FilesArtifact } from "../../../protocol/work.ts";
import { BUCKET, BUCKET_CREDENTIALS, BucketServer } from "../../support/bucket.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../support/leaks.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { NEEDS, Rig, type RunningExecutor } from "./rig.ts";

const T = { timeout: 60_000 };
const ROOT = join(import.meta.dirname, "..", "..", "..");
/** Of the executor that only deploys. */
const OTHER = "other";

let rig: Rig;
let bucket: BucketServer;
let leaks: Snapshot;
const executors: RunningExecutor[] = [];

before(async () => {
  leaks = await snapshot();
  rig = await Rig.start();
  bucket = await BucketServer.start();
  executors.push(rig.executor("one", bucket.variables));
  const other = { ...bucket.variables, TOROID_POOL: OTHER, TOROID_SLOTS: "3", TOROID_ARTIFACT_CACHE_BYTES: "1" };
  executors.push(rig.executor("other", other));
});
beforeEach(() => {
  bucket.fault = () => null;
});
after(async () => {
  for (const executor of executors) await executor[Symbol.asyncDispose]();
  await bucket?.[Symbol.asyncDispose]();
  await rig?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

function stageThatRuns(script: string, over: Partial<StagePlan> = {}): Partial<StagePlan> {
  return { phases: { install: [], script: [script], publish: [], after: [] }, ...over };
}

async function build(script: string, pool?: string): Promise<FilesArtifact> {
  const id = await rig.queue(await rig.stageWork(stageThatRuns(script, { artifactFiles: ["out/**"] })), pool);
  const result = await rig.result(id);
  assert.equal(result.outcome, "passed", result.message);
  assert.ok(result.artifact?.kind === "files");
  return result.artifact;
}

async function deploy(artifact: FilesArtifact, script: string): ReturnType<Rig["queue"]> {
  return rig.queue(await rig.stageWork(stageThatRuns(script), { artifact }), OTHER);
}

function keyOf(artifact: FilesArtifact): string {
  return `ci/${artifact.digest.slice("sha256:".length)}.tar.zst`;
}

test("what one executor built is there on another, fetched once for all stages that want it", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const artifact = await build("mkdir -p out/deep; echo app >out/app; chmod 755 out/app; echo x >out/deep/x");
  assert.ok((await bucket.keys()).includes(keyOf(artifact)));
  const list = "cd $TOROID_ARTIFACT; find . -type f -printf '%m %p\\n' | sort; sleep 1";
  const ids = await Promise.all([deploy(artifact, list), deploy(artifact, list), deploy(artifact, list)]);
  for (const id of ids) {
    assert.equal((await rig.result(id)).outcome, "passed");
    assert.equal((await rig.output(id)).toString(), "644 ./out/deep/x\n755 ./out/app\n");
  }
  assert.equal(bucket.asked.filter((asked) => asked.startsWith("GET") && asked.includes(keyOf(artifact))).length, 1);
});

test("what may not stay on the host goes when no stage has it any more", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const artifact = await build("mkdir out; echo y >out/y");
  const id = await deploy(artifact, "cat $TOROID_ARTIFACT/out/y; rm -rf $TOROID_ARTIFACT 2>/dev/null || echo kept");
  assert.equal((await rig.result(id)).outcome, "passed");
  assert.equal((await rig.output(id)).toString(), "y\nkept\n");
  const cache = join(rig.dir.path, "other", "artifact-cache");
  await until("the cache to be empty", async () => (await readdir(cache)).length === 0);
  assert.deepEqual(
    (await readdir(join(rig.dir.path, "one", "artifact-cache"))).filter((name) => name.startsWith(".draft-")),
    [],
  );
});

test("nothing of the bucket's credentials is in a workspace", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const artifact = await build("mkdir out; echo z >out/z");
  const look = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'; echo looked";
  const id = await deploy(artifact, look);
  assert.equal((await rig.result(id)).outcome, "passed");
  const output = (await rig.output(id)).toString();
  assert.match(output, /looked/);
  for (const word of [BUCKET_CREDENTIALS.secretAccessKey, "TOROID_ARTIFACTS_", "AWS_"])
    assert.ok(!output.includes(word), word);
});

test("an artifact that is gone, or is not the one that was recorded, errors the attempt", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const artifact = { kind: "files", digest: `sha256:${"a".repeat(64)}`, bytes: 1, files: 1 } as const;
  const gone = await rig.error(await deploy(artifact, "true"));
  assert.deepEqual([gone.code, gone.retryable], ["TOR_ARTIFACT_MISSING", false]);
  const real = await build("mkdir out; echo real >out/file");
  const Body = await bucket.bytes(keyOf(real));
  await bucket.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: keyOf(artifact), Body }));
  const other = await rig.error(await deploy(artifact, "true"));
  assert.equal(other.code, "TOR_ARTIFACT_MISSING");
  assert.match(other.message, /the artifact aaaaaaaaaaaa is damaged/);
});

test("while the bucket cannot be reached, attempts error and may be repeated", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const artifact = await build("mkdir out; echo there >out/file");
  bucket.fault = (asked) => (asked.includes("/ci/") || asked.includes(" ci/") ? "break" : null);
  const building = await rig.queue(await rig.stageWork(stageThatRuns("echo x >x", { artifactFiles: ["x"] })));
  const deploying = await deploy(artifact, "true");
  for (const id of [building, deploying]) {
    const error = await rig.error(id);
    assert.deepEqual([error.code, error.retryable], ["TOR_ARTIFACTS_UNREACHABLE", true]);
  }
  bucket.fault = () => null;
  assert.equal((await rig.result(await deploy(artifact, "test -e $TOROID_ARTIFACT/out/file"))).outcome, "passed");
});

test("an executor does not start on a bucket that it may not use, and says which setting to mend", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const nowhere = rig.executor("nowhere", { ...bucket.variables, TOROID_ARTIFACTS: "s3://nowhere" });
  await assert.rejects(nowhere.ended, {
    code: "TOR_CONFIG_INVALID",
    message: /^TOROID_ARTIFACTS: there is no bucket nowhere at /,
  });
  bucket.fault = (asked) => (asked.includes("ci/.writable") ? { code: "AccessDenied", status: 403 } : null);
  const denied = rig.executor("denied", bucket.variables);
  await assert.rejects(denied.ended, {
    code: "TOR_CONFIG_INVALID",
    message: /its credentials need s3:PutObject there/,
  });
});

test("an executor whose checkout root alone may read has loaded all it needs for a bucket", T, async (t) => {
  if (!needs(t, { ...NEEDS, program: ["git", "unshare", "mount"] })) return;
  const closed = join(rig.dir.path, "closed");
  await mkdir(join(closed, "toroid"), { recursive: true, mode: 0o700 });
  await chmod(closed, 0o700);
  const { TOROID_ARTIFACTS_ACCESS_KEY_ID, TOROID_ARTIFACTS_SECRET_ACCESS_KEY, ...place } = bucket.variables;
  const chain = {
    AWS_ACCESS_KEY_ID: TOROID_ARTIFACTS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY: TOROID_ARTIFACTS_SECRET_ACCESS_KEY,
  };
  const variables = rig.variables("shut", { ...place, TOROID_POOL: "shut", TOROID_LOG_LEVEL: "fatal" });
  const script = 'mount --bind "$1" "$2" && exec "$3" "$2/bin/toroid.ts" executor';
  const words = ["--mount", "--propagation", "private", "sh", "-c", script, "sh"];
  const child = spawn("unshare", [...words, ROOT, join(closed, "toroid"), process.execPath], {
    env: { ...process.env, ...variables, ...chain },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(child, "close");
  try {
    const artifact = await build("mkdir out; echo shut >out/file", "shut");
    const id = await rig.queue(
      await rig.stageWork(stageThatRuns("cat $TOROID_ARTIFACT/out/file"), { artifact }),
      "shut",
    );
    assert.equal((await rig.result(id)).outcome, "passed");
    assert.equal((await rig.output(id)).toString(), "shut\n");
  } finally {
    for (const signal of ["SIGTERM", "SIGINT"] as const) child.kill(signal);
    await ended;
  }
});
