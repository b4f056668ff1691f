/** What other programs look at: Prometheus, badges in READMEs, trays. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../../support/until.ts";
import { commitOf, push, REPOSITORY } from "../../unit/coordinator/samples.ts";
import { type Api, BUILDS, startApi, startBuild } from "./api-rig.ts";
import { claimStage, finishStage, runStage } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const BUILD = { repository: REPOSITORY, number: 1 };
let api: Api;

before(async () => {
  api = await startApi();
  await startBuild(api);
  await runStage(api.jet, api.actors, { ...BUILD, stage: "build", round: 1 });
  const prod = { ...BUILD, stage: "prod", round: 1 };
  await finishStage(api.jet, prod, await claimStage(api.jet, api.actors, prod), { outcome: "passed" });
  await until("the build to pass", async () => (await outcomeOf(1)) === "passed");
});

after(async () => {
  await api?.[Symbol.asyncDispose]();
});

async function outcomeOf(number: number): Promise<unknown> {
  const body = (await (await api.get(`${BUILDS}/${REPOSITORY}/${number}`)).json()) as { outcome?: unknown };
  return body.outcome;
}

/** Every sample by its name with labels. */
async function samples(): Promise<ReadonlyMap<string, number>> {
  const text = await (await api.get("/metrics")).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

test("metrics tell how things stand and what has happened, by names with units", LIMIT, async () => {
  const now = await until("the build to be counted", async () => {
    const found = await samples();
    return found.get('toroid_builds_finished_total{outcome="passed"}') === 1 ? found : null;
  });
  for (const [sample, value] of [
    ['toroid_builds{state="passed"}', 1],
    ['toroid_stages_finished_total{outcome="passed"}', 3],
    ["toroid_stage_wait_seconds_count", 3],
    ['toroid_environments{state="open"}', 1],
    ['toroid_dead_letters{state="open"}', 0],
    ["toroid_event_clients", 0],
  ] as const)
    assert.equal(now.get(sample), value, sample);
  assert.ok((now.get('toroid_store_bytes{stream="TOROID_RUN"}') ?? 0) > 0);
  assert.ok((now.get("process_resident_memory_bytes") ?? 0) > 10_000_000);
  const text = await (await api.get("/metrics")).text();
  for (const [, name = "", kind] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    assert.match(name, /^(toroid|process)_[a-z_]+$/);
    assert.equal(kind === "counter", name.endsWith("_total"), name);
    assert.ok(text.includes(`# HELP ${name} `), name);
  }
});

test("what is asked for makes no label: routes are as they are registered", LIMIT, async () => {
  for (let at = 0; at < 30; at += 1) {
    await api.get(`${BUILDS}/acme/api${at}/${at + 1}`);
    await api.get(`/nothing/${at}`);
  }
  const counted = [...(await samples()).keys()].filter((name) => name.startsWith("toroid_http_request_seconds_count"));
  assert.ok(
    counted.includes(
      `toroid_http_request_seconds_count{method="GET",route="${BUILDS}/:owner/:repo/:number",status="4xx"}`,
    ),
  );
  assert.ok(counted.some((name) => name.includes('route="nothing"')));
  assert.ok(counted.length < 20, counted.join("\n"));
});

test("a badge shows how the newest build of a branch that ended did, and what is live", LIMIT, async () => {
  const badge = async (path: string): Promise<string> => {
    const answer = await api.get(`/badge/${REPOSITORY}/${path}`);
    assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, "image/svg+xml; charset=utf-8"]);
    return /<title>(.*?)<\/title>/.exec(await answer.text())?.[1] ?? "";
  };
  assert.equal(await badge("main.svg"), "main: passed");
  assert.equal(await badge("feature/none.svg"), "feature/none: unknown");
  assert.match(await badge("main.svg?environment=prod"), /^prod: #1 [0-9a-f]{7}$/);
  assert.equal(
    await badge(`${encodeURIComponent("<script>alert(1)</script>")}.svg`),
    "&lt;script&gt;alert(1)&lt;/script&gt;: unknown",
  );
  assert.match(await (await api.get("/badge/acme/nobody/main.svg")).text(), /main: unknown/);
});

test("cc.xml tells of every repository, and which of them builds", LIMIT, async () => {
  const repository = "acme/two";
  await api.actors.repository.tell(repository, {
    kind: "accept",
    key: "k",
    push: push({ repository, commit: commitOf(9) }),
    by: "queue",
  });
  const xml = await until("the second repository to build", async () => {
    const text = await (await api.get("/cc.xml")).text();
    return text.includes('name="acme/two" activity="Building"') ? text : null;
  });
  const { host } = new URL(api.url);
  assert.match(
    xml,
    /^<\?xml version="1.0" encoding="UTF-8"\?>\n<Projects>\n( {2}<Project [^<>]+\/>\n){2}<\/Projects>\n$/,
  );
  assert.match(xml, /name="acme\/two" activity="Building" lastBuildStatus="Unknown" lastBuildLabel=""/);
  assert.ok(
    xml.includes(`lastBuildStatus="Success" lastBuildLabel="1"`) &&
      xml.includes(`webUrl="http://${host}/builds/acme/api/1"`),
  );
});
