/** Why an AMI cannot be baked: whose fault it is, in whose words, and that nothing is left. */
import assert from "node:assert/strict";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { StageId } from "../../../../protocol/ids.ts";
import { BASE_AMI, NOTHING_IN_EC2 } from "../../../support/ec2.ts";
import { programPath } from "../../../support/programs.ts";
import { needs } from "../../../support/skips.ts";
import { type BakeRig, bakedBy, bakeRigForAll, NEEDS, T } from "./rig.ts";

const BROKEN = `build {
  sources = ["source.null.toroid"]
  provisioner "shell" { inlne = ["true"] }
}
`;
const FAILING =
  'build {\n  sources = ["source.null.toroid"]\n  provisioner "shell" { inline = ["echo no luck >&2", "exit 3"] }\n}\n';
const PLUGIN = `packer {
  required_plugins {
    amazon = { source = "github.com/hashicorp/amazon", version = ">= 99.0.0" }
  }
}
build {
  sources = ["source.null.toroid"]
}
`;

let bakes: BakeRig;
bakeRigForAll({ "broken.pkr.hcl": BROKEN, "failing.pkr.hcl": FAILING, "plugin.pkr.hcl": PLUGIN }, (rig) => {
  bakes = rig;
});

/** The executor that all share knows the quick way to lose patience. */
const QUICK = { TOROID_BAKE_PATIENCE_SECONDS: "5" };

async function failureOf(id: StageId): Promise<string> {
  const { outcome, message, phase, artifact } = await bakes.rig.result(id, 60_000);
  assert.deepEqual([outcome, phase, artifact], ["failed", "bake", null], message);
  return message;
}

async function errorOf(id: StageId): Promise<{ readonly code: string; readonly message: string }> {
  return bakes.rig.error(id, 60_000);
}

async function nothingIsLeft(): Promise<void> {
  assert.deepEqual(await bakes.ec2.things(), NOTHING_IN_EC2);
}

test("a template that Packer cannot read fails the stage with its place", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await bakes.forget();
  const message = await failureOf(await bakes.bake(bakedBy(["true"], { template: "broken.pkr.hcl" })));
  assert.match(message, /^Packer: .*\(broken\.pkr\.hcl:3\)$/);
  await nothingIsLeft();
});

test("a provisioner that fails on the instance fails the stage, and its words are in the log", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await bakes.forget();
  const id = await bakes.bake(bakedBy(["true"], { template: "failing.pkr.hcl" }));
  assert.match(await failureOf(id), /^Packer: .*[Ss]cript exited with non-zero exit status: 3/);
  assert.match((await bakes.rig.output(id)).toString(), /no luck/);
  await nothingIsLeft();
});

test("what there is no base of fails the stage in Packer's words", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await bakes.forget();
  const source = { kind: "newest", name: "no-such-thing-*", owner: "099720109477" } as const;
  assert.match(await failureOf(await bakes.bake(bakedBy(["true"], { source }))), /^Packer: .*No AMI was found/);
  await nothingIsLeft();
});

test("an executor without credentials says at once what to set", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { rig } = bakes;
  await using _ = rig.executor("bare", { TOROID_POOL: "bare" });
  const id = await rig.queue(await rig.stageWork(bakedBy(["echo ran"])), "bare");
  const { code, message } = await errorOf(id);
  assert.equal(code, "TOR_BAKE_CREDENTIALS");
  assert.match(
    message,
    /set TOROID_BAKE_REGION, TOROID_BAKE_ACCESS_KEY_ID, .* TOROID_BAKE_SOURCE, or send .*`runs_on`/,
  );
  assert.doesNotMatch((await rig.output(id)).toString(), /ran/);
});

test("an executor without Packer says what to install", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { rig } = bakes;
  await using _ = rig.executor(
    "unpacked",
    await bakes.variables({ TOROID_POOL: "unpacked", PATH: await pathWithoutPacker() }),
  );
  const id = await rig.queue(await rig.stageWork(bakedBy(["true"])), "unpacked");
  const { code, message } = await errorOf(id);
  assert.equal(code, "TOR_TOOL_MISSING");
  assert.match(message, /^the AMI is baked by Packer, which this executor does not have: install it/);
});

test("credentials that AWS refuses are the operator's to mend, whoever finds out", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { front } = bakes;
  const refusal = {
    status: 401,
    code: "AuthFailure",
    message: "AWS was not able to validate the provided access credentials",
  };
  const unauthorized = {
    status: 403,
    code: "UnauthorizedOperation",
    message: "You are not authorized to perform this operation. Encoded authorization failure message: abc",
  };
  for (const [at, answer] of [
    ["DescribeImages", refusal],
    ["RunInstances", unauthorized],
  ] as const) {
    await bakes.forget();
    front.refuse = (action) => (action === at ? answer : null);
    const { code, message } = await errorOf(await bakes.bake(bakedBy(["true"])));
    front.refuse = () => null;
    assert.equal(code, "TOR_BAKE_CREDENTIALS", `${at}: ${message}`);
    assert.match(
      message,
      new RegExp(`^AWS refuses the credentials .*\\(TOROID_BAKE_ACCESS_KEY_ID\\): .*${answer.code}`),
    );
    await nothingIsLeft();
  }
});

test("a quota that is reached is told in AWS' words, and what was made is removed", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await bakes.forget();
  const message =
    "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket that the specified instance type belongs to.";
  bakes.front.refuse = (action) =>
    action === "RunInstances" ? { status: 400, code: "VcpuLimitExceeded", message } : null;
  const error = await errorOf(await bakes.bake(bakedBy(["true"])));
  bakes.front.refuse = () => null;
  assert.equal(error.code, "TOR_BAKE_QUOTA", error.message);
  assert.match(error.message, /account's quota.*VcpuLimitExceeded: You have requested more vCPU capacity/);
  await nothingIsLeft();
});

test("an endpoint that does not answer is tried again", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { rig } = bakes;
  const more = { TOROID_POOL: "away", TOROID_BAKE_ENDPOINT: "http://127.0.0.1:9" };
  await using _ = rig.executor("away", await bakes.variables(more));
  const { code, message } = await errorOf(await rig.queue(await rig.stageWork(bakedBy(["true"])), "away"));
  assert.equal(code, "TOR_EC2_UNREACHABLE", message);
  assert.match(message, /ECONNREFUSED/);
});

test("an AMI that comes no further is given up, and nothing of it stays", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { rig, front } = bakes;
  await bakes.forget();
  await using _ = rig.executor("hasty", await bakes.variables({ TOROID_POOL: "hasty", ...QUICK }));
  front.change = pending;
  const id = await rig.queue(await rig.stageWork(bakedBy(["true"], { source: { kind: "id", id: BASE_AMI } })), "hasty");
  const { code, message } = await errorOf(id);
  assert.equal(code, "TOR_BAKE_TIMEOUT", message);
  assert.match(message, /^nothing went on for 5s \(TOROID_BAKE_PATIENCE_SECONDS\) while the AMI was baked/);
  assert.match((await rig.output(id)).toString(), /toroid: ami-\w+ is pending/);
  front.change = (_action, body) => body;
  await nothingIsLeft();
});

test("an AMI that is there after Packer gave up is taken", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const { rig, front, ec2 } = bakes;
  await bakes.forget();
  let asked = 0;
  // Who asks by its id, as Packer does, is told that it failed; by its name it is pending first, and available then.
  front.change = (action, body, words) => {
    if (action !== "DescribeImages" || !/toroid\/acme/.test(body)) return body;
    if (words.has("ImageId.1")) return body.replaceAll("<imageState>available", "<imageState>failed");
    asked += 1;
    return asked < 3 ? pending(action, body) : body;
  };
  const id = await bakes.bake(bakedBy(["true"], { source: { kind: "id", id: BASE_AMI } }));
  const { outcome, artifact, message } = await rig.result(id, 60_000);
  front.change = (_action, body) => body;
  const log = (await rig.output(id)).toString();
  assert.equal(outcome, "passed", `${message}\n${log}`);
  assert.match(log, /toroid: Packer gave up \(.*\); waiting for ami-/);
  assert.ok(artifact?.kind === "ami");
  const { images, instances, keyPairs, securityGroups } = await ec2.things();
  assert.deepEqual([images, instances, keyPairs, securityGroups], [Object.values(artifact.amis), [], [], []]);
});

test("a plugin that is missing is the operator's to install", T, async (t) => {
  if (!needs(t, { ...NEEDS, program: ["git", "packer-1.9.4"] })) return;
  const { rig } = bakes;
  await bakes.forget();
  const more = { TOROID_POOL: "newer", TOROID_PACKER: programPath("packer-1.9.4") ?? "" };
  await using _ = rig.executor("newer", await bakes.variables(more));
  const id = await rig.queue(await rig.stageWork(bakedBy(["true"], { template: "plugin.pkr.hcl" })), "newer");
  const { code, message } = await errorOf(id);
  assert.equal(code, "TOR_TOOL_MISSING", message);
  assert.match(message, /^Packer lacks a plugin that the template needs/);
  await nothingIsLeft();
});

test("a template that is too new for the executor's Packer fails the stage with its place", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await bakes.forget();
  const message = await failureOf(await bakes.bake(bakedBy(["true"], { template: "plugin.pkr.hcl" })));
  assert.match(message, /^Packer: Unsupported block type.*\(plugin\.pkr\.hcl:2\)$/);
});

function pending(action: string, body: string): string {
  return action === "DescribeImages" ? body.replaceAll("<imageState>available", "<imageState>pending") : body;
}

async function pathWithoutPacker(): Promise<string> {
  const dir = join(bakes.rig.dir.path, "bin");
  await mkdir(dir);
  for (const from of (process.env["PATH"] ?? "").split(":")) {
    for (const name of await readdir(from).catch(() => []))
      if (name !== "packer") await symlink(join(from, name), join(dir, name)).catch(() => undefined);
  }
  return dir;
}
