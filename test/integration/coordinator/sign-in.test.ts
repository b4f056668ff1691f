/** People at the page. GitHub is `test/support/github-oauth.ts`: the real one is out of reach of tests. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { madeToken, me } from "../../../protocol/access.ts";
import { auditPage } from "../../../protocol/audit.ts";
import { GithubOauth, type Person, Visitor } from "../../support/github-oauth.ts";
import { until } from "../../support/until.ts";
import { toroid } from "../../unit/bin/toroid.ts";
import { REPOSITORY, target } from "../../unit/coordinator/samples.ts";
import { type Api, BUILDS, refusal, startApi, startBuild } from "./api-rig.ts";
import { runStage, startCoordinator } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const PROD = `/api/v1/environments/${REPOSITORY}/prod`;
const ROLES = "@root admin; acme read acme/*; acme/dev operate acme/api";
const ROOT: Person = { login: "root", organizations: [], teams: [] };
const ADA: Person = { login: "Ada", organizations: ["Acme"], teams: ["Acme/dev"] };
const BOB: Person = { login: "bob", organizations: ["acme"], teams: ["acme/ops"] };
const EVE: Person = { login: "eve", organizations: ["evil"], teams: ["evil/dev"] };

async function start(variables: Record<string, string> = {}) {
  await using undo = new AsyncDisposableStack();
  const github = undo.use(await GithubOauth.start());
  const given = { ...github.variables, TOROID_ROLES: ROLES, ...variables };
  const api = undo.use(await startApi(given));
  const kept = undo.move();
  const visit = async (person: Person): Promise<Visitor> => {
    const visitor = new Visitor(api.url);
    github.person = person;
    assert.equal(await visitor.signIn(), "/");
    return visitor;
  };
  return { ...api, github, given, visit, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function operatorToken(api: Api): Promise<string> {
  const args = ["token", "create", "ops", "--scope", "admin", "--direct"];
  const { out } = await toroid(args, { env: { TOROID_NATS_URL: api.server.url } });
  return out.trim();
}

async function meOf(visitor: Visitor) {
  return me.parse(await (await visitor.go("/api/v1/me")).json());
}

suite("signing in by GitHub", LIMIT, () => {
  test("lets in who is in the roles, with what all of them together say, and nobody else", async () => {
    await using api = await start();
    const root = await api.visit(ROOT);
    const { name, scope, ways } = await meOf(root);
    assert.deepEqual([name, scope, ways], ["root", "admin", ["github", "token"]]);
    await startBuild({ ...api, get: (path) => root.go(path) });

    const [ada, bob] = [await api.visit(ADA), await api.visit(BOB)];
    assert.deepEqual((await meOf(ada)).grants, [
      { scope: "read", repositories: ["acme/*"] },
      { scope: "operate", repositories: ["acme/api"] },
    ]);
    for (const [visitor, expected] of [
      [ada, [200, 200, 403, 403]],
      [bob, [200, 403, 403, 403]],
    ] as const) {
      const statuses = [
        await visitor.go(`${BUILDS}/${REPOSITORY}/1`),
        await visitor.post(`${PROD}/pause`, { reason: "freeze" }),
        await visitor.go(`${BUILDS}/other/site/1`),
        await visitor.post("/api/v1/executors/one/drain", {}),
      ].map(({ status }) => status);
      assert.deepEqual(statuses, expected);
    }
    const entries = auditPage.parse(await (await root.go("/api/v1/audit?who=Ada")).json()).entries;
    assert.deepEqual(
      entries.toReversed().map(({ via, action, status }) => `${via} ${action} ${status}`),
      ["session sign in 303", "session pause 200", "session drain 403"],
    );

    api.github.person = EVE;
    const eve = new Visitor(api.url);
    assert.equal(await eve.signIn(), "/sign-in?problem=not-listed");
    assert.deepEqual([eve.cookies.size, (await meOf(eve)).signedIn], [0, false]);
    assert.equal((await eve.go(BUILDS)).status, 401);
    api.github.person = null;
    assert.equal(await eve.signIn(), "/sign-in?problem=denied");
    Object.assign(api.github, { person: ADA, apiStatus: 500 });
    assert.equal(await eve.signIn(), "/sign-in?problem=failed");
    assert.equal(eve.cookies.size, 0);
  });

  test("who signed in is who approves: nobody approves what they asked for themselves, by no header either", async () => {
    await using api = await start();
    const root = await api.visit(ROOT);
    const approval = { from: [], self: false, expiresMs: 3_600_000 };
    const asRoot: Api = { ...api, get: (path) => root.go(path) };
    await startBuild(asRoot, [target("prod", ["build"], { approval })]);
    await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "build", round: 1 });
    await until("it to wait", async () => {
      const text = await (await root.go("/api/v1/repositories")).text();
      return text.includes('"endsAtMs"');
    });
    const ada = await api.visit(ADA);
    const own = await ada.post(`${PROD}/approvals`, { build: 1 }, { "toroid-user": "root" });
    assert.match(await refusal(own), /^403 TOR_NOT_ALLOWED: Ada is behind this build/);
    // In the name of a team that GitHub did not name, nobody does.
    const boast = await root.post(`${PROD}/approvals`, { build: 1, team: "@acme/dev" });
    assert.match(await refusal(boast), /^403 TOR_NOT_ALLOWED: root is not in @acme\/dev/);
    const token = await operatorToken(api);
    const bearer = { authorization: `Bearer ${token}` };
    const unknown = await api.post(`${PROD}/approvals`, { build: 1, team: "@acme/dev" }, bearer);
    assert.match(await refusal(unknown), /^403 TOR_NOT_ALLOWED: ops is not in @acme\/dev/);
    assert.equal((await root.post(`${PROD}/approvals`, { build: 1 })).status, 200);
  });

  test("outlives a restart, and holds at every coordinator; signing out ends it at all of them, streams too", async () => {
    await using api = await start();
    const ada = await api.visit(ADA);
    await api.stopCoordinator();
    await using one = await startCoordinator(api.server.url, api.given);
    await using two = await startCoordinator(api.server.url, api.given);
    const cookie = [...ada.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const at = (url: string, path = "/api/v1/repositories"): Promise<Response> =>
      fetch(url + path, { headers: { cookie } });
    assert.deepEqual([(await at(one.url)).status, (await at(two.url)).status], [200, 200]);
    const stream = await at(two.url, "/api/v1/events");
    const ended = (async () => {
      for await (const _ of stream.body ?? []);
    })().catch(() => undefined);
    const there = new Visitor(one.url);
    for (const [name, value] of ada.cookies) there.cookies.set(name, value);
    assert.equal((await there.post("/auth/sign-out", {})).status, 204);
    assert.equal(there.cookies.size, 0);
    await ended;
    await until("both to know", async () => {
      const answers = await Promise.all([at(one.url), at(two.url)]);
      return answers.every(({ status }) => status === 401);
    });
  });

  test("people make tokens for themselves that can do no more than they may", async () => {
    await using api = await start();
    const ada = await api.visit(ADA);
    const made = await ada.post("/api/v1/tokens", { name: "laptop", scope: "operate" });
    const { secret, user } = madeToken.parse(await made.json());
    assert.equal(user, "Ada");
    const bearer = { authorization: `Bearer ${secret}` };
    const statuses = await Promise.all(
      ["acme/api", "acme/web", "other/site"].map(async (repository) => {
        const path = `/api/v1/environments/${repository}/prod/pause`;
        return (await api.post(path, { reason: "x" }, bearer)).status;
      }),
    );
    assert.deepEqual(statuses, [404, 403, 403]);
    for (const [wish, why] of [
      [{ name: "x", scope: "admin" }, /no wider than your own role/],
      [{ name: "x", user: "root" }, /in the name of others/],
      [{ name: "x", days: null }, /expires within 366 days/],
    ] as const) {
      assert.match(await refusal(await ada.post("/api/v1/tokens", wish)), why);
    }
  });
});

test("by a token one signs in at the page, for as long as the token is worth something", LIMIT, async () => {
  await using api = await startApi({ TOROID_AUTH: "token" });
  const secret = await operatorToken(api);
  const visitor = new Visitor(api.url);
  assert.match(await refusal(await visitor.post("/auth/token", { token: `${secret.slice(0, -1)}!` })), /^401 /);
  const answer = await visitor.post("/auth/token", { token: ` ${secret}\n` });
  assert.equal(me.parse(await answer.json()).name, "ops");
  assert.match(
    visitor.set.get("toroid") ?? "",
    /^toroid=[A-Za-z0-9_-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/,
  );
  assert.equal((await visitor.go(BUILDS)).status, 200);
  assert.equal((await visitor.go("/auth/github")).status, 404);
  const bearer = { authorization: `Bearer ${secret}` };
  await fetch(`${api.url}/api/v1/tokens/${secret.slice(4, 20)}`, { method: "DELETE", headers: bearer });
  await until("the session to be over", async () => (await visitor.go(BUILDS)).status === 401);
});

test("behind TLS cookies are of this host alone, and the way back is the public address", LIMIT, async () => {
  await using github = await GithubOauth.start();
  const publicUrl = { TOROID_PUBLIC_URL: "https://ci.example.com", TOROID_ROLES: ROLES };
  await using api = await startApi({ ...github.variables, ...publicUrl });
  github.person = ADA;
  const visitor = new Visitor(api.url);
  const there = await visitor.go("/auth/github?to=/builds/acme/api/1");
  const location = new URL(there.headers.get("location") ?? "");
  assert.equal(location.searchParams.get("redirect_uri"), "https://ci.example.com/auth/github/callback");
  const back = new URL((await visitor.go(location.href)).headers.get("location") ?? "");
  const end = await visitor.go(back.pathname + back.search);
  assert.equal(end.headers.get("location"), "/builds/acme/api/1");
  const cookie = visitor.set.get("__Host-toroid") ?? "";
  assert.match(cookie, /^__Host-toroid=[A-Za-z0-9_-]{43}; Max-Age=43200; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
});

test("where nobody has to sign in, nobody can", LIMIT, async () => {
  await using api = await startApi();
  const visitor = new Visitor(api.url);
  assert.match(await refusal(await visitor.post("/auth/token", { token: "trd_x" })), /^409 TOR_REFUSED: nobody has to/);
  assert.equal((await visitor.go("/auth/github")).status, 404);
  assert.deepEqual(await meOf(visitor), {
    name: "local",
    signedIn: true,
    auth: "none",
    ways: [],
    scope: "admin",
    grants: [{ scope: "admin", repositories: null }],
  });
});
