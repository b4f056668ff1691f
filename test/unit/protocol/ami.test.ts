import assert from "node:assert/strict";
import { test } from "node:test";
import { AMI_TAGS, amiOf, amiVariable, bakeTags } from "../../../protocol/ami.ts";
import { amisOfArtifact, artifact, filesOfArtifact } from "../../../protocol/work.ts";

const ORIGIN = {
  system: "toroid",
  repository: "acme/api",
  commit: "c".repeat(40),
  number: 42,
  stage: "build",
  round: 1,
  key: `sha256:${"a".repeat(64)}`,
  token: 977,
};
const FILES = { kind: "files", digest: `sha256:${"b".repeat(64)}`, bytes: 3, files: 1 } as const;

test("what a bake makes says whose it is, of what, and which attempt made it", () => {
  assert.deepEqual(bakeTags(ORIGIN), {
    "toroid:system": "toroid",
    "toroid:repository": "acme/api",
    "toroid:commit": ORIGIN.commit,
    "toroid:build": "42",
    "toroid:stage": "build",
    "toroid:key": ORIGIN.key,
    "toroid:bake": "acme/api:42/build/1/977",
  });
  assert.equal(bakeTags({ ...ORIGIN, round: 2 })[AMI_TAGS.stage], "build/2");
});

test("the value of a tag is one that AWS takes, and of a bake always has its token", () => {
  const tags = bakeTags({ ...ORIGIN, repository: `acme/${"x".repeat(300)}`, stage: "build NODE=22;ü<>" });
  for (const value of Object.values(tags)) assert.match(value, /^[\p{L}\p{N}\s_.:/=+\-@]{1,256}$/u);
  assert.match(tags[AMI_TAGS.bake] ?? "", /\/977$/);
  assert.equal(tags[AMI_TAGS.stage], "build NODE=22_ü__");
});

test("an artifact of earlier versions is files, and an AMI may have files with it", () => {
  assert.deepEqual(filesOfArtifact(artifact.parse(FILES)), FILES);
  assert.deepEqual(amisOfArtifact(artifact.parse(FILES)), {});
  const amis = { "eu-west-1": "ami-0123456789abcdef0", "us-east-1": "ami-01234567" };
  const ami = artifact.parse({ kind: "ami", key: ORIGIN.key, amis, files: FILES });
  assert.deepEqual([filesOfArtifact(ami), amisOfArtifact(ami)], [FILES, amis]);
  assert.equal(filesOfArtifact(artifact.parse({ kind: "ami", key: ORIGIN.key, amis, files: null })), null);
  assert.throws(() => artifact.parse({ kind: "ami", key: ORIGIN.key, amis: { "us-east-1": "latest" }, files: null }));
});

test("an AMI is found by its region, and where there is none of it, the first", () => {
  const amis = { "us-east-1": "ami-22222222", "eu-west-1": "ami-11111111" };
  assert.deepEqual(
    ["us-east-1", "eu-west-1", "ap-south-1", null].map((region) => amiOf(amis, region)),
    ["ami-22222222", "ami-11111111", "ami-11111111", "ami-11111111"],
  );
  assert.equal(amiOf({}, "us-east-1"), "");
  assert.equal(amiVariable("us-gov-east-1"), "TOROID_AMI_US_GOV_EAST_1");
});
