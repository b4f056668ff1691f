/** Dead letters through a real queue, a real store and the API: seen, replayed once, discarded, kept apart. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { QUEUE_CREDENTIALS, QUEUE_REGION } from "../../../kit/queue-server.ts";
import { ensureConsumers } from "../../../kit/topology.ts";
import { reasonOf, STAGE_HEADER } from "../../../protocol/dead-command.ts";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import { type LetterSummary, letterList, letterSummary } from "../../../protocol/letter.ts";
import { COMMAND, executorConsumer } from "../../../protocol/streams.ts";
import { QueueServer } from "../../support/queue.ts";
import { until } from "../../support/until.ts";
import { push, REPOSITORY } from "../../unit/coordinator/samples.ts";
import { type Api, refusal, startApi } from "./api-rig.ts";
import { quiet, startCoordinator } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const LETTERS = "/api/v1/dead-letters";
const REMOTE = "https://git.example/acme/api.git";

let queue: QueueServer;
let api: Api;
const QUEUE = (): Record<string, string> => ({
  TOROID_QUEUE_URL: queue.queueUrl,
  TOROID_QUEUE_ENDPOINT: queue.endpoint,
  AWS_REGION: QUEUE_REGION,
});

before(async () => {
  process.env["AWS_ACCESS_KEY_ID"] = QUEUE_CREDENTIALS.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = QUEUE_CREDENTIALS.secretAccessKey;
  queue = await QueueServer.start();
  api = await startApi({ ...QUEUE(), TOROID_DEAD_LETTER_URL: queue.deadLetterUrl });
});

after(async () => {
  await api?.[Symbol.asyncDispose]();
  await queue?.[Symbol.asyncDispose]();
});

async function page(query = ""): Promise<{ readonly letters: readonly LetterSummary[]; readonly next: string | null }> {
  return letterList.parse(await (await api.get(`${LETTERS}${query}`)).json());
}

/** The letter of a message that says so in its body. */
async function letterWith(text: string, query = ""): Promise<LetterSummary> {
  return until(`a dead letter with ${text}`, async () => {
    const { letters } = await page(query);
    return letters.find(({ body }) => body.includes(text)) ?? null;
  });
}

async function told(path: string, body: unknown, who = "ann"): Promise<LetterSummary> {
  const answer = await api.post(`${LETTERS}/${path}`, body, { "toroid-user": who });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return letterSummary.parse(await answer.json());
}

/** Asks for a build of a repository whose remote is not known: refused until somebody has built it. */
function requestOf(repository: string, key: string): object {
  return { toroid: 1, repository, ref: "main", key };
}

async function buildsOf(repository: string): Promise<number> {
  const answer = (await (await api.get(`/api/v1/builds?repository=${repository}`)).json()) as { builds: unknown[] };
  return answer.builds.length;
}

test(
  "what cannot be read is a dead letter with its reason, as it came, and still in the queue for dead letters",
  LIMIT,
  async () => {
    await queue.send("hello? \t", { "X-GitHub-Event": "push", Origin: "me" });
    const listed = await letterWith("hello?");
    assert.deepEqual([listed.kind, listed.state, listed.why], ["push", "open", "the body is not JSON"]);
    const shown = letterSummary.parse(await (await api.get(`${LETTERS}/${listed.id}`)).json());
    assert.deepEqual([shown.body, shown.attributes["Origin"], shown.whole], ["hello? \t", "me", true]);
    assert.equal(shown.bytes, Buffer.byteLength(shown.body));
    await until("it to leave the queue", async () => (await queue.counts()).inFlight === 0);
    assert.equal((await queue.counts(queue.deadLetterUrl)).waiting, 1);
  },
);

test("a replay that is refused again is a dead letter again, with its new reason", LIMIT, async () => {
  await queue.send(requestOf("acme/nobody", "one"));
  const { id, why } = await letterWith("acme/nobody");
  assert.match(why, /^nothing was ever pushed from acme\/nobody/);
  const again = await told(`${id}/replay`, { reason: "the remote is known by now" });
  assert.deepEqual([again.state, again.build], ["open", null]);
  assert.deepEqual(
    again.history.map(({ what, by }) => [what, by]),
    [
      ["refused", null],
      ["replay", "ann"],
      ["refused", null],
    ],
  );
  assert.equal(again.history[1]?.why, "the remote is known by now");
});

test(
  "once what was wrong is mended, a replay makes one build of it, however many ask for it at once",
  LIMIT,
  async () => {
    const repository = "acme/late";
    await queue.send(requestOf(repository, "two"));
    const { id } = await letterWith(repository);
    await api.post("/api/v1/builds", { repository, ref: "main", remote: REMOTE, key: "first" });
    await until("the first build", async () => (await buildsOf(repository)) === 1);
    await using other = await startCoordinator(api.server.url);
    const paths = [api.url, other.url, api.url, other.url].map((url) => `${url}${LETTERS}/${id}/replay`);
    const answers = await Promise.all(paths.map((path) => fetch(path, { method: "POST" })));
    const letters = await Promise.all(answers.map(async (one) => letterSummary.parse(await one.json())));
    for (const letter of letters) {
      assert.deepEqual([letter.state, letter.build], ["replayed", { repository, number: 2 }]);
      assert.deepEqual(
        letter.history.map(({ what }) => what),
        ["refused", "replay", "replayed"],
      );
    }
    assert.equal((await told(`${id}/replay`, {})).state, "replayed", "asked once more");
    assert.equal(await buildsOf(repository), 2);
    assert.equal((await letterWith(repository, "?state=replayed")).id, id);
    assert.ok(!(await page("?limit=100")).letters.some((one) => one.id === id), "it waits for nobody any more");
    assert.match(
      await refusal(await api.post(`${LETTERS}/${id}/discard`, { reason: "x" })),
      /^409 TOR_REFUSED: .*replayed/,
    );
  },
);

test("one is discarded with a reason, by whom is kept, and it is not replayed after that", LIMIT, async () => {
  await queue.send("a strange thing");
  const { id } = await letterWith("a strange thing");
  assert.match(
    await refusal(await api.post(`${LETTERS}/${id}/discard`, { reason: " " })),
    /^400 TOR_INVALID_INPUT: .*needs a reason/,
  );
  const gone = await told(`${id}/discard`, { reason: "noise" }, "bob");
  assert.deepEqual([gone.state, gone.history.at(-1)?.by, gone.history.at(-1)?.why], ["discarded", "bob", "noise"]);
  assert.match(
    await refusal(await api.post(`${LETTERS}/${id}/replay`, {})),
    /^409 TOR_REFUSED: it was discarded by bob: noise$/,
  );
  assert.match(
    await refusal(await api.get(`${LETTERS}/0000000000000000`)),
    /^404 TOR_NOT_FOUND: there is no dead letter 0000000000000000$/,
  );
  assert.match(await refusal(await api.get(`${LETTERS}/..%2f..%2fetc`)), /^400 TOR_INVALID_INPUT: .*no id/);
});

test("a list of many pages to its end, newest first", LIMIT, async () => {
  for (let at = 0; at < 5; at += 1) await queue.send(`page ${at}`);
  await until(
    "all of them",
    async () => (await page("?limit=100")).letters.filter(({ body }) => body.startsWith("page ")).length === 5,
  );
  const all = (await page("?limit=100&state=all")).letters.map(({ id }) => id);
  const paged: string[] = [];
  for (let next: string | null = ""; next !== null; ) {
    const one: Awaited<ReturnType<typeof page>> = await page(
      `?limit=2&state=all${next === "" ? "" : `&before=${next}`}`,
    );
    paged.push(...one.letters.map(({ id }) => id));
    next = one.next;
  }
  assert.deepEqual(paged, all);
  const times = (await page("?limit=100&state=all")).letters.map(({ atMs }) => atMs);
  assert.deepEqual(
    times,
    times.toSorted((a, b) => b - a),
  );
});

test("a body that gets no smaller is kept without its end, says so, and cannot be replayed", LIMIT, async () => {
  const random = Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString("base64");
  const noise = Array.from({ length: 12 }, () =>
    Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString("base64"),
  );
  const body = `noise ${random}${noise.join("")}`.slice(0, 1024 * 1024 - 1_000);
  await queue.send(body);
  const { id, whole, bytes } = await letterWith("noise ");
  assert.deepEqual([whole, bytes], [false, body.length]);
  const shown = letterSummary.parse(await (await api.get(`${LETTERS}/${id}`)).json());
  assert.ok(body.startsWith(shown.body) && shown.body.length > 10_000);
  assert.match(await refusal(await api.post(`${LETTERS}/${id}/replay`, {})), /^409 TOR_REFUSED: .*end is missing/);
});

test("without a queue for dead letters, what is refused is kept here alone", LIMIT, async () => {
  await using lone = await QueueServer.start();
  const variables = { TOROID_QUEUE_URL: lone.queueUrl, TOROID_QUEUE_ENDPOINT: lone.endpoint, AWS_REGION: QUEUE_REGION };
  await using _other = await startCoordinator(api.server.url, variables);
  await lone.send("lonely");
  await letterWith("lonely");
  await until("it to leave the queue", async () => {
    const { waiting, inFlight } = await lone.counts();
    return waiting + inFlight === 0;
  });
  assert.equal((await lone.counts(lone.deadLetterUrl)).waiting, 0);
});

test("a stage that no executor could take is a dead letter, and its replay tries the stage again", LIMIT, async () => {
  const spec = executorConsumer("default", "plan");
  await ensureConsumers(api.jet, [spec]);
  const consumer = await api.jet.js.consumers.get(COMMAND.name, spec.name);
  const id = { repository: REPOSITORY, number: 1, stage: PLAN_STAGE, round: 1 };
  await api.actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
  // Other tests of this file have made builds too.
  await until("its command", async () => {
    for await (const message of await consumer.fetch({ max_messages: 1, expires: 1_000 })) {
      const header = message.headers?.get(STAGE_HEADER) ?? "";
      if (!header.includes("acme__api.1.")) await message.ackAck();
      else {
        message.term(reasonOf(header, "a message is not msgpack"));
        return true;
      }
    }
    return false;
  });
  const letter = await letterWith(`${REPOSITORY}#1 ${PLAN_STAGE}`);
  assert.deepEqual([letter.kind, letter.stage, letter.why], ["stage", PLAN_STAGE, "a message is not msgpack"]);
  assert.deepEqual(letter.build, { repository: REPOSITORY, number: 1 });
  await until("the build to end", async () => (await api.actors.build.load(id)).state.status === "finished");
  const replayed = await told(`${letter.id}/replay`, { reason: "upgraded" });
  assert.equal(replayed.state, "replayed");
  const second = makeMailboxes(api.jet, quiet);
  await until("another round of the plan", async () => {
    const { state } = await second.stage.load({ ...id, round: 2 });
    return state.status === "queued";
  });
});
