import assert from "node:assert/strict";
import { test } from "node:test";
import { meaningOf, retryAfterOf } from "../../../../coordinator/notify/channels/http.ts";
import { escape, messageOf } from "../../../../coordinator/notify/channels/slack.ts";
import { payloadOf } from "../../../../coordinator/notify/channels/webhook.ts";
import { facts, headline, pageOf } from "../../../../coordinator/notify/words.ts";
import { notice } from "./samples.ts";

const HOSTILE = "<!channel> <https://evil.example|click> & *bold*\r\nBcc: x@y\u202e\u0007";

test("each kind of notice is said in one line", () => {
  const prod = { kind: "deployment", environment: "prod" } as const;
  for (const [of, line] of [
    [notice(), "acme/api#42 failed on main"],
    [notice({ state: "passed", ref: "refs/tags/v1" }), "acme/api#42 passed again on v1"],
    [notice({ state: "passed", change: false }), "acme/api#42 passed on main"],
    [notice({ ...prod, state: "passed", change: false }), "acme/api#42 is live in prod"],
    [notice({ ...prod, state: "passed", rollback: true }), "prod of acme/api was rolled back to #42"],
    [notice({ ...prod, state: "unknown" }), "acme/api#42 ended, and nobody knows how in prod"],
    [notice({ kind: "paused", environment: "*", by: "bob" }), "every environment of acme/api is paused by bob"],
    [
      notice({ kind: "paused", repository: "*", environment: "prod", by: "bob" }),
      "prod of all repositories is paused by bob",
    ],
    [notice({ kind: "resumed", environment: "prod", by: "bob" }), "prod of acme/api goes on, by bob"],
    [notice({ kind: "approval", environment: "prod" }), "acme/api#42 waits for approval in prod"],
  ] as const)
    assert.equal(headline(of), line);
});

test("nothing foreign gets a line, a link or a mention of its own", () => {
  const hostile = notice({
    message: HOSTILE,
    title: HOSTILE,
    author: HOSTILE,
    by: HOSTILE,
    ref: `refs/heads/${HOSTILE}`,
  });
  for (const text of [headline(hostile), ...facts(hostile).map(([, fact]) => fact)])
    assert.doesNotMatch(text, /[\p{Cc}\p{Cf}]/u);
  const said = JSON.stringify(messageOf(hostile, "https://ci.example"));
  // Its own one link, and none of theirs.
  assert.deepEqual(
    [...said.matchAll(/<[^>]*>/g)].map(([link]) => link.split("|")[0]),
    ["<https://ci.example/builds/acme/api/42"],
  );
  assert.ok(!said.includes("<!channel>") && said.includes("&lt;!channel&gt;"));
  assert.equal(escape("a & <b>"), "a &amp; &lt;b&gt;");
});

test("a page is named where somebody said where pages are, and nowhere else", () => {
  assert.equal(
    pageOf(notice({ repository: "acme/a b" }), "https://ci.example"),
    "https://ci.example/builds/acme/a%20b/42",
  );
  assert.equal(pageOf(notice(), null), null);
  assert.ok(JSON.stringify(payloadOf(notice(), null)).includes('"url":null'));
});

test("answers mean what they mean", () => {
  const answered = (status: number, header: Record<string, string> = {}, text = "") => {
    const { kind, ...rest } = meaningOf({ status, headers: new Headers(header), text }, 1_000_000);
    return [kind, "afterMs" in rest ? rest.afterMs : null, "isDown" in rest ? rest.isDown : null];
  };
  assert.deepEqual(answered(204), ["delivered", null, null]);
  for (const status of [301, 400, 410, 413, 422]) assert.equal(answered(status)[0], "giveUp", String(status));
  for (const status of [429, 500, 502, 503]) assert.deepEqual(answered(status), ["retry", null, true], String(status));
  // What an operator may mend in the meantime.
  for (const status of [401, 403, 404, 408]) assert.deepEqual(answered(status), ["retry", null, false], String(status));
  assert.deepEqual(answered(503, { "retry-after": "7" }), ["retry", 7_000, true]);
  assert.equal(retryAfterOf(new Date(1_003_000).toUTCString(), 1_000_000), 3_000);
  assert.equal(retryAfterOf("soon", 0), null);
});
