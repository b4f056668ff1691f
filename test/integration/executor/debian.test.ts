/** Images that mmdebstrap makes, in a workspace: once for each content, until they are too old. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import { Missing, mirror } from "../../support/debian.ts";
import { missing, needs } from "../../support/skips.ts";
import { type Rig, rigForAll, SANDBOX } from "./rig.ts";

const NEEDS = { root: true, path: SANDBOX, program: ["git", "mmdebstrap"] } as const;
const T = { timeout: 400_000 };
const MAKING_MS = 300_000;

let rig: Rig;
rigForAll((one) => {
  rig = one;
});

let from = "";
/** What else keeps the tests from running; undefined: nothing. */
let other: string | undefined;
before(async () => {
  if (missing(NEEDS) !== undefined) return;
  try {
    from = await mirror();
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    other = `needs a mirror of Debian: ${error.message}`;
  }
});

const stageOn = (suite: string, packages: readonly string[], line: string): Partial<StagePlan> => ({
  image: { kind: "debian", suite, packages },
  phases: { install: [], script: [line], publish: [], after: [] },
});
const text = async (id: Parameters<Rig["output"]>[0]): Promise<string> => (await rig.output(id)).toString("utf8");

test("a stage runs on the smallest Debian and its packages, and the next one on the same", T, async (t) => {
  if (!needs(t, { ...NEEDS, other })) return;
  await using _ = rig.executor("debian", { TOROID_POOL: "debian", TOROID_DEBIAN_MIRROR: from });
  const line = ". /etc/os-release; echo on $VERSION_CODENAME; patch --version | head -n 1; id -u";
  const work = await rig.stageWork(stageOn("bookworm", ["patch"], line));
  const first = await rig.queue(work, "debian");
  assert.equal((await rig.result(first, MAKING_MS)).outcome, "passed", await text(first));
  assert.match(
    await text(first),
    /^toroid: making debian:bookworm\+patch by mmdebstrap\n[^]*\non bookworm\nGNU patch .*\n0\n$/,
  );
  const { image } = (await rig.stage(first)).stage;
  assert.match(image ?? "", /^debian:bookworm\+patch@sha256:[0-9a-f]{64}$/);
  const second = await rig.queue(work, "debian");
  assert.equal((await rig.result(second, 60_000)).outcome, "passed");
  assert.match(await text(second), /^on bookworm\nGNU patch .*\n0\n$/);
  assert.equal((await rig.stage(second)).stage.image, image);
  const kept = await readdir(join(rig.dir.path, "debian", "image-cache"));
  assert.deepEqual(
    kept.map((name) => name.replace(/-.*/, "")),
    ["debian"],
  );
});

test("a suite that is not there fails the stage; a mirror that is not makes it errored", T, async (t) => {
  if (!needs(t, { ...NEEDS, other })) return;
  await using _ = rig.executor("suite", { TOROID_POOL: "suite", TOROID_DEBIAN_MIRROR: from });
  const none = await rig.queue(await rig.stageWork(stageOn("nowhere", [], "true")), "suite");
  const { outcome, message } = await rig.result(none, MAKING_MS);
  assert.equal(outcome, "failed");
  assert.match(
    message,
    /^debian:nowhere cannot be made: E: The repository \S+ nowhere Release' does not have a Release/,
  );
  await using __ = rig.executor("mirror", { TOROID_POOL: "mirror", TOROID_DEBIAN_MIRROR: "http://127.0.0.1:1/debian" });
  const gone = await rig.queue(await rig.stageWork(stageOn("bookworm", [], "true")), "mirror");
  const { code, retryable } = await rig.error(gone, MAKING_MS);
  assert.deepEqual([code, retryable], ["TOR_MIRROR_UNREACHABLE", true]);
});
