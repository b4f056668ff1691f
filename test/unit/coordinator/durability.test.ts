import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeSync } from "../../../coordinator/durability.ts";

const LAZY = { kind: "lazy", server: "http://nats:8222", everyMs: 120_000 } as const;
const UNKNOWN = { kind: "unknown", why: "no monitoring port is named" } as const;

test("a store that syncs always is fine, allowed to be lazy or not", () => {
  for (const allowed of [false, true]) assert.equal(judgeSync({ kind: "always" }, allowed).ok, true);
});

test("a lazily synced store is refused with what to do, unless it is allowed", () => {
  assert.throws(() => judgeSync(LAZY, false), {
    code: "TOR_STORE_LAZY",
    message: /http:\/\/nats:8222\) writes to disk every 120 s only.*`sync_interval: always`.*TOROID_ALLOW_LAZY_SYNC=1$/,
  });
  const { ok, says } = judgeSync(LAZY, true);
  assert.equal(ok, true);
  assert.match(says, /; TOROID_ALLOW_LAZY_SYNC allows it$/);
});

test("what is not known is no reason not to start, and is said with what to set", () => {
  const { ok, says } = judgeSync(UNKNOWN, false);
  assert.equal(ok, false);
  assert.match(says, /not known.*no monitoring port is named.*set TOROID_NATS_MONITOR_URL/);
  assert.equal(judgeSync(UNKNOWN, true).ok, true);
});
