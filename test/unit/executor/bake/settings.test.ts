import assert from "node:assert/strict";
import { test } from "node:test";
import { ec2Failure, packerFailed } from "../../../../executor/bake/failure.ts";
import { bakeKey } from "../../../../executor/bake/key.ts";
import { beginWaiting, looked, nextLookMs } from "../../../../executor/bake/patience.ts";
import { settingsOf } from "../../../../executor/bake/settings.ts";
import { PLAIN_AMI, stagePlan } from "../../coordinator/samples.ts";

test("who may reach instances has to be said, and nobody may say everybody", () => {
  const wrong = (read: unknown): string => {
    try {
      settingsOf("/etc/bake.json", read);
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
    return "";
  };
  const cidrs = "temporary_security_group_source_cidrs";
  assert.match(wrong({}), /^\/etc\/bake\.json, which TOROID_BAKE_SOURCE names, must say who may reach instances/);
  assert.match(wrong([]), /must be a JSON object/);
  assert.match(wrong({ [cidrs]: ["0.0.0.0/0"] }), /opens instances to everybody/);
  assert.match(
    wrong({ [cidrs]: ["10.0.0.1/32"], region: "us-east-1", access_key: "x" }),
    /must not say access_key, region/,
  );
  assert.match(wrong({ [cidrs]: ["10.0.0.1/32"], security_group_id: "sg-1" }), /one of them is enough/);
  assert.deepEqual(settingsOf("f", { [cidrs]: ["10.0.0.1/32"], subnet_id: "subnet-1" }), {
    attributes: { subnet_id: "subnet-1" },
    reachableFrom: ["10.0.0.1/32"],
  });
  assert.equal(settingsOf("f", { security_group_id: "sg-1" }).reachableFrom, null);
});

test("an image is waited for as long as something goes on, and looked at the more seldom the longer it takes", () => {
  let patience = beginWaiting(0);
  assert.equal(nextLookMs(patience, 60_000, 0), 1_000);
  patience = looked(patience, "10%", 50_000);
  assert.equal(nextLookMs(patience, 60_000, 50_000), 5_000);
  assert.equal(
    nextLookMs(looked(patience, "10%", 109_000), 60_000, 109_000),
    1_000,
    "no later than the end of patience",
  );
  assert.equal(nextLookMs(looked(patience, "10%", 110_000), 60_000, 110_000), null);
  assert.equal(nextLookMs(looked(patience, "11%", 109_000), 60_000, 3_600_000), null);
  assert.equal(nextLookMs(looked(patience, "11%", 3_600_000), 60_000, 3_600_000), 30_000);
});

test("whose fault it is goes by what AWS says", () => {
  const codeOf = (said: string): string => {
    const ruling = packerFailed(said, 1);
    return ruling.kind === "errored" ? ruling.code : ruling.outcome;
  };
  assert.equal(
    codeOf("Error launching source instance: InstanceLimitExceeded: Your quota allows for 0 more"),
    "TOR_BAKE_QUOTA",
  );
  assert.equal(codeOf("UnauthorizedOperation: You are not authorized"), "TOR_BAKE_CREDENTIALS");
  assert.equal(codeOf("Script exited with non-zero exit status: 1"), "failed");
  const named = (name: string): Error => Object.assign(new Error("no"), { name });
  assert.equal(ec2Failure(named("AuthFailure"), "x").code, "TOR_BAKE_CREDENTIALS");
  assert.equal(ec2Failure(named("VcpuLimitExceeded"), "x").code, "TOR_BAKE_QUOTA");
  assert.equal(ec2Failure(named("TimeoutError"), "x").code, "TOR_EC2_UNREACHABLE");
  assert.equal(ec2Failure(named("InvalidSubnetID.NotFound"), "x").code, "TOR_BAKE_REFUSED");
});

test("an AMI is known by everything that it is baked of, and not by what is asked of it afterwards", () => {
  const ami = PLAIN_AMI;
  const stage = stagePlan("build", { ami });
  const base = {
    stage,
    tree: "t",
    images: ["i"],
    params: {},
    template: null,
    region: "us-east-1",
    attributes: { a: 1, b: 2 },
  };
  const key = bakeKey(base);
  assert.match(key, /^sha256:[0-9a-f]{64}$/);
  const asked = { ...stage, ami: { ...ami, regions: ["eu-west-1"], share: ["123456789012"], rebake: true } };
  assert.equal(bakeKey({ ...base, stage: asked }), key);
  assert.equal(bakeKey({ ...base, attributes: { b: 2, a: 1 } }), key);
  const others = [
    { ...base, tree: "u" },
    { ...base, images: ["j"] },
    { ...base, params: { A: "1" } },
    { ...base, region: "eu-west-1" },
    { ...base, attributes: { a: 2, b: 2 } },
    { ...base, template: { path: "p", text: "t", files: "f" } },
    { ...base, stage: { ...stage, env: { A: "1" } } },
    { ...base, stage: { ...stage, phases: { ...stage.phases, script: ["make"] } } },
    { ...base, stage: { ...stage, ami: { ...ami, provision: "replay" as const } } },
  ].map(bakeKey);
  assert.equal(new Set([key, ...others]).size, others.length + 1);
});
