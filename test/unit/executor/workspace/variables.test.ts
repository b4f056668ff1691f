import assert from "node:assert/strict";
import { test } from "node:test";
import { hostnameOf, type StageWork, variablesOf } from "../../../../executor/workspace/variables.ts";
import { target } from "../../coordinator/samples.ts";

const id = { repository: "acme/api", number: 42, stage: "prod", round: 1 };
const work: StageWork = {
  kind: "stage",
  remote: { https: "https://x/y", ssh: null },
  source: {
    ref: "refs/heads/main",
    branch: "main",
    tag: null,
    before: "b".repeat(40),
    commit: "a".repeat(40),
    message: "",
    author: "",
    defaultBranch: "main",
  },
  stage: target("prod", [], { env: { REGION: "from the file", TOROID_COMMIT: "forged", "not a name": "x" } }),
  context: {
    artifact: { kind: "files", digest: `sha256:${"c".repeat(64)}`, bytes: 1, files: 1 },
    outputs: { "build NODE=22": { "image-id": "i-1" } },
    params: { REGION: "from the request" },
    environments: ["prod"],
    fence: 17,
    previousCommit: null,
    previousArtifact: null,
  },
};

test("a script sees the table of the manual, and nobody can pretend to be us", () => {
  const seen = variablesOf(id, work, 2, "https://ci.example");
  assert.deepEqual(
    { ...seen, PATH: undefined },
    {
      PATH: undefined,
      HOME: "/root",
      USER: "root",
      LOGNAME: "root",
      SHELL: "/bin/sh",
      LANG: "C.UTF-8",
      TMPDIR: "/tmp",
      REGION: "from the request",
      CI: "true",
      TOROID: "true",
      TOROID_REPOSITORY: "acme/api",
      TOROID_BUILD: "42",
      TOROID_BUILD_URL: "https://ci.example/builds/acme/api/42",
      TOROID_COMMIT: "a".repeat(40),
      TOROID_BRANCH: "main",
      TOROID_TAG: "",
      TOROID_REF: "refs/heads/main",
      TOROID_COMMIT_RANGE: `${"b".repeat(40)}...${"a".repeat(40)}`,
      TOROID_STAGE: "prod",
      TOROID_ENVIRONMENT: "prod",
      TOROID_ATTEMPT: "2",
      TOROID_ARTIFACT: "/toroid/artifact",
      TOROID_AMI: "",
      TOROID_PREVIOUS_COMMIT: "",
      TOROID_PREVIOUS_AMI: "",
      TOROID_FENCE: "17",
      TOROID_OUTPUT: "/toroid/output",
      TOROID_QUEUE: "/toroid/queue",
      TOROID_OUTPUT_BUILD_NODE_22_IMAGE_ID: "i-1",
    },
  );
});

test("a deployment gets the AMI of its build, of the executor's region or the first, and what is live before", () => {
  const key = `sha256:${"d".repeat(64)}`;
  const baked = (one: string, two: string) =>
    ({ kind: "ami", key, amis: { "us-east-1": one, "eu-west-1": two }, files: null }) as const;
  const [artifact, previousArtifact] = [baked("ami-11111111", "ami-22222222"), baked("ami-33333333", "ami-44444444")];
  const context = { ...work.context, artifact, previousArtifact };
  const seenIn = (region: string | null) => {
    const { TOROID_ARTIFACT, TOROID_AMI, TOROID_PREVIOUS_AMI } = variablesOf(
      id,
      { ...work, context },
      1,
      null,
      {},
      region,
    );
    return [TOROID_ARTIFACT, TOROID_AMI, TOROID_PREVIOUS_AMI];
  };
  assert.deepEqual(seenIn("us-east-1"), ["", "ami-11111111", "ami-33333333"]);
  assert.deepEqual(seenIn("ap-south-1"), ["", "ami-22222222", "ami-44444444"]);
  assert.deepEqual(seenIn(null), ["", "ami-22222222", "ami-44444444"]);
  const { TOROID_AMI_US_EAST_1, TOROID_AMI_EU_WEST_1 } = variablesOf(id, { ...work, context }, 1, null);
  assert.deepEqual([TOROID_AMI_US_EAST_1, TOROID_AMI_EU_WEST_1], ["ami-11111111", "ami-22222222"]);
});

test("a workspace's host name says whose it is, in the characters that one may have", () => {
  assert.equal(hostnameOf(id), "api-42-prod");
  assert.equal(hostnameOf({ ...id, repository: "acme/ünï_x.y", stage: "build NODE=22" }), "n-x-y-42-build-NODE-22");
  assert.ok(hostnameOf({ ...id, stage: "x".repeat(100) }).length <= 63);
});
