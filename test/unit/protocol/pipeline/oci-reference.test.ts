import assert from "node:assert/strict";
import { test } from "node:test";
import { ociReferenceOf, ociReferenceText } from "../../../../protocol/pipeline/oci-reference.ts";

const DIGEST = `sha256:${"0a".repeat(32)}`;

for (const [text, meant] of [
  ["node", "docker.io/library/node:latest"],
  ["node:22", "docker.io/library/node:22"],
  ["acme/web:1.2-rc_3", "docker.io/acme/web:1.2-rc_3"],
  ["docker://node:22", "docker.io/library/node:22"],
  ["index.docker.io/library/node", "docker.io/library/node:latest"],
  ["ghcr.io/acme/deep/er/web", "ghcr.io/acme/deep/er/web:latest"],
  ["localhost/web", "localhost/web:latest"],
  ["127.0.0.1:5000/web:1", "127.0.0.1:5000/web:1"],
  ["registry:5000/web", "registry:5000/web:latest"],
  [`node@${DIGEST}`, `docker.io/library/node@${DIGEST}`],
  [`node:22@${DIGEST}`, `docker.io/library/node:22@${DIGEST}`],
] as const) {
  test(`\`${text}\` is ${meant}`, () => {
    const read = ociReferenceOf(text);
    assert.ok("kind" in read && read.kind === "registry");
    assert.equal(ociReferenceText(read), meant);
    assert.deepEqual(ociReferenceOf(ociReferenceText(read)), read);
  });
}

test("files are named behind the way they are written, one of several images behind a colon", () => {
  assert.deepEqual(ociReferenceOf("oci:out/image"), { kind: "files", path: "out/image", tag: null });
  assert.deepEqual(ociReferenceOf("oci:out/image:v1"), { kind: "files", path: "out/image", tag: "v1" });
  assert.deepEqual(ociReferenceOf("docker-archive:/srv/a.tar:acme/web:1"), {
    kind: "files",
    path: "/srv/a.tar",
    tag: "acme/web:1",
  });
});

for (const text of [
  "",
  " node",
  "Node",
  "node:",
  "node:a b",
  "--help",
  "a//b",
  "a/../b",
  "node@sha256:12",
  "node@",
  "http://registry/web",
  "oci:",
  "oci:a/../../b",
  "docker-archive:../x.tar",
]) {
  test(`\`${text}\` is said to be no reference`, () => {
    const read = ociReferenceOf(text);
    assert.ok("problem" in read && read.problem.length > 20, JSON.stringify(read));
  });
}
