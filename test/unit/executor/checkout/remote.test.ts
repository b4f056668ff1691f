import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, checkRef } from "../../../../executor/checkout/remote.ts";

const https = { remote: "https", allowLocal: false } as const;

test("the operator chooses between the two addresses of a repository", () => {
  const remote = { https: "https://github.com/acme/api.git", ssh: "git@github.com:acme/api.git" };
  assert.deepEqual(addressOf(remote, https), { url: remote.https, protocol: "https", shown: remote.https });
  assert.deepEqual(addressOf(remote, { ...https, remote: "ssh" }), {
    url: remote.ssh,
    protocol: "ssh",
    shown: "github.com:acme/api.git",
  });
  assert.equal(addressOf({ ...remote, ssh: null }, { ...https, remote: "ssh" }).protocol, "https");
});

test("passwords in addresses are not shown", () => {
  const address = addressOf({ https: "https://user:hunter2@git.example/a/b.git", ssh: null }, https);
  assert.equal(address.shown, "https://git.example/a/b.git");
  assert.throws(
    () => addressOf({ https: "ftp://user:hunter2@git.example/a", ssh: null }, https),
    (error: Error) => !error.message.includes("hunter2"),
  );
});

test("local paths need the operator's word", () => {
  for (const url of ["/srv/git/a.git", "file:///srv/git/a.git"]) {
    assert.throws(() => addressOf({ https: url, ssh: null }, https), /TOROID_ALLOW_LOCAL_REMOTES=1/);
    assert.deepEqual(addressOf({ https: url, ssh: null }, { ...https, allowLocal: true }), {
      url: "/srv/git/a.git",
      protocol: "file",
      shown: "/srv/git/a.git",
    });
  }
});

for (const url of [
  "-oProxyCommand=id",
  "--upload-pack=id",
  "ext::sh -c id",
  "ssh://-oProxyCommand=id/x",
  "ssh://-x@host/y",
  "-x@host:path",
  "host:-path",
  "https://",
  "https://a b/c",
  "http://a\n/b",
  "relative/path",
  "",
  "file://other/host",
]) {
  test(`${JSON.stringify(url)} is not fetched from`, () => {
    assert.throws(() => addressOf({ https: url, ssh: null }, { ...https, allowLocal: true }), {
      code: "TOR_INVALID_INPUT",
    });
  });
}

test("refs of git are taken, and options and patterns are not", () => {
  for (const ref of ["refs/heads/main", "refs/heads/feature/ü-1", "v1.0", "refs/tags/a+b"])
    assert.equal(checkRef(ref), ref);
  for (const ref of [
    "",
    "-x",
    "--all",
    "a..b",
    "a b",
    "a:b",
    "refs/heads/*",
    "a^",
    "a~1",
    "x.lock",
    "a/.b",
    "/a",
    "a/",
    "a//b",
    "@",
    "a@{1}",
    "a\0b",
    "a.",
    "x".repeat(2_000),
  ]) {
    assert.throws(() => checkRef(ref), { code: "TOR_INVALID_INPUT" }, ref);
  }
});
