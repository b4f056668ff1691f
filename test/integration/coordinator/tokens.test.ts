import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { openBucket } from "../../../kit/topology.ts";
import { madeToken, me, tokenList } from "../../../protocol/access.ts";
import { TOKENS } from "../../../protocol/streams.ts";
import { until } from "../../support/until.ts";
import { toroid } from "../../unit/bin/toroid.ts";
import { REPOSITORY } from "../../unit/coordinator/samples.ts";
import { type Api, BUILDS, refusal, startApi, startBuild } from "./api-rig.ts";
import { startCoordinator } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const PROD = `/api/v1/environments/${REPOSITORY}/prod`;
const bearer = (secret: string): Record<string, string> => ({ authorization: `Bearer ${secret}` });

/** The command line, at this coordinator or straight at its NATS. */
function cli(api: Api, args: readonly string[], env: Record<string, string> = {}) {
  return toroid([...args], { env: { TOROID_URL: api.url, TOROID_NATS_URL: api.server.url, ...env } });
}

async function firstToken(api: Api, ...flags: readonly string[]): Promise<string> {
  const { exit, out, err } = await cli(api, ["token", "create", "ops", "--scope", "admin", "--direct", ...flags]);
  assert.equal(exit, 0, err);
  assert.match(out, /^trd_[0-9a-f]{16}_[A-Za-z0-9_-]{32}\n$/);
  return out.trim();
}

async function make(api: Api, by: string, wish: object) {
  const answer = await api.post("/api/v1/tokens", wish, bearer(by));
  assert.equal(answer.status, 201, await answer.clone().text());
  return madeToken.parse(await answer.json());
}

suite("with sign-in", LIMIT, () => {
  test("nobody gets anything but the page's way in, until an operator has made a first token", async () => {
    await using api = await startApi({ TOROID_AUTH: "token" });
    for (const path of [BUILDS, "/api/v1/repositories", "/api/v1/events", "/api/v1/audit", "/api/v1/tokens"]) {
      const answer = await api.get(path);
      assert.equal(answer.headers.get("www-authenticate"), "Bearer", path);
      assert.match(await refusal(answer), /^401 TOR_SIGNED_OUT: sign in first/);
    }
    assert.match(await refusal(await api.post(`${PROD}/pause`, { reason: "x" }, { "toroid-user": "ada" })), /^401 /);
    const before = me.parse(await (await api.get("/api/v1/me")).json());
    assert.deepEqual([before.name, before.signedIn, before.auth, before.scope], ["", false, "configured", "none"]);
    assert.equal((await api.get("/healthz")).status, 200);

    const refused = await cli(api, ["status"]);
    assert.deepEqual([refused.exit, refused.out], [3, ""]);
    assert.match(refused.err, /TOR_SIGNED_OUT/);
    const secret = await firstToken(api);
    assert.equal((await cli(api, ["status"], { TOROID_TOKEN: secret })).exit, 0);
    const now = me.parse(await (await api.get("/api/v1/me", bearer(secret))).json());
    assert.deepEqual([now.name, now.signedIn, now.scope], ["ops", true, "admin"]);
    const { out } = await cli(api, ["token", "ls"], { TOROID_TOKEN: secret });
    assert.match(out, /^ID +NAME .*\n[0-9a-f]{16} +ops +admin +\* +ops .* in 89d|in 90d/);
  });

  test("a token does what its scope and repositories say, in the name of its user, and no more", async () => {
    await using api = await startApi({ TOROID_AUTH: "token" });
    const ops = await firstToken(api);
    await startBuild({ ...api, get: (path) => api.get(path, bearer(ops)) });
    const reader = await make(api, ops, { name: "dashboard" });
    const ada = await make(api, ops, { name: "ada", user: "ada", scope: "operate", repositories: ["acme/*"], days: 1 });
    const other = await make(api, ops, { name: "other", scope: "operate", repositories: ["other/site"] });
    assert.deepEqual([reader.scope, reader.user, ada.user, ada.by], ["read", "ops", "ada", "ops"]);
    const pause = { reason: "freeze" };
    const statuses = async (secret: string): Promise<readonly number[]> => [
      (await api.get(`${BUILDS}/${REPOSITORY}/1`, bearer(secret))).status,
      (await api.post(`${PROD}/pause`, pause, bearer(secret))).status,
      (await api.post("/api/v1/environments/*/*/prod/pause", pause, bearer(secret))).status,
      (await api.post("/api/v1/executors/one/drain", {}, bearer(secret))).status,
      (await api.post(BUILDS, { repository: "acme/new", ref: "main" }, bearer(secret))).status,
    ];
    assert.deepEqual(await statuses(reader.secret), [200, 403, 403, 403, 403]);
    assert.deepEqual(await statuses(ada.secret), [200, 200, 403, 403, 404]);
    assert.deepEqual(await statuses(other.secret), [403, 403, 403, 403, 403]);
    assert.deepEqual(await statuses(ops), [200, 200, 200, 404, 404]);
    const list = async (path: string, secret: string) => (await api.get(path, bearer(secret))).json();
    assert.deepEqual(await list(BUILDS, other.secret), { builds: [], next: null });
    assert.deepEqual(await list(`${BUILDS}?repository=${REPOSITORY}`, other.secret), { builds: [], next: null });
    assert.deepEqual(await list("/api/v1/repositories", other.secret), { repositories: [] });
    assert.deepEqual(await list("/api/v1/audit?who=ada", other.secret), { entries: [], next: null });
    const { entries } = (await list("/api/v1/audit?who=ada", ops)) as { entries: { via: string; action: string }[] };
    assert.deepEqual(entries.at(-1), { ...entries.at(-1), via: "token ada", action: "pause" });
  });

  test("tokens make tokens only where they are an admin's of everything, and see their own", async () => {
    await using api = await startApi({ TOROID_AUTH: "token" });
    const ops = await firstToken(api);
    const ada = await make(api, ops, { name: "ada", user: "ada", scope: "operate" });
    const narrow = await make(api, ops, { name: "narrow", user: "ada", scope: "admin", repositories: ["acme/*"] });
    for (const { secret } of [ada, narrow]) {
      const answer = await api.post("/api/v1/tokens", { name: "more", scope: "read" }, bearer(secret));
      assert.match(await refusal(answer), /^403 TOR_NOT_ALLOWED: a token makes no tokens/);
      const removal = await fetch(`${api.url}/api/v1/tokens/${ada.id}`, { method: "DELETE", headers: bearer(secret) });
      assert.match(await refusal(removal), /^404 TOR_NOT_FOUND/);
      const { tokens } = tokenList.parse(await (await api.get("/api/v1/tokens", bearer(secret))).json());
      assert.deepEqual(tokens.map(({ name }) => name).sort(), ["ada", "narrow"]);
    }
    for (const bad of [{ name: "" }, { name: "x\u0007" }, { name: "x", scope: "none" }, { name: "x", days: 0 }]) {
      assert.match(await refusal(await api.post("/api/v1/tokens", bad, bearer(ops))), /^400 /);
    }
    const pattern = { name: "x", repositories: ["acme"] };
    assert.match(await refusal(await api.post("/api/v1/tokens", pattern, bearer(ops))), /"acme": expected owner\/name/);
  });

  test("what is kept of a token lets nobody in", async () => {
    await using api = await startApi({ TOROID_AUTH: "token" });
    const secret = await firstToken(api);
    const kv = await openBucket(api.jet, TOKENS);
    for await (const key of await kv.keys()) {
      const kept = Buffer.from((await kv.get(key))?.value ?? []).toString("latin1");
      assert.ok(!kept.includes(secret.slice(-32)) && !kept.includes(secret), key);
    }
    const log = JSON.stringify(await (await api.get("/api/v1/audit", bearer(secret))).json());
    assert.ok(!log.includes(secret.slice(-32)));
  });

  test("a removed token is let in nowhere any more, whichever coordinator it was removed at", async () => {
    await using api = await startApi({ TOROID_AUTH: "token" });
    await using second = await startCoordinator(api.server.url, { TOROID_AUTH: "token" });
    const ops = await firstToken(api);
    const bot = await make(api, ops, { name: "bot" });
    const there = (): Promise<Response> => fetch(second.url + BUILDS, { headers: bearer(bot.secret) });
    assert.equal((await there()).status, 200);
    assert.equal((await api.get(BUILDS, bearer(bot.secret))).status, 200);
    await until("its use to be told", async () => {
      const { tokens } = tokenList.parse(await (await api.get("/api/v1/tokens", bearer(ops))).json());
      return tokens.find(({ id }) => id === bot.id)?.lastUsedAtMs !== null;
    });
    const { exit, err } = await cli(api, ["token", "rm", bot.id], { TOROID_TOKEN: ops });
    assert.deepEqual([exit, err], [0, `token ${bot.id} is removed\n`]);
    await until("both to know", async () => {
      const answers = [await there(), await api.get(BUILDS, bearer(bot.secret))];
      return answers.every(({ status }) => status === 401);
    });
    assert.match(await refusal(await there()), /this token is not valid/);
    assert.equal((await cli(api, ["token", "rm", bot.id], { TOROID_TOKEN: ops })).exit, 4);
  });

  test("a token is asked by its whole self, and one whose time is over says so", async () => {
    await using api = await startApi({ TOROID_AUTH: "token" });
    const secret = await firstToken(api);
    const other = await firstToken(api);
    const flipped = secret.slice(0, -1) + (secret.endsWith("A") ? "B" : "A");
    const mixed = secret.slice(0, 21) + other.slice(21);
    for (const wrong of [flipped, mixed, secret.slice(0, -1), `${secret}A`, "trd_x", "x", secret.toUpperCase()]) {
      assert.match(await refusal(await api.get(BUILDS, bearer(wrong))), /^401 TOR_SIGNED_OUT: this token is not valid/);
    }
    assert.match(await refusal(await api.get(BUILDS, { authorization: "Basic YTpi" })), /^401 .*must be `Bearer/);
    assert.equal((await api.get(BUILDS, { authorization: `bearer ${secret}` })).status, 200);
    const kv = await openBucket(api.jet, TOKENS);
    const { decode, encode } = await import("../../../protocol/codec.ts");
    const { tokenRecord } = await import("../../../protocol/access.ts");
    const key = `token.${other.slice(4, 20)}`;
    const record = decode(tokenRecord, (await kv.get(key))?.value ?? new Uint8Array());
    await kv.put(key, encode({ ...record, expiresAtMs: Date.now() - 1 }));
    await until("that it is over to be known", async () => (await api.get(BUILDS, bearer(other))).status === 401);
    assert.match(await refusal(await api.get(BUILDS, bearer(other))), /the token ops expired at 20/);
  });
});

test(
  "an operator makes, lists and removes tokens at NATS itself, and is in the record of changes with it",
  LIMIT,
  async () => {
    await using api = await startApi({ TOROID_AUTH: "token" });
    const secret = await firstToken(api, "--as", "root@host", "--days", "0");
    const id = secret.slice(4, 20);
    const listed = await cli(api, ["token", "ls", "--direct", "--json"]);
    assert.deepEqual(
      tokenList.parse(JSON.parse(listed.out)).tokens.map((one) => [one.id, one.by, one.expiresAtMs]),
      [[id, "root@host", null]],
    );
    const { entries } = (await (await api.get("/api/v1/audit", bearer(secret))).json()) as { entries: object[] };
    const expected = { who: "root@host", via: "direct", action: "create token", target: id };
    assert.deepEqual(entries[0], { ...entries[0], ...expected });
    assert.equal((await cli(api, ["token", "rm", id, "--direct"])).exit, 0);
    await until("it to be gone", async () => (await api.get(BUILDS, bearer(secret))).status === 401);
    assert.equal((await cli(api, ["token", "rm", id, "--direct"])).exit, 4);
    assert.equal((await cli(api, ["token", "rm", "nonsense"])).exit, 2);
  },
);
