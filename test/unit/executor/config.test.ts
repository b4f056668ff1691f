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
  assert.ok(config.slots >= 1);
  assert.equal(config.git.allowLocal, false);
  assert.equal(config.imagesDir, `${config.stateDir}/images`);
});

test("a variable that is set to nothing counts as not set", () => {
  assert.equal(configFrom({ TOROID_POOL: "", TOROID_CGROUP: "" }).cgroup, null);
});

test("each wrong value is one sentence that names it", () => {
  const wrong = {
    TOROID_SLOTS: "0",
    TOROID_EXECUTOR_STATE: "relative",
    TOROID_GIT_REMOTE: "ftp",
    TOROID_ALLOW_LOCAL_REMOTES: "yes",
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
        'TOROID_SLOTS must be a whole number from 1 to 256, and is "0"',
      ]);
      return true;
    },
  );
});
