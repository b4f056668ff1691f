/** Attempts on people who sign in. GitHub is `test/support/github-oauth.ts`: the real one is out of reach of tests. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { ownPath } from "../../../coordinator/http/sign-in.ts";
import { openBucket } from "../../../kit/topology.ts";
import { me } from "../../../protocol/access.ts";
import { SESSIONS } from "../../../protocol/streams.ts";
import { type Api, refusal, startApi } from "../../integration/coordinator/api-rig.ts";
import { GithubOauth, Visitor } from "../../support/github-oauth.ts";
import { until } from "../../support/until.ts";

const LIMIT = { timeout: 60_000 };
const BUILDS = "/api/v1/builds";
const PAUSE = "/api/v1/environments/*/*/prod/pause";
/** So that each visitor has an address, and none has signed in too often. */
const PROXY = { TOROID_HTTP_PROXIES: "127.0.0.1" };
const ROOT = { login: "root", organizations: [], teams: [] };
const MALLORY = { login: "mallory", organizations: [], teams: [] };

let github: GithubOauth;
let api: Api;

before(async () => {
  github = await GithubOauth.start();
  api = await startApi({ ...github.variables, TOROID_ROLES: "@root admin; @mallory read", ...PROXY });
});

after(async () => {
  await api?.[Symbol.asyncDispose]();
  await github?.[Symbol.asyncDispose]();
});

async function signedIn(person = ROOT): Promise<Visitor> {
  const visitor = new Visitor(api.url);
  github.person = person;
  assert.equal(await visitor.signIn(), "/");
  return visitor;
}

async function nameOf(visitor: Visitor): Promise<string> {
  return me.parse(await (await visitor.go("/api/v1/me")).json()).name;
}

/** Goes to GitHub as `person`, and answers the address by which it sends them back. */
async function wayBack(visitor: Visitor, person = ROOT): Promise<string> {
  github.person = person;
  const there = await visitor.go("/auth/github");
  return (await visitor.go(there.headers.get("location") ?? "")).headers.get("location") ?? "";
}

suite("whoever is to sign in as somebody else", LIMIT, () => {
  test("by an answer of GitHub's that another browser asked for, does not", async () => {
    const mallory = new Visitor(api.url);
    const address = await wayBack(mallory, MALLORY);
    const victim = new Visitor(api.url);
    assert.equal((await victim.go(address)).headers.get("location"), "/sign-in?problem=denied");
    // One that has begun to sign in itself is not moved to another name either.
    await wayBack(victim, ROOT);
    assert.equal((await victim.go(address)).headers.get("location"), "/sign-in?problem=denied");
    assert.deepEqual([await nameOf(victim), [...victim.cookies.keys()]], ["", []]);
  });

  test("by an answer that was used before, does not, though the cookie came back", async () => {
    const visitor = new Visitor(api.url);
    const address = await wayBack(visitor);
    const cookie = visitor.cookies.get("toroid-journey") ?? "";
    assert.equal((await visitor.go(address)).headers.get("location"), "/");
    assert.equal(visitor.cookies.has("toroid-journey"), false);
    const again = new Visitor(api.url);
    again.cookies.set("toroid-journey", cookie);
    assert.equal((await again.go(address)).headers.get("location"), "/sign-in?problem=denied");
    assert.equal(again.cookies.size, 0);
  });

  test("by a state, a code or a verifier that is not theirs, does not", async () => {
    const other = new URL(await wayBack(new Visitor(api.url)));
    for (const change of [
      (url: URL) => url.searchParams.set("state", "guessed"),
      (url: URL) => url.searchParams.delete("state"),
      (url: URL) => url.searchParams.append("state", "twice"),
      (url: URL) => url.searchParams.set("code", "guessed"),
      // Somebody's code, taken on its way: of no use without the verifier that never left their browser.
      (url: URL) => url.searchParams.set("code", other.searchParams.get("code") ?? ""),
      (url: URL) => url.searchParams.delete("code"),
    ]) {
      const visitor = new Visitor(api.url);
      const url = new URL(await wayBack(visitor));
      change(url);
      assert.equal((await visitor.go(url.href)).headers.get("location"), "/sign-in?problem=denied", url.search);
      assert.equal(await nameOf(visitor), "");
    }
  });

  test("by a cookie that they made up, or that they planted before, does not", async () => {
    for (const forged of ["A".repeat(43), "x", "../../token.x", "*", ">", "session.x", "A".repeat(4_000)]) {
      const visitor = new Visitor(api.url);
      visitor.cookies.set("toroid", forged);
      assert.equal((await visitor.go(BUILDS)).status, 401, forged);
    }
    const mallory = await signedIn(MALLORY);
    const planted = mallory.cookies.get("toroid") ?? "";
    const victim = new Visitor(api.url);
    victim.cookies.set("toroid", planted);
    github.person = ROOT;
    await victim.signIn();
    assert.notEqual(victim.cookies.get("toroid"), planted);
    // What was planted is worth nothing any more, and never becomes the victim's.
    await until("it to be over", async () => (await nameOf(mallory)) === "");
    assert.equal(await nameOf(victim), "root");
  });

  test("by what the store has of sessions, does not", async () => {
    await signedIn();
    const kv = await openBucket(api.jet, SESSIONS);
    let seen = 0;
    for await (const key of await kv.keys()) {
      const visitor = new Visitor(api.url);
      visitor.cookies.set("toroid", key.slice("session.".length));
      assert.equal(await nameOf(visitor), "");
      seen += 1;
    }
    assert.ok(seen > 0);
  });

  test("by a token of their own, from a page of theirs, does not sign the visitor in", async () => {
    const body = JSON.stringify({ token: `trd_${"0".repeat(16)}_${"A".repeat(32)}` });
    for (const headers of [
      { origin: "https://evil.example", "content-type": "application/json", "toroid-csrf": "1" },
      { origin: "null", "content-type": "application/json", "toroid-csrf": "1" },
      { origin: api.url, "content-type": "application/json" },
      { "content-type": "application/json", "toroid-csrf": "1" },
      { origin: api.url, "content-type": "application/json", "toroid-csrf": "1", "sec-fetch-site": "cross-site" },
      { origin: api.url, "content-type": "text/plain", "toroid-csrf": "1" },
      { origin: api.url, "content-type": "application/x-www-form-urlencoded" },
    ]) {
      const answer = await fetch(`${api.url}/auth/token`, { method: "POST", headers, body });
      assert.match(await refusal(answer), /^(400 TOR_INVALID_INPUT|403 TOR_NOT_ALLOWED)/, JSON.stringify(headers));
    }
  });
});

suite("a page of somebody else in a browser that is signed in", LIMIT, () => {
  test("changes nothing, by whatever request a browser lets it send", async () => {
    const victim = await signedIn();
    const body = JSON.stringify({ reason: "hers" });
    const json = "application/json";
    const origin = api.url;
    for (const headers of [
      { origin: "https://evil.example", "content-type": "text/plain" },
      { origin: "https://evil.example", "content-type": json, "toroid-csrf": "1" },
      { origin: "null", "content-type": json, "toroid-csrf": "1" },
      { origin: `${origin}.evil.example`, "content-type": json, "toroid-csrf": "1" },
      { origin: origin.replace("127.0.0.1", "127.0.0.2"), "content-type": json, "toroid-csrf": "1" },
      { origin: origin.replace(/:[0-9]+$/, ":1"), "content-type": json, "toroid-csrf": "1" },
      { origin, "content-type": json },
      { origin, "content-type": json, "toroid-csrf": "0" },
      { origin, "content-type": json, "toroid-csrf": "1", "sec-fetch-site": "same-site" },
      { origin, "content-type": json, "toroid-csrf": "1", "sec-fetch-site": "cross-site" },
      { "content-type": json, "toroid-csrf": "1" },
      { "content-type": json, "toroid-csrf": "1", "sec-fetch-site": "none" },
      { "content-type": json },
    ]) {
      for (const method of ["POST", "DELETE"]) {
        const path = method === "POST" ? PAUSE : "/api/v1/tokens/0000000000000000";
        const init = method === "POST" ? { method, body, headers } : { method, headers: { ...headers } };
        const answer = await victim.go(path, init);
        assert.match(String(answer.status), /^(400|403)$/, `${method} ${JSON.stringify(headers)}`);
      }
      // Nor by telling them that they are somebody else.
      await victim.go("/auth/sign-out", { method: "POST", body: "{}", headers });
    }
    assert.equal(await nameOf(victim), "root");
    for (const path of [PAUSE, "/auth/sign-out", "/auth/token"]) {
      assert.equal((await victim.go(path)).status, 404, `GET ${path}`);
    }
    const over = { "content-type": json, "x-http-method-override": "POST" };
    assert.equal((await victim.go(`${PAUSE}?_method=POST`, { headers: over })).status, 404);
    assert.equal((await victim.post(PAUSE, { reason: "ours" })).status, 200);
  });

  test("reads nothing: no other origin is let in, and none may frame the page", async () => {
    const victim = await signedIn();
    for (const method of ["GET", "OPTIONS"]) {
      const asked = { origin: "https://evil.example", "access-control-request-method": "POST" };
      const answer = await victim.go(BUILDS, { method, headers: asked });
      const names = [...answer.headers.keys()].filter((name) => name.startsWith("access-control-"));
      assert.deepEqual(names, [], method);
      assert.match(answer.headers.get("content-security-policy") ?? "", /frame-ancestors 'none'/);
    }
  });
});

test("nobody is led elsewhere after signing in", LIMIT, async () => {
  const elsewhere = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/%09/evil.example/..//evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/..//evil.example",
    "/./\\evil.example",
    "http:evil.example",
    " //evil.example",
    "@evil.example",
    ".evil.example",
  ];
  for (const to of elsewhere) {
    assert.equal(new URL(ownPath(to), "https://ci.example.com").origin, "https://ci.example.com", to);
    const end = await new Visitor(api.url).go(`/auth/github?to=${encodeURIComponent(to)}`);
    assert.equal(new URL(end.headers.get("location") ?? "").origin, github.url, to);
  }
  assert.equal(ownPath("/builds/acme/api/1?x=1#L2"), "/builds/acme/api/1?x=1#L2");
  const visitor = new Visitor(api.url);
  github.person = ROOT;
  assert.equal(await visitor.signIn("//evil.example"), "/");
});
