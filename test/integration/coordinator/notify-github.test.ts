/** GitHub is out of reach here: `test/support/github.ts` stands at its place, and takes only what GitHub documents. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isOfForge } from "../../../coordinator/notify/audience.ts";
import { githubChannel } from "../../../coordinator/notify/channels/github.ts";
import type { GithubSettings } from "../../../coordinator/notify/settings.ts";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import { APP_ID, FakeGithub, TOKEN } from "../../support/github.ts";
import { until } from "../../support/until.ts";
import { delivery, notice } from "../../unit/coordinator/notify/samples.ts";
import { commitOf, push, REPOSITORY, source, stagePlan, target } from "../../unit/coordinator/samples.ts";
import { begin, build, end, FAILED, startNotifying } from "./notify-rig.ts";
import { claimStage, finishStage, runStage } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const HOUR_MS = 3_600_000;
const WEB = "https://git.example";

const withToken = (hub: FakeGithub) => () => ({ github: { url: WEB, api: hub.server.url, token: TOKEN } });
const asApp = (hub: FakeGithub) => () => ({
  github: { url: WEB, api: hub.server.url, app: { id: APP_ID, key: hub.key } },
});

/** What is shown of a commit now, by its context: state and description. */
function shown({ statuses }: FakeGithub, number: number): Readonly<Record<string, string>> {
  const own = statuses.filter(({ sha }) => sha === commitOf(number));
  return Object.fromEntries(own.map(({ context, state, description }) => [context, `${state} ${description ?? ""}`]));
}

test(
  "with a token a commit has a status for the build and for each of its stages, from the beginning to the end",
  LIMIT,
  async () => {
    await using hub = await FakeGithub.start();
    await using rig = await startNotifying(withToken(hub));
    await rig.actors.repository.tell(REPOSITORY, {
      kind: "accept",
      key: "k1",
      push: push({ commit: commitOf(1) }),
      by: "queue",
    });
    await until("it to be shown at once", () => shown(hub, 1)["toroid"] === "pending Waiting: it is being planned");
    const plan = {
      kind: "library" as const,
      cancelSuperseded: false,
      notify: [],
      stages: [stagePlan("build NODE=22"), stagePlan("build NODE=24", { allowFailure: true })],
    };
    await runStage(
      rig.jet,
      rig.actors,
      { repository: REPOSITORY, number: 1, stage: PLAN_STAGE, round: 1 },
      { planned: { kind: "plan", source: source(1), plan: structuredClone(plan) as never } },
    );
    await until("its stages to be shown", () => Object.keys(shown(hub, 1)).length === 3);
    await end(rig, 1, "build NODE=24", FAILED);
    const long = "x".repeat(500);
    await end(rig, 1, "build NODE=22", { outcome: "timedOut", message: long });
    await until("the end to be shown", () => shown(hub, 1)["toroid"]?.startsWith("failure"));
    const now = shown(hub, 1);
    assert.equal(now["toroid/build NODE=24"], "success Failed, which the file allows: exited with 1");
    assert.match(now["toroid/build NODE=22"] ?? "", /^failure Took too long: x+…$/);
    assert.match(now["toroid"] ?? "", /^failure Took too long: build NODE=22 took too long: x+…$/);
    assert.ok(hub.statuses.every(({ target_url }) => target_url === "https://ci.example/builds/acme/api/1"));
    // Tried again it waits again, and ends again.
    await rig.actors.build.tell(
      { repository: REPOSITORY, number: 1 },
      { kind: "retry", key: "r", stage: null, by: "ada", why: "" },
    );
    await until("it to wait again", () => shown(hub, 1)["toroid"] === "pending Waiting");
    await end(rig, 1, "build NODE=22", {}, 2);
    await until("it to pass", () => shown(hub, 1)["toroid"] === "success Passed");
    assert.ok(!JSON.stringify(await rig.settled()).includes(TOKEN));
  },
);

test("what is skipped is shown as passed, with all the names that somebody may wait for", LIMIT, async () => {
  await using hub = await FakeGithub.start();
  await using rig = await startNotifying(withToken(hub));
  await rig.actors.repository.tell(REPOSITORY, {
    kind: "accept",
    key: "k1",
    push: push({ commit: commitOf(1) }),
    by: "queue",
  });
  const planned = {
    kind: "skip" as const,
    source: source(1),
    reason: "the commit message says `[skip ci]`",
    stages: ["build NODE=22", "build NODE=24"],
  };
  await runStage(
    rig.jet,
    rig.actors,
    { repository: REPOSITORY, number: 1, stage: PLAN_STAGE, round: 1 },
    { outcome: "skipped", planned },
  );
  const skipped = "success Skipped: the commit message says `[skip ci]`";
  await until("all to be shown", () => Object.values(shown(hub, 1)).filter((one) => one === skipped).length === 3);
  assert.deepEqual(
    Object.keys(shown(hub, 1)).toSorted((a, b) => (a < b ? -1 : 1)),
    ["toroid", "toroid/build NODE=22", "toroid/build NODE=24"],
  );
});

test("an app has checks that go on from queued to completed, one for each stage and each retry", LIMIT, async () => {
  await using hub = await FakeGithub.start();
  await using rig = await startNotifying(asApp(hub));
  await begin(rig, 1);
  const id = { repository: REPOSITORY, number: 1, stage: "build", round: 1 };
  const token = await claimStage(rig.jet, rig.actors, id);
  await until("two checks", () => hub.checks.length === 2);
  await finishStage(rig.jet, id, token, { ...FAILED, message: "exited with 1\n```\n![x](https://evil.example/x.png)" });
  await until("both to be completed", () => hub.checks.every(({ status }) => status === "completed"));
  const [whole, stage] = hub.checks;
  assert.deepEqual(
    [whole?.name, whole?.conclusion, stage?.name, stage?.conclusion],
    ["toroid", "failure", "toroid/build", "failure"],
  );
  assert.match(stage?.output.summary ?? "", /^````*\n[^]*!\[x\]\(https:\/\/evil\.example\/x\.png\)[^]*\n````*$/);
  assert.equal(stage?.external_id, "acme/api#1 build 1");
  assert.equal(hub.tokensGiven, 1, "a token of an installation is used until it expires");
  await rig.actors.build.tell(
    { repository: REPOSITORY, number: 1 },
    { kind: "retry", key: "r", stage: null, by: "ada", why: "" },
  );
  await end(rig, 1, "build", {}, 2);
  await until(
    "the retry to be shown beside",
    () => hub.checks.filter(({ conclusion }) => conclusion === "success").length === 2,
  );
  assert.equal(hub.checks.length, 4);
});

test("each round of an environment is one deployment, from waiting for approval to live, or not", LIMIT, async () => {
  await using hub = await FakeGithub.start();
  await using rig = await startNotifying(asApp(hub));
  const approval = { from: [], self: true, expiresMs: HOUR_MS };
  const stages = [stagePlan("build"), target("prod", ["build"], { approval })];
  const prod = { repository: REPOSITORY, environment: "prod" };
  await begin(rig, 1, { stages });
  await end(rig, 1, "build");
  await until("it to wait", () => hub.deployments[0]?.said.at(-1)?.state === "queued");
  assert.match(hub.deployments[0]?.said[0]?.description ?? "", /^Waiting: it waits for somebody to approve it/);
  await rig.actors.environment.tell(prod, { kind: "approve", number: 1, round: null, by: "bob", team: null, why: "" });
  await end(rig, 1, "prod");
  await until("it to be live", () => hub.deployments[0]?.said.at(-1)?.state === "success");
  await begin(rig, 2, { stages });
  await end(rig, 2, "build");
  await until("the next to wait", () => hub.deployments[1]?.said.at(-1)?.state === "queued");
  await rig.actors.environment.tell(prod, {
    kind: "reject",
    number: 2,
    round: null,
    by: "bob",
    team: null,
    why: "not today",
  });
  await until("it to be off", () => hub.deployments[1]?.said.at(-1)?.state === "inactive");
  assert.equal(hub.deployments[1]?.said.at(-1)?.description, "Cancelled: rejected by bob: not today");
  assert.deepEqual(
    hub.deployments.map(({ ref, environment }) => [ref, environment]),
    [
      [commitOf(1), "prod"],
      [commitOf(2), "prod"],
    ],
  );
});

test("a status that comes late never takes the place of a later one", LIMIT, async () => {
  await using hub = await FakeGithub.start();
  await using rig = await startNotifying(withToken(hub));
  let isAway = true;
  hub.before = () => (isAway ? { status: 502, body: { message: "Bad Gateway" } } : null);
  await build(rig, 1);
  await until("the end to be written down", async () =>
    (await rig.deliveries()).some(({ about }) => about === "acme/api#1 passed on main"),
  );
  isAway = false;
  const list = await until(
    "all to be over",
    async () => {
      const all = await rig.deliveries();
      return all.every(({ nextAtMs }) => nextAtMs === null) ? all : null;
    },
    { withinMs: 30_000 },
  );
  assert.ok(list.some(({ status }) => status === "overtaken"));
  assert.deepEqual(
    hub.statuses.map(({ context, state }) => `${context} ${state}`).toSorted((a, b) => (a < b ? -1 : 1)),
    ["toroid success", "toroid/build success"],
  );
});

test("what was made and not written down is found again by its name, and not made twice", LIMIT, async () => {
  await using hub = await FakeGithub.start();
  const settings: GithubSettings = {
    url: WEB,
    api: hub.server.url,
    for: ["**"],
    auth: { kind: "app", id: APP_ID, key: hub.key, installation: null },
  };
  const send = githubChannel(settings, null, "toroid/test");
  const once = delivery({
    channel: "github",
    mode: "state",
    order: [42, 1, 9],
    tried: 1,
    notice: notice({ state: "passed" }),
  });
  const go = notice({ kind: "deployment", environment: "prod", stage: "prod", state: "running" });
  for (const [first, made] of [
    [once, hub.checks],
    [{ ...once, notice: go }, hub.deployments],
  ] as const) {
    assert.equal((await send(first, [], AbortSignal.timeout(10_000))).kind, "delivered");
    const again = await send({ ...first, tried: 2 }, [], AbortSignal.timeout(10_000));
    assert.equal(again.kind, "delivered", again.message);
    assert.equal(made.length, 1);
  }
});

test("limits are heeded, a wrong token is said, and what is refused for good is given up", LIMIT, async () => {
  await using hub = await FakeGithub.start();
  const settings = (token: string): GithubSettings => ({
    url: WEB,
    api: hub.server.url,
    for: ["**"],
    auth: { kind: "token", token },
  });
  const status = delivery({ channel: "github", mode: "state", order: [42, 1, 9], tried: 1 });
  const send = (token = TOKEN) =>
    githubChannel(settings(token), null, "toroid/test")(status, [], AbortSignal.timeout(10_000));
  const wrong = await send("ghp_wrong");
  assert.deepEqual([wrong.kind, wrong.status, "isDown" in wrong && wrong.isDown], ["retry", 401, true]);
  const reset = Math.ceil(Date.now() / 1_000) + 600;
  hub.before = () => ({
    status: 403,
    headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(reset) },
    body: { message: "API rate limit exceeded" },
  });
  const limited = await send();
  assert.ok(limited.kind === "retry" && limited.isDown && (limited.afterMs ?? 0) > 590_000, JSON.stringify(limited));
  hub.before = () => ({
    status: 403,
    headers: { "retry-after": "60" },
    body: { message: "You have exceeded a secondary rate limit" },
  });
  const second = await send();
  assert.ok(second.kind === "retry" && second.isDown && second.afterMs === 60_000);
  hub.before = () => ({ status: 403, body: { message: "Resource not accessible by personal access token" } });
  const forbidden = await send();
  assert.ok(forbidden.kind === "retry" && !forbidden.isDown && forbidden.message.includes("not accessible"));
  hub.before = () => ({ status: 422, body: { message: "Validation Failed" } });
  assert.equal((await send()).kind, "giveUp");
  hub.before = () => ({ status: 307, headers: { location: "http://127.0.0.1:1/elsewhere" } });
  assert.equal((await send()).kind, "retry");
  hub.before = () => null;
  assert.equal((await send()).kind, "delivered");
  const greeting = { ...status, notice: notice({ kind: "test" }) };
  assert.equal(
    (await githubChannel(settings(TOKEN), null, "toroid/test")(greeting, [], AbortSignal.timeout(10_000))).kind,
    "delivered",
  );
});

test("only repositories of that GitHub are told of, by their own address", () => {
  const forge: GithubSettings = {
    url: WEB,
    api: "",
    for: ["**", "!acme/secret"],
    auth: { kind: "token", token: TOKEN },
  };
  const is = (changes: Parameters<typeof notice>[0]) => isOfForge(notice(changes), forge);
  assert.ok(is({ remote: "https://git.example/acme/api.git" }) && is({ remote: "https://git.example/Acme/API" }));
  for (const remote of [
    "https://github.com/acme/api.git",
    "file:///srv/acme/api",
    "/srv/acme/api",
    "https://git.example/acme/other.git",
    "https://git.example.evil/acme/api.git",
    null,
  ])
    assert.ok(!is({ remote }), String(remote));
  assert.ok(!is({ repository: "acme/secret", remote: "https://git.example/acme/secret.git" }));
  assert.ok(!is({ commit: null }) && !is({ kind: "paused" }));
});
