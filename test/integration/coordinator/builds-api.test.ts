/** What the API tells of builds besides their summaries, and finding them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type BuildSummary, buildSummary } from "../../../protocol/summary.ts";
import { until } from "../../support/until.ts";
import { commitOf, push, REPOSITORY } from "../../unit/coordinator/samples.ts";
import { type Api, BUILDS, refusal, startApi, startBuild } from "./api-rig.ts";
import { claimStage, finishStage, runStage } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
let api: Api;

before(async () => {
  api = await startApi({ TOROID_KEEP_BUILDS_DAYS: "7" });
});

after(async () => {
  await api?.[Symbol.asyncDispose]();
});

interface Listed {
  readonly builds: readonly { readonly repository: string; readonly number: number }[];
  readonly next: string | null;
}

async function list(query: string): Promise<Listed> {
  const answer = await api.get(`${BUILDS}?${query}`);
  assert.equal(answer.status, 200, query);
  return (await answer.json()) as Listed;
}

async function all(query: string, limit = 2): Promise<readonly string[]> {
  const found: string[] = [];
  for (let next: string | null = ""; next !== null; ) {
    const from = next === "" ? "" : `&before=${encodeURIComponent(next)}`;
    const page: Listed = await list(`${query}&limit=${limit}${from}`);
    assert.ok(page.builds.length <= limit);
    found.push(...page.builds.map(({ repository, number }) => `${repository}#${number}`));
    next = page.next;
  }
  return found;
}

test("builds are found by branch, author and state, in one repository and in all, page by page", LIMIT, async () => {
  const branches = ["main", "dev", "main", "feature/x", "dev", "main"];
  for (const repository of ["find/a", "find/b"]) {
    for (const [at, branch] of branches.entries()) {
      const author = at % 2 === 0 ? "Ada Lovelace" : "Bob";
      const changes = { repository, ref: `refs/heads/${branch}`, commit: commitOf(at), author };
      await api.actors.repository.tell(repository, { kind: "accept", key: `k${at}`, push: push(changes), by: "queue" });
    }
  }
  await until("all to be listed", async () => (await list("limit=100&state=active")).builds.length === 12);
  assert.deepEqual(await all("repository=find/a&branch=main"), ["find/a#6", "find/a#3", "find/a#1"]);
  assert.deepEqual((await all("branch=dev")).toSorted(), ["find/a#2", "find/a#5", "find/b#2", "find/b#5"]);
  assert.deepEqual(await all("repository=find/b&author=ada%20lovelace&state=planning"), [
    "find/b#5",
    "find/b#3",
    "find/b#1",
  ]);
  assert.deepEqual(await all("repository=find/b&author=Bob&branch=main"), ["find/b#6"]);
  assert.deepEqual(await list("branch=gone"), { builds: [], next: null });
  await api.post(`${BUILDS}/find/a/6/cancel`, { reason: "enough" });
  await until("it to be found as cancelled", async () => (await all("state=cancelled"))[0] === "find/a#6");
  assert.deepEqual(await all("repository=find/a&branch=main&state=active"), ["find/a#3", "find/a#1"]);
  assert.match(await refusal(await api.get(`${BUILDS}?state=broken`)), /^400 TOR_INVALID_INPUT: querystring\/state/);
});

test("a build tells the configuration that it ran with, and the attempts of each stage", LIMIT, async () => {
  await startBuild(api);
  const config = (await (await api.get(`${BUILDS}/${REPOSITORY}/1/config`)).json()) as {
    source: { commit: string };
    plan: { stages: readonly { name: string }[] };
  };
  assert.deepEqual(
    config.plan.stages.map(({ name }) => name),
    ["build", "prod"],
  );
  const attempts = async (): Promise<readonly { executor: string; ended: string | null }[]> => {
    const answer = await api.get(`${BUILDS}/${REPOSITORY}/1/stages/build/attempts`);
    return ((await answer.json()) as { attempts: readonly { executor: string; ended: string | null }[] }).attempts;
  };
  assert.deepEqual(await attempts(), []);
  await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "build", round: 1 });
  assert.deepEqual(
    (await attempts()).map(({ executor, ended }) => [executor, ended]),
    [["one", "passed"]],
  );
  await claimStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "prod", round: 1 });
  for (const [path, wanted] of [
    [`${BUILDS}/${REPOSITORY}/9/config`, /^404 TOR_NOT_FOUND: there is no build acme\/api#9$/],
    [`${BUILDS}/find/a/1/config`, /^404 TOR_NOT_FOUND: there is no plan of find\/a#1/],
    [`${BUILDS}/${REPOSITORY}/1/stages/biuld/attempts`, /^404 TOR_NOT_FOUND: there is no stage biuld .* it has _plan/],
  ] as const)
    assert.match(await refusal(await api.get(path)), wanted);
});

test("a build that is looked at again and again is shown as it is when it changes", LIMIT, async () => {
  const id = { repository: REPOSITORY, number: 1 };
  const shown = async (): Promise<BuildSummary> => {
    const answer = await api.get(`${BUILDS}/${REPOSITORY}/1`);
    assert.equal(answer.headers.get("content-type"), "application/json; charset=utf-8");
    return buildSummary.parse(await answer.json());
  };
  await api.post(`${BUILDS}/${REPOSITORY}/1/cancel`, { reason: "enough" });
  const prod = { ...id, stage: "prod", round: 1 };
  await finishStage(api.jet, prod, (await api.actors.stage.load(prod)).seq, { outcome: "cancelled" });
  const ended = await until("it to end", async () => {
    const now = await shown();
    return now.status === "finished" && now.stages.every(({ status }) => status === "finished") ? now : null;
  });
  for (let again = 0; again < 3; again += 1) assert.deepEqual(await shown(), ended);
  assert.equal((await api.post(`${BUILDS}/${REPOSITORY}/1/retry`, {})).status, 202);
  await until("it to run again", async () => (await shown()).status === "running", { withinMs: 5_000 });
});

test("settings say what is configured", LIMIT, async () => {
  const settings = (await (await api.get("/api/v1/settings")).json()) as Record<string, unknown>;
  assert.deepEqual(settings["keep"], { buildsDays: 7, logsDays: 30 });
  assert.equal(settings["queue"], null);
  assert.match(String(settings["version"]), /^\d+\.\d+\.\d+/);
});
