import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { suite, test } from "node:test";
import { serverEvents } from "../../../bin/sse.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { buildSummary, environmentSummary } from "../../../protocol/summary.ts";
import { NatsServer } from "../../support/nats.ts";
import { until } from "../../support/until.ts";
import { REPOSITORY } from "../../unit/coordinator/samples.ts";
import { BUILDS, refusal, startApi, startBuild } from "./api-rig.ts";
import { runStage, startCoordinator, startRig } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const BUILD = { repository: REPOSITORY, number: 1 };
const PROD = `/api/v1/environments/${REPOSITORY}/prod`;
const REMOTE = { https: "https://git.example/acme/api.git", ssh: null };

test("a coordinator without builds says so in every way", LIMIT, async () => {
  await using api = await startApi();
  assert.deepEqual(await (await api.get("/healthz")).json(), { status: "ok" });
  const { status, store } = (await (await api.get("/readyz")).json()) as { status: string; store: { ok: boolean } };
  assert.deepEqual([status, store.ok], ["ok", true]);
  assert.deepEqual(await (await api.get(BUILDS)).json(), { builds: [], next: null });
  assert.deepEqual(await (await api.get("/api/v1/repositories")).json(), { repositories: [] });
});

test("what is not there is a 404 that says what", LIMIT, async () => {
  await using api = await startApi();
  assert.equal(await refusal(await api.get(`${BUILDS}/acme/api/7`)), "404 TOR_NOT_FOUND: there is no build acme/api#7");
  assert.equal(
    await refusal(await api.get(`${BUILDS}/acme/api/7/stages/build/log`)),
    "404 TOR_NOT_FOUND: there is no build acme/api#7",
  );
  assert.match(
    await refusal(await api.get("/api/v1/nothing")),
    /^404 TOR_NOT_FOUND: there is nothing at \/api\/v1\/nothing$/,
  );
  assert.match(await refusal(await api.post(`${BUILDS}/acme/api/7/cancel`, {})), /^404 TOR_NOT_FOUND/);
  assert.match(await refusal(await api.post(`${BUILDS}/acme/api/7/environments/prod`, {})), /^404 TOR_NOT_FOUND/);
  assert.match(
    await refusal(await api.post(`${PROD}/pause`, { reason: "freeze" })),
    /^404 TOR_NOT_FOUND: .*nothing was ever pushed/,
  );
  await startBuild(api);
  assert.equal(
    await refusal(await api.get(`${BUILDS}/${REPOSITORY}/1/stages/biuld/log`)),
    "404 TOR_NOT_FOUND: there is no stage biuld in acme/api#1: it has _plan, build, prod",
  );
});

test("what is asked wrongly is a 400 that says where", LIMIT, async () => {
  await using api = await startApi();
  const cases: readonly (readonly [string, Response])[] = [
    ["a page of none", await api.get(`${BUILDS}?limit=0`)],
    ["a name that is none", await api.get(`${BUILDS}?repository=acme`)],
    ["a number that is none", await api.get(`${BUILDS}/acme/api/first`)],
    ["no ref", await api.post(BUILDS, { repository: REPOSITORY })],
    ["a repository that is none", await api.post(BUILDS, { repository: "acme", ref: "main" })],
    [
      "parameters that are none",
      await api.post(BUILDS, { repository: REPOSITORY, ref: "main", params: { "a b": "1" } }),
    ],
    ["a pause without a reason", await api.post(`${PROD}/pause`, {})],
    ["a time that is none", await api.post(`${PROD}/pause`, { reason: "x", until: "tomorrow" })],
    [
      "no JSON",
      await fetch(api.url + BUILDS, { method: "POST", headers: { "content-type": "application/json" }, body: "{" }),
    ],
    ["an offset below zero", await api.get(`${BUILDS}/acme/api/1/stages/build/log?offset=-1`)],
  ];
  for (const [what, answer] of cases) assert.match(await refusal(answer), /^400 TOR_INVALID_INPUT: ./, what);
  const large = await api.post(BUILDS, { repository: REPOSITORY, ref: "main", params: { A: "x".repeat(300_000) } });
  assert.match(await refusal(large), /^4[0-9]{2} TOR_INVALID_INPUT: ./);
});

test(
  "a build of a repository that nobody knows is refused until its remote is named, and is then accepted once",
  LIMIT,
  async () => {
    await using api = await startApi();
    const unknown = await api.post(BUILDS, { repository: REPOSITORY, ref: "main" });
    assert.match(
      await refusal(unknown),
      /^404 TOR_NOT_FOUND: nothing was ever pushed from acme\/api, .* name its remote$/,
    );
    const named = { repository: REPOSITORY, ref: "main", remote: REMOTE, key: "mine" };
    for (let times = 0; times < 2; times += 1) {
      const answer = await api.post(BUILDS, named);
      assert.equal(answer.status, 202);
      assert.deepEqual(await answer.json(), { repository: REPOSITORY, number: 1 });
    }
    const second = await api.post(BUILDS, { repository: REPOSITORY, ref: "main" });
    assert.deepEqual(await second.json(), { repository: REPOSITORY, number: 2 }, "now it is known where it is");
  },
);

test("builds are listed newest first, and page by number", LIMIT, async () => {
  await using api = await startApi();
  for (let number = 1; number <= 5; number += 1) {
    await api.post(BUILDS, { repository: REPOSITORY, ref: "main", remote: REMOTE, key: `k${number}` });
  }
  await until("five builds to be listed", async () => {
    const { builds } = (await (await api.get(BUILDS)).json()) as { builds: readonly unknown[] };
    return builds.length === 5;
  });
  const pageOf = async (query: string): Promise<readonly [readonly number[], string | null]> => {
    const body = (await (await api.get(`${BUILDS}?repository=${REPOSITORY}&${query}`)).json()) as {
      builds: readonly { number: number }[];
      next: string | null;
    };
    return [body.builds.map(({ number }) => number), body.next];
  };
  assert.deepEqual(await pageOf("limit=2"), [[5, 4], "4"]);
  assert.deepEqual(await pageOf("limit=2&before=4"), [[3, 2], "2"]);
  assert.deepEqual(await pageOf("limit=2&before=2"), [[1], null]);
  assert.match(
    await refusal(await api.get(`${BUILDS}?repository=${REPOSITORY}&before=x`)),
    /^400 .*"x" is not the number/,
  );
});

test("builds of all repositories page until the first one", LIMIT, async () => {
  await using api = await startApi();
  const repositories = ["acme/api", "acme/web", "zeta/app"];
  for (let at = 0; at < 8; at += 1)
    await api.post(BUILDS, { repository: repositories[at % 3], ref: "main", remote: REMOTE, key: `k${at}` });
  interface Body {
    readonly builds: readonly { repository: string; number: number; createdAtMs: number }[];
    readonly next: string | null;
  }
  const pageAt = async (query: string): Promise<Body> => (await (await api.get(`${BUILDS}?${query}`)).json()) as Body;
  const all = await until("eight builds to be listed", async () => {
    const { builds } = await pageAt("limit=100");
    return builds.length === 8 ? builds : null;
  });
  const paged: Body["builds"][number][] = [];
  for (let next: string | null = ""; next !== null; ) {
    const body: Body = await pageAt(`limit=3${next === "" ? "" : `&before=${encodeURIComponent(next)}`}`);
    paged.push(...body.builds);
    next = body.next;
  }
  assert.deepEqual(
    paged.map(({ repository, number }) => [repository, number]),
    all.map(({ repository, number }) => [repository, number]),
  );
  const times = paged.map(({ createdAtMs }) => createdAtMs);
  assert.deepEqual(
    times,
    times.toSorted((a, b) => b - a),
  );
  assert.match(await refusal(await api.get(`${BUILDS}?before=17`)), /^400 .*"17" is not the `next` of the page before/);
});

test("an environment is paused with a reason and until when, and goes on by itself", LIMIT, async () => {
  await using api = await startApi();
  await startBuild(api);
  assert.match(
    await refusal(await api.post(`${PROD}/pause`, { reason: " " })),
    /^400 TOR_INVALID_INPUT: a pause needs a reason/,
  );
  const past = new Date(Date.now() - 1_000).toISOString();
  assert.match(
    await refusal(await api.post(`${PROD}/pause`, { reason: "x", until: past })),
    /^400 .* cannot end in the past$/,
  );

  const until1s = new Date(Date.now() + 1_000);
  const paused = environmentSummary.parse(
    await (await api.post(`${PROD}/pause`, { reason: "freeze", until: until1s.toISOString() })).json(),
  );
  assert.equal(paused.paused?.why, "freeze");
  assert.equal(paused.paused.untilMs, until1s.getTime());
  await runStage(api.jet, api.actors, { ...BUILD, stage: "build", round: 1 });
  const lane = { repository: REPOSITORY, environment: "prod" };
  await until("prod to wait", async () => (await api.actors.environment.load(lane)).state.waiting.length === 1);
  await until("prod to be let go", async () => (await api.actors.environment.load(lane)).state.inFlight !== null);
  assert.ok(Date.now() >= until1s.getTime());

  await api.post(`${PROD}/pause`, { reason: "again" });
  // A POST may also say nothing but that it is one.
  const answer = await fetch(api.url + `${PROD}/resume`, { method: "POST" });
  const resumed = environmentSummary.parse(await answer.json());
  assert.equal(resumed.paused, null);
});

test("a build is cancelled with everything that waits in it", LIMIT, async () => {
  await using api = await startApi();
  await startBuild(api);
  const answer = await api.post(`${BUILDS}/${REPOSITORY}/1/cancel`, { reason: "wrong branch" });
  assert.equal(answer.status, 200);
  const ended = await until("the build to end", async () => {
    const shown = buildSummary.parse(await (await api.get(`${BUILDS}/${REPOSITORY}/1`)).json());
    const over = shown.status === "finished" && shown.stages.every(({ status }) => status === "finished");
    return over ? shown : null;
  });
  assert.deepEqual([ended.outcome, ended.message], ["cancelled", "wrong branch"]);
});

test("an environment is requested for a build that has it", LIMIT, async () => {
  await using api = await startApi();
  await startBuild(api);
  await runStage(api.jet, api.actors, { ...BUILD, stage: "build", round: 1 });
  const prod = { ...BUILD, stage: "prod", round: 1 };
  await runStage(api.jet, api.actors, prod);
  const path = `${BUILDS}/${REPOSITORY}/1/environments`;
  assert.match(
    await refusal(await api.post(`${path}/prood`, {})),
    /^404 TOR_NOT_FOUND: .* no environment named prood: it has prod$/,
  );
  assert.equal((await api.post(`${path}/prod`, { params: { WHY: "again" } })).status, 202);
  await runStage(api.jet, api.actors, { ...prod, round: 2 });
  const { state } = await api.actors.stage.load({ ...prod, round: 2 });
  assert.ok(state.work?.kind === "stage");
  assert.deepEqual(state.work.context.params, { WHY: "again" });
});

test("a page elsewhere can neither change nor reach anything here", LIMIT, async () => {
  await using api = await startApi();
  const body = { repository: REPOSITORY, ref: "main", remote: REMOTE };
  for (const origin of ["https://evil.example", "null", "http://127.0.0.1:1"]) {
    assert.match(await refusal(await api.post(BUILDS, body, { origin })), /^400 .*another origin/, origin);
  }
  assert.equal((await api.post(BUILDS, body, { origin: api.url })).status, 202);
  for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"]) {
    assert.match(await statusFor(api.url, host), /^400 .*loopback/, host);
  }
  for (const host of ["localhost", "127.0.0.1:80", "[::1]:80"])
    assert.match(await statusFor(api.url, host), /^200/, host);
  const page = await api.get(BUILDS);
  assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'/);
  assert.equal(page.headers.get("access-control-allow-origin"), null);
});

/** fetch sets the host by itself. */
function statusFor(url: string, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(`${url}${BUILDS}`, { headers: { host } }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      answer.on("end", () => resolve(`${answer.statusCode} ${text}`));
    });
    asked.on("error", reject).end();
  });
}

test("whoever listens hears of every change of a build and of an environment", LIMIT, async () => {
  await using api = await startApi();
  const away = new AbortController();
  const answer = await fetch(`${api.url}/api/v1/events`, { signal: away.signal });
  assert.match(answer.headers.get("content-type") ?? "", /^text\/event-stream/);
  const { body } = answer;
  assert.ok(body !== null);
  const heard: string[] = [];
  const listening = (async () => {
    for await (const { event, data } of serverEvents(body)) {
      if (event === "build") heard.push(`build ${buildSummary.parse(JSON.parse(data)).status}`);
      else heard.push(`environment ${environmentSummary.parse(JSON.parse(data)).environment}`);
    }
  })().catch(() => undefined);
  await startBuild(api);
  await api.post(`${PROD}/pause`, { reason: "freeze" });
  for (const what of ["build planning", "build running", "environment prod"]) {
    await until(what, () => heard.includes(what));
  }
  away.abort();
  await listening;
});

test("a coordinator that stops ends its streams and answers what it was asked", LIMIT, async () => {
  await using rig = await startRig();
  const coordinator = await startCoordinator(rig.server.url);
  const answer = await fetch(`${coordinator.url}/api/v1/events`);
  const reading = answer.text();
  await coordinator[Symbol.asyncDispose]();
  assert.match(await reading, /^: hello/);
  await assert.rejects(fetch(`${coordinator.url}/healthz`));
});

suite("a coordinator that cannot start says why in one sentence", () => {
  const because = (code: string, sentence: RegExp) => (error: unknown) => {
    assert.ok(error instanceof ToroidError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, sentence);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  };

  test("the port is in use", LIMIT, async () => {
    await using rig = await startRig();
    await using first = await startCoordinator(rig.server.url);
    const { port } = new URL(first.url);
    await assert.rejects(
      startCoordinator(rig.server.url, { TOROID_HTTP_PORT: port }),
      because("TOR_ADDRESS_IN_USE", new RegExp(`^port ${port} on 127\\.0\\.0\\.1 is in use: .* TOROID_HTTP_PORT$`)),
    );
    assert.equal((await fetch(`${first.url}/healthz`)).status, 200, "the first is not disturbed");
  });

  test("NATS is away", LIMIT, async () => {
    await assert.rejects(
      startCoordinator("nats://127.0.0.1:1"),
      because("TOR_NATS_UNREACHABLE", /^cannot connect to NATS at nats:\/\/127\.0\.0\.1:1: .* TOROID_NATS_URL$/),
    );
  });

  test("the store of NATS is too small", LIMIT, async () => {
    await using server = await NatsServer.start({ maxFileBytes: 32 * 1024 * 1024 });
    await assert.rejects(startCoordinator(server.url), because("TOR_STREAM_MISMATCH", /TOROID_STORE_BYTES/));
  });
});
