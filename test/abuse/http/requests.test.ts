import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { openBucket } from "../../../kit/topology.ts";
import { auditPage } from "../../../protocol/audit.ts";
import { TOKENS } from "../../../protocol/streams.ts";
import { refusal, startApi } from "../../integration/coordinator/api-rig.ts";
import { until } from "../../support/until.ts";
import { rawTo, startGuarded } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const BUILDS = "/api/v1/builds";
/** Until the server ends the connection by itself. */
const CLOSE = "connection: close\r\n\r\n";

/** Status line and body of a raw answer. */
function parts(answer: string): { readonly status: string; readonly head: string; readonly body: string } {
  const [head = "", body = ""] = answer.split("\r\n\r\n");
  return { status: /^HTTP\/1\.1 ([0-9]{3})/.exec(head)?.[1] ?? "", head, body };
}

suite("requests that are meant to harm", LIMIT, () => {
  test("by another name for this host are refused, unless it is the public one", async () => {
    await using local = await startApi();
    await using guarded = await startGuarded({ TOROID_PUBLIC_URL: "https://ci.example.com" });
    const statusOf = async (url: string, path: string, host: string, method = "GET"): Promise<string> =>
      parts(await rawTo(url, `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 0\r\n${CLOSE}`)).status;
    for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:7433", ""]) {
      assert.equal(await statusOf(local.url, BUILDS, host), "400", host);
      assert.equal(await statusOf(guarded.url, "/api/v1/me", host), "400", host);
      assert.equal(await statusOf(guarded.url, "/", host), "400", host);
      assert.equal(await statusOf(guarded.url, "/auth/token", host, "POST"), "400", host);
    }
    assert.equal(await statusOf(guarded.url, "/api/v1/me", "ci.example.com"), "200");
    assert.equal(await statusOf(guarded.url, "/api/v1/me", "ci.example.com.evil.example"), "400");
    assert.equal(await statusOf(guarded.url, "/healthz", "10.0.0.5"), "200");
    assert.equal(await statusOf(local.url, "/healthz", "10.0.0.5"), "400");
    const bearer = await guarded.bearer("read");
    const named = `GET ${BUILDS} HTTP/1.1\r\nhost: 10.0.0.5:7433\r\nauthorization: ${bearer.authorization}\r\n${CLOSE}`;
    assert.equal(parts(await guarded.raw(named)).status, "200");
  });

  test("for paths that lead out of the page's files get none of what is there", async () => {
    await using api = await startApi();
    const out = [
      "/../package.json",
      "/..%2fpackage.json",
      "/%2e%2e/package.json",
      "/%2e%2e%2f%2e%2e%2fpackage.json",
      "/assets/../../package.json",
      "/assets/..%5c..%5cpackage.json",
      "/assets/%252e%252e%252fpackage.json",
      "//etc/passwd",
      "/./../web/../package.json",
      "/%00/package.json",
      "/..;/package.json",
      "/%c0%ae%c0%ae/package.json",
      "http://127.0.0.1/../package.json",
    ];
    for (const path of out) {
      const { status, body } = parts(await rawTo(api.url, `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${CLOSE}`));
      assert.match(status, /^(400|403|404)$/, path);
      assert.ok(!body.includes("devDependencies") && !body.includes("root:"), path);
    }
    for (const name of ["..%2f..%2fetc", "%2e%2e", "a%00b", "a%0d%0ab"]) {
      const answer = await fetch(`${api.url}${BUILDS}/${name}/x/1/stages/${name}/log`);
      assert.match(String(answer.status), /^(400|404)$/, name);
    }
  });

  test("with line ends in what comes back in a header put no header there", async () => {
    await using api = await startApi();
    const id = await fetch(`${api.url}/healthz`, { headers: { "x-request-id": "a set-cookie: x=1" } });
    assert.match(id.headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/);
    const paths = ["/%0d%0aset-cookie:%20x=1", `${BUILDS}/a%0d%0ax/b%0aset-cookie:x/1`, "/auth/github?to=%0d%0ax:1"];
    for (const path of paths) {
      const { head } = parts(await rawTo(api.url, `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${CLOSE}`));
      assert.doesNotMatch(head, /set-cookie|\nx:/i, path);
    }
    for (const bytes of [
      "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nbad header: 1\r\n\r\n",
      "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntoroid-user: a\rb\r\n\r\n",
      "GET / HTTP/1.1\r\nhost: evil.example\r\nhost: localhost\r\nconnection: close\r\n\r\n",
      "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ]) {
      assert.equal(parts(await rawTo(api.url, bytes)).status, "400", JSON.stringify(bytes));
    }
  });

  test("that are too large are refused before they are taken in", async () => {
    await using api = await startGuarded();
    const bearer = await api.bearer("admin");
    const huge = 1_000_000_000;
    const told = `POST ${BUILDS} HTTP/1.1\r\nhost: localhost\r\nauthorization: ${bearer.authorization}\r\n`;
    const json = "content-type: application/json\r\n";
    const said = parts(await api.raw(`${told}${json}content-length: ${huge}\r\n\r\n{"a":"`));
    assert.equal(said.status, "400");
    const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
    const chunked = await api.raw(`${told}${json}transfer-encoding: chunked\r\n\r\n${chunk.repeat(8)}`);
    assert.equal(parts(chunked).status, "400");
    const heads = await api.raw(`GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(40_000)}\r\n\r\n`);
    assert.equal(parts(heads).status, "431");
    const path = await fetch(`${api.url}/api/v1/builds/${"a".repeat(5_000)}/b/1`, { headers: bearer });
    assert.match(String(path.status), /^4/);
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const nested = await fetch(api.url + BUILDS, {
      method: "POST",
      headers: { ...bearer, "content-type": "application/json" },
      body: deep,
    });
    assert.match(String(nested.status), /^4/);
    const token = await fetch(`${api.url}/auth/token`, {
      method: "POST",
      headers: { "content-type": "application/json", "toroid-csrf": "1", origin: api.url },
      body: JSON.stringify({ token: "x".repeat(10_000) }),
    });
    assert.equal(token.status, 400);
    assert.equal((await fetch(`${api.url}/healthz`)).status, 200);
  });

  test("that never end are ended: in their head, and in their body", async () => {
    await using api = await startGuarded({ TOROID_HTTP_REQUEST_SECONDS: "1" });
    const bearer = await api.bearer("admin");
    const head = `POST ${BUILDS} HTTP/1.1\r\nhost: localhost\r\nauthorization: ${bearer.authorization}\r\n`;
    const body = `${head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{`;
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, () => api.raw("GET / HTTP/1.1\r\nhost: localhost\r\nx-slow:")),
      ...Array.from({ length: 20 }, () => api.raw(body)),
      api.raw("G"),
    ]);
    for (const answer of answers) assert.match(parts(answer).status, /^(408|400)$/);
    assert.equal((await fetch(`${api.url}/healthz`)).status, 200);
  });
});

suite("asking too often", LIMIT, () => {
  test("with wrong tokens has whoever guesses wait, who is known goes on, and the record is not flooded", async () => {
    await using api = await startGuarded();
    const ops = await api.bearer("admin");
    assert.equal((await api.get(BUILDS, ops)).status, 200);
    const guess = (n: number): Record<string, string> => ({
      authorization: `Bearer trd_${n.toString(16).padStart(16, "0")}_${"A".repeat(32)}`,
    });
    const post = (n: number): Promise<Response> => api.post(BUILDS, { repository: "a/b", ref: "main" }, guess(n));
    const late = await until("guesses to be turned away", async () => {
      const answer = await post(Math.floor(Math.random() * 1e9));
      return answer.status === 429 ? answer : undefined;
    });
    const wait = Number(late.headers.get("retry-after"));
    assert.ok(wait >= 1 && wait <= 60, `${wait}`);
    assert.match(await refusal(late), /^429 TOR_RATE_LIMITED: too many requests: try again in [0-9]+ s$/);
    for (let n = 0; n < 100; n += 1) assert.equal((await post(n)).status, 429);
    // It is looked up again, as it is whenever somebody changes it.
    const tokens = await openBucket(api.jet, TOKENS);
    const id = ops.authorization.slice("Bearer trd_".length, "Bearer trd_".length + 16);
    await tokens.put(`token.${id}`, (await tokens.get(`token.${id}`))?.value ?? "");
    for (let n = 0; n < 20; n += 1) assert.equal((await api.get(BUILDS, ops)).status, 200);
    const { entries } = auditPage.parse(await (await api.get("/api/v1/audit?limit=200", ops)).json());
    assert.equal(entries.length, 60);
  });

  test("by one person or program is answered with 429, and costs others nothing", async () => {
    await using api = await startGuarded({ TOROID_HTTP_REQUESTS_PER_MINUTE: "5" });
    const [one, other] = [await api.bearer("read"), await api.bearer("read")];
    for (let n = 0; n < 5; n += 1) {
      const answer = await api.get(BUILDS, one);
      assert.deepEqual([answer.status, answer.headers.get("x-ratelimit-remaining")], [200, String(4 - n)]);
    }
    const late = await api.get(BUILDS, one);
    assert.ok(Number(late.headers.get("retry-after")) > 0);
    assert.match(await refusal(late), /^429 TOR_RATE_LIMITED: /);
    assert.equal((await api.get(BUILDS, other)).status, 200);
    assert.equal((await api.get("/healthz")).status, 200);
  });

  test("to sign in is answered with 429, whatever one signs in with", async () => {
    await using api = await startGuarded();
    const page = { "toroid-csrf": "1", origin: api.url };
    const statuses: number[] = [];
    for (let n = 0; n < 25; n += 1) {
      statuses.push((await api.post("/auth/token", { token: `trd_${n}` }, page)).status);
    }
    assert.deepEqual([...new Set(statuses)], [401, 429]);
  });

  test("is counted by the address that a trusted proxy tells, and by no other's word", async () => {
    await using trusting = await startGuarded({
      TOROID_HTTP_PROXIES: "127.0.0.1",
      TOROID_HTTP_REQUESTS_PER_MINUTE: "1",
    });
    await using plain = await startGuarded({ TOROID_HTTP_REQUESTS_PER_MINUTE: "1" });
    const from = async (api: typeof plain, ip: string): Promise<number> =>
      (await api.get("/api/v1/me", { "x-forwarded-for": ip })).status;
    assert.deepEqual([await from(trusting, "192.0.2.1"), await from(trusting, "192.0.2.2")], [200, 200]);
    assert.equal(await from(trusting, "192.0.2.1"), 429);
    assert.deepEqual([await from(plain, "192.0.2.1"), await from(plain, "192.0.2.2")], [200, 429]);
  });
});
