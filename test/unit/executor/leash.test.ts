import assert from "node:assert/strict";
import { test } from "node:test";
import { Leash } from "../../../executor/leash.ts";
import { BEAT_MS, LET_GO_MS } from "../../../executor/presence.ts";
import { PRESENCE_TTL_MS } from "../../../protocol/streams.ts";

test("what runs before there is a lease is on no leash", () => {
  const leash = new Leash();
  assert.equal(leash.ms, null);
  leash.renewed(1);
  assert.ok(leash.ms !== null);
});

test("a sandbox outlives its executor's patience, and not the last renewal that it heard of", () => {
  const leash = new Leash();
  leash.renewed(0);
  const heard: number[] = [];
  const letGo = leash.onRenewed(() => heard.push(1));
  const least = leash.ms ?? 0;
  assert.ok(least > LET_GO_MS && BEAT_MS + least < PRESENCE_TTL_MS);
  for (const ago of [0, BEAT_MS, PRESENCE_TTL_MS - least, PRESENCE_TTL_MS]) {
    const before = heard.length;
    leash.renewed(ago);
    assert.equal(heard.length > before, ago + least < PRESENCE_TTL_MS, `${ago} ms ago`);
  }
  letGo();
  const before = heard.length;
  leash.renewed(0);
  assert.equal(heard.length, before);
});
