import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readSubject } from "../../../kit/jetstream.ts";
import { auditPage, auditRecord } from "../../../protocol/audit.ts";
import { AUDIT } from "../../../protocol/streams.ts";
import { REPOSITORY } from "../../unit/coordinator/samples.ts";
import { type Api, startApi, startBuild } from "./api-rig.ts";

const LIMIT = { timeout: 60_000 };
const PROD = `/api/v1/environments/${REPOSITORY}/prod`;

async function entries(api: Api, query = "") {
  const answer = await api.get(`/api/v1/audit${query}`);
  assert.equal(answer.status, 200);
  return auditPage.parse(await answer.json());
}

suite("the record of changes", LIMIT, () => {
  test("has an entry for each change that was asked for, with who, from where and why, refused ones too", async () => {
    await using api = await startApi();
    await startBuild(api);
    const ada = { "toroid-user": "ada", "x-request-id": "mine-1" };
    assert.equal((await api.post(`${PROD}/pause`, { reason: "freeze" }, ada)).status, 200);
    assert.equal(
      (await api.post(`${PROD}/approvals`, { build: 99, reason: "good" }, { "toroid-user": "bob" })).status,
      409,
    );
    assert.equal((await api.post("/api/v1/builds/acme/api/1/cancel", [], ada)).status, 400);
    assert.equal((await api.post("/api/v1/nothing", {}, ada)).status, 404);
    assert.equal((await api.post(`${PROD}/resume`, {}, { origin: "https://evil.example" })).status, 400);
    await api.get(PROD);
    const { entries: all, next } = await entries(api);
    assert.equal(next, null);
    assert.deepEqual(
      all.map(({ who, via, from, action, target, repository, why, status, code }) =>
        [who, via, from, action, target, repository, why, status, code].join(" | "),
      ),
      [
        `anonymous | nobody | 127.0.0.1 | resume | ${REPOSITORY} prod | ${REPOSITORY} |  | 400 | TOR_INVALID_INPUT`,
        "ada | local | 127.0.0.1 | POST nothing | api/v1/nothing |  |  | 404 | TOR_NOT_FOUND",
        `ada | local | 127.0.0.1 | cancel | ${REPOSITORY}#1 | ${REPOSITORY} |  | 400 | TOR_INVALID_INPUT`,
        `bob | local | 127.0.0.1 | approve | ${REPOSITORY} prod | ${REPOSITORY} | good | 409 | TOR_CONFLICT`,
        `ada | local | 127.0.0.1 | pause | ${REPOSITORY} prod | ${REPOSITORY} | freeze | 200 | `,
      ],
    );
    assert.equal(all.at(-1)?.requestId, "mine-1");
    // As `nats sub` shows it.
    const stored = await readSubject(api.jet, AUDIT.name, "toroid.audit.done", 0);
    assert.deepEqual(
      stored.map(({ data }) => auditRecord.parse(JSON.parse(new TextDecoder().decode(data))).action),
      ["pause"],
    );
  });

  test("is read in pages, by who and by what it was about", async () => {
    await using api = await startApi();
    await startBuild(api);
    for (let n = 1; n <= 5; n += 1) {
      const who = { "toroid-user": n % 2 === 0 ? "even" : "odd" };
      await api.post(`${PROD}/${n % 2 === 0 ? "resume" : "pause"}`, { reason: `r${n}` }, who);
    }
    await api.post("/api/v1/environments/*/*/prod/pause", { reason: "all" }, { "toroid-user": "odd" });
    const whys: string[] = [];
    for (let before: string | null = "1000000"; before !== null; ) {
      const page = await entries(api, `?limit=2&before=${before}`);
      assert.ok(page.entries.length <= 2);
      whys.push(...page.entries.map(({ why }) => why));
      before = page.next;
    }
    assert.deepEqual(whys, ["all", "r5", "r4", "r3", "r2", "r1"]);
    assert.deepEqual(
      (await entries(api, "?who=even")).entries.map(({ why }) => why),
      ["r4", "r2"],
    );
    assert.deepEqual(
      (await entries(api, "?target=*&limit=1")).entries.map(({ target }) => target),
      ["* prod"],
    );
    assert.equal((await api.get("/api/v1/audit?limit=0")).status, 400);
  });
});

test("every answer has a request's id, its own when that is sane, and an error has it in its body", LIMIT, async () => {
  await using api = await startApi();
  const given = await api.get("/healthz", { "x-request-id": "abc.1" });
  assert.equal(given.headers.get("x-request-id"), "abc.1");
  const made = await api.get("/api/v1/builds/acme/api/7", { "x-request-id": "not sane" });
  const id = made.headers.get("x-request-id") ?? "";
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.equal(((await made.json()) as { requestId: string }).requestId, id);
});
