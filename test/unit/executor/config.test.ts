import assert from "node:assert/strict";
import { test } from "node:test";
import { configFrom } from "../../../executor/config.ts";
import { ToroidError } from "../../../protocol/errors.ts";

test("nothing set gives a configuration that works on one machine", () => {
  const config = configFrom({});
  assert.deepEqual(
    [config.natsUrl, config.pool, config.defaultImage, config.git.remote],
    ["nats://127.0.0.1:4222", "default", "host", "https"],
  );
  assert.deepEqual([config.slots, config.user, config.sandboxSocket], [null, null, null]);
  assert.equal(config.git.allowLocal, false);
  assert.equal(config.imagesDir, `${config.stateDir}/images`);
});

test("a variable that is set to nothing counts as not set", () => {
  assert.equal(configFrom({ TOROID_POOL: "", TOROID_CGROUP: "" }).cgroup, null);
});

test("artifacts are in a directory, or in a bucket with or without a prefix", () => {
  assert.deepEqual(configFrom({ TOROID_EXECUTOR_STATE: "/state" }).artifacts, {
    kind: "directory",
    path: "/state/artifacts",
  });
  assert.deepEqual(configFrom({ TOROID_ARTIFACTS: "/srv/artifacts" }).artifacts, {
    kind: "directory",
    path: "/srv/artifacts",
  });
  const plain = { kind: "bucket", bucket: "acme-ci", prefix: "", endpoint: null, region: null, credentials: null };
  for (const [text, prefix] of [
    ["s3://acme-ci", ""],
    ["s3://acme-ci/", ""],
    ["s3://acme-ci/a/b", "a/b/"],
    ["s3://acme-ci/a/b/", "a/b/"],
  ] as const) {
    assert.deepEqual(configFrom({ TOROID_ARTIFACTS: text }).artifacts, { ...plain, prefix });
  }
  const named = {
    TOROID_ARTIFACTS: "s3://acme-ci",
    TOROID_ARTIFACTS_ENDPOINT: "http://127.0.0.1:9000",
    TOROID_ARTIFACTS_REGION: "eu-west-1",
    TOROID_ARTIFACTS_ACCESS_KEY_ID: "key",
    TOROID_ARTIFACTS_SECRET_ACCESS_KEY: "secret",
  };
  assert.deepEqual(configFrom(named).artifacts, {
    ...plain,
    endpoint: "http://127.0.0.1:9000",
    region: "eu-west-1",
    credentials: { accessKeyId: "key", secretAccessKey: "secret" },
  });
  for (const wrong of ["relative", "s3://", "s3://Up/x", "s3://acme-ci//x", "s3://acme-ci/a b", "https://acme-ci"])
    assert.throws(() => configFrom({ TOROID_ARTIFACTS: wrong }), /an absolute path, or `s3:\/\/bucket\/prefix`/);
  assert.throws(() => configFrom({ ...named, TOROID_ARTIFACTS_SECRET_ACCESS_KEY: "" }), /are a pair: set both or none/);
});

test("secrets are for what comes from GitHub, unless other addresses are named by how they begin", () => {
  assert.deepEqual(configFrom({ TOROID_SECRETS: "/etc/secrets" }).secrets, {
    dir: "/etc/secrets",
    from: ["https://github.com/", "git@github.com:", "ssh://git@github.com/"],
  });
  const from = "https://git.example/, git@git.example: /srv/git/";
  assert.deepEqual(configFrom({ TOROID_SECRETS_FROM: from }).secrets.from, [
    "https://git.example/",
    "git@git.example:",
    "/srv/git/",
  ]);
  for (const wrong of ["github.com", "https://github.com", "github.com/", "ftp://host/"])
    assert.throws(() => configFrom({ TOROID_SECRETS_FROM: wrong }), /must be beginnings of addresses/);
});

test("networks are lists with commas or spaces, and a network alone is one address", () => {
  const { network } = configFrom({ TOROID_NETWORK_OPEN: "10.1.0.0/16, 192.168.7.9", TOROID_NETWORK_DNS: "10.0.0.2" });
  assert.deepEqual(network, {
    mode: "auto",
    open: ["10.1.0.0/16", "192.168.7.9"],
    subnet: null,
    dns: ["10.0.0.2"],
    connections: null,
    forward: false,
  });
  assert.deepEqual(configFrom({ TOROID_NETWORK_OPEN: "" }).network.open, []);
  assert.equal(configFrom({ TOROID_NETWORK_CONNECTIONS: "10000" }).network.connections, 10_000);
  for (const wrong of ["0", "1000001", "1e3"])
    assert.throws(() => configFrom({ TOROID_NETWORK_CONNECTIONS: wrong }), /a whole number from 1 to 1000000/);
});

test("each wrong value is one sentence that names it", () => {
  const wrong = {
    TOROID_SLOTS: "0",
    TOROID_EXECUTOR_STATE: "relative",
    TOROID_GIT_REMOTE: "ftp",
    TOROID_ALLOW_LOCAL_REMOTES: "yes",
    TOROID_NETWORK: "vpn",
    TOROID_NETWORK_OPEN: "10.1.2.3/8",
    TOROID_NETWORK_SUBNET: "10.0.0.0/30",
    TOROID_NETWORK_DNS: "::1",
  };
  assert.throws(
    () => configFrom(wrong),
    (error: unknown) => {
      assert.ok(error instanceof ToroidError);
      assert.equal(error.code, "TOR_CONFIG_INVALID");
      assert.deepEqual(error.message.split("; ").sort(), [
        'TOROID_ALLOW_LOCAL_REMOTES must be 0 or 1, and is "yes"',
        'TOROID_EXECUTOR_STATE must be an absolute path, and is "relative"',
        'TOROID_GIT_REMOTE must be `https` or `ssh`, and is "ftp"',
        'TOROID_NETWORK must be `pool` or `host`, and is "vpn"',
        'TOROID_NETWORK_DNS must be IPv4 addresses, 8 at most, and is "::1"',
        'TOROID_NETWORK_OPEN must be IPv4 networks such as `10.1.0.0/16`, 64 at most, with nothing set behind the prefix, and is "10.1.2.3/8"',
        'TOROID_NETWORK_SUBNET must be an IPv4 network from /8 to /29, with nothing set behind the prefix, and is "10.0.0.0/30"',
        'TOROID_SLOTS must be a whole number from 1 to 256, and is "0"',
      ]);
      return true;
    },
  );
});

test("who bakes AMIs says where, as whom and on what, or nothing of it", () => {
  const all = {
    TOROID_BAKE_REGION: "eu-west-1",
    TOROID_BAKE_ACCESS_KEY_ID: "key",
    TOROID_BAKE_SECRET_ACCESS_KEY: "very-secret",
    TOROID_BAKE_SOURCE: "/etc/toroid/bake.json",
  };
  assert.equal(configFrom({}).bake, null);
  assert.deepEqual(configFrom(all).bake, {
    region: "eu-west-1",
    endpoint: null,
    credentials: { accessKeyId: "key", secretAccessKey: "very-secret", sessionToken: null },
    sourceFile: "/etc/toroid/bake.json",
    system: "toroid",
    patienceMs: 1_800_000,
  });
  assert.throws(
    () => configFrom({ ...all, TOROID_BAKE_SOURCE: "" }),
    /^ToroidError: TOROID_BAKE_SOURCE must be set too: who bakes AMIs needs TOROID_BAKE_REGION, /,
  );
  assert.throws(() => configFrom({ ...all, TOROID_BAKE_REGION: "mars" }), /must be the name of a region/);
});
