import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { serverEvents } from "../../../bin/sse.ts";
import { refusal, startBuild } from "../../integration/coordinator/api-rig.ts";
import { push, REPOSITORY } from "../../unit/coordinator/samples.ts";
import { type Guarded, startGuarded } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const BUILDS = "/api/v1/builds";

let api: Guarded;

before(async () => {
  api = await startGuarded();
  const admin = await api.bearer("admin");
  await startBuild({ ...api, get: (path) => api.get(path, admin) });
});

after(async () => {
  await api?.[Symbol.asyncDispose]();
});

suite("whoever has less", LIMIT, () => {
  test("does not reach a repository by another way of writing its name, or another one's address", async () => {
    const other = await api.bearer("admin", ["other/*", "acme/web"]);
    for (const name of [
      REPOSITORY,
      "acme%2Fapi/x",
      "ACME/api",
      "acme/API",
      "other%2f..%2facme/api",
      "acme%2fweb/..%2fapi",
      "other/..%2f..%2facme%2fapi",
      "acme/web%00",
      "acme/api%20",
      "./acme/api",
      "other/../acme/api",
      "*/*",
    ]) {
      for (const path of [
        `${BUILDS}/${name}/1`,
        `${BUILDS}/${name}/1/stages/build/log`,
        `${BUILDS}/${name}/1/config`,
      ]) {
        const answer = await api.get(path, other);
        assert.match(String(answer.status), /^(400|403|404)$/, path);
        assert.ok(!(await answer.text()).includes("fix the door"), path);
      }
    }
  });

  test("does not do by the body what the path forbids", async () => {
    const other = await api.bearer("operate", ["other/*"]);
    const remote = { https: "https://git.example/other/site.git", ssh: null };
    for (const body of [
      { repository: REPOSITORY, ref: "main" },
      { repository: [REPOSITORY], ref: "main" },
      { repository: { toString: REPOSITORY }, ref: "main" },
      { ref: "main" },
      { repository: null, ref: "main" },
      { repository: "*", ref: "main" },
    ]) {
      assert.match(await refusal(await api.post(BUILDS, body, other)), /^(400|403) /, JSON.stringify(body));
    }
    const twice = `{"repository":"other/site","repository":"${REPOSITORY}","ref":"main"}`;
    const headers = { ...other, "content-type": "application/json" };
    assert.equal((await fetch(api.url + BUILDS, { method: "POST", headers, body: twice })).status, 403);
    const proto = `{"__proto__":{"repository":"other/site"},"repository":"${REPOSITORY}","ref":"main"}`;
    assert.match(String((await fetch(api.url + BUILDS, { method: "POST", headers, body: proto })).status), /^40/);
    // Its own path, with another repository in the body: the path's counts, and it has no such build.
    const smuggled = { repository: REPOSITORY, build: 1, environment: "prod", remote };
    const answer = await api.post(`${BUILDS}/other/site/7/environments/prod`, smuggled, other);
    assert.match(await refusal(answer), /^404 /);
    const ops = await api.bearer("admin");
    assert.ok(!(await (await api.get(`${BUILDS}/${REPOSITORY}/1`, ops)).text()).includes('"round":2'));
  });

  test("changes nothing as a reader, by any route that there is", async () => {
    const reader = await api.bearer("read");
    const environment = `/api/v1/environments/${REPOSITORY}/prod`;
    const routes = [
      BUILDS,
      `${BUILDS}/${REPOSITORY}/1/cancel`,
      `${BUILDS}/${REPOSITORY}/1/retry`,
      `${BUILDS}/${REPOSITORY}/1/stages/build/retry`,
      `${BUILDS}/${REPOSITORY}/1/environments/prod`,
      ...["pause", "resume", "promote", "rollback", "release", "approvals"].map((verb) => `${environment}/${verb}`),
      "/api/v1/executors/x/drain",
      "/api/v1/executors/x/undrain",
      "/api/v1/amis/gc",
      "/api/v1/dead-letters/1/replay",
      "/api/v1/dead-letters/1/discard",
      "/api/v1/deliveries/x/retry",
      "/api/v1/targets/x/test",
      "/api/v1/tokens",
    ];
    const body = { repository: REPOSITORY, ref: "main", reason: "x", build: 1, name: "more" };
    for (const path of routes) {
      assert.match(await refusal(await api.post(path, body, reader)), /^403 TOR_NOT_ALLOWED/, path);
    }
  });

  test("drains no executor and clears no AMI as an operator of some repositories, or of all", async () => {
    for (const who of [await api.bearer("operate"), await api.bearer("admin", ["acme/*"])]) {
      for (const path of ["/api/v1/executors/x/drain", "/api/v1/amis/gc"]) {
        assert.match(await refusal(await api.post(path, {}, who)), /^403 TOR_NOT_ALLOWED/, path);
      }
    }
  });

  test("lists, counts and hears nothing of what they may not read", async () => {
    const other = await api.bearer("admin", ["other/*"]);
    const everywhere = [
      BUILDS,
      `${BUILDS}?repository=${REPOSITORY}`,
      `${BUILDS}?limit=1&before=9999999999999-9-zzz/zzz`,
      "/api/v1/repositories",
      "/api/v1/audit",
      "/api/v1/audit?target=acme",
      "/api/v1/executors",
      "/api/v1/dead-letters",
      "/api/v1/deliveries",
      "/api/v1/tokens",
    ];
    for (const path of everywhere) {
      const answer = await api.get(path, other);
      assert.equal(answer.status, 200, path);
      assert.ok(!(await answer.text()).includes(REPOSITORY), path);
    }
    const both = await api.bearer("admin");
    const leave = new AbortController();
    const stream = await fetch(`${api.url}/api/v1/events`, { headers: other, signal: leave.signal });
    const all = await fetch(`${api.url}/api/v1/events`, { headers: both, signal: leave.signal });
    const pause = (path: string): Promise<Response> => api.post(`${path}/pause`, { reason: "loud" }, both);
    assert.equal((await pause(`/api/v1/environments/${REPOSITORY}/prod`)).status, 200);
    // What they may read comes after it.
    const theirs = { repository: "other/site", remote: { https: "https://git.example/other/site.git", ssh: null } };
    await api.actors.repository.tell("other/site", { kind: "accept", key: "k", push: push(theirs), by: "queue" });
    const heard = async (body: AsyncIterable<Uint8Array>): Promise<readonly string[]> => {
      const told: string[] = [];
      for await (const { data } of serverEvents(body)) {
        const { repository } = JSON.parse(data) as { repository?: string };
        if (repository === undefined) continue;
        told.push(repository);
        if (repository === "other/site") break;
      }
      return told;
    };
    assert.ok(stream.body !== null && all.body !== null);
    assert.deepEqual(await heard(stream.body), ["other/site"]);
    assert.deepEqual(await heard(all.body), [REPOSITORY, "other/site"]);
    leave.abort();
  });

  test("does not borrow a name: not by a header, and not by a token that they make", async () => {
    const ada = await api.bearer("operate", ["acme/*"], "ada");
    await api.post(`/api/v1/environments/${REPOSITORY}/prod/pause`, { reason: "x" }, { ...ada, "toroid-user": "root" });
    const admin = await api.bearer("admin");
    const { entries } = (await (await api.get("/api/v1/audit?limit=1", admin)).json()) as {
      entries: { who: string }[];
    };
    assert.equal(entries[0]?.who, "ada");
    const wish = { name: "more", scope: "admin", user: "root" };
    assert.match(await refusal(await api.post("/api/v1/tokens", wish, ada)), /^403 /);
  });
});
