/** Whatever is wrong becomes a build or an ingest result with its reason; nothing crashes, sticks or gets lost. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { assertNoLeaks, type Snapshot, snapshot } from "../support/leaks.ts";
import type { Daemon } from "../support/rig.ts";
import { Rig } from "../support/rig.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 60_000 };
const PUSH = { "X-GitHub-Event": "push" };
let rig: Rig;
let leaks: Snapshot;
let daemons: readonly Daemon[];

before(async () => {
  leaks = await snapshot();
  rig = await Rig.start();
  daemons = [await rig.coordinator(), rig.executor()];
});

after(async () => {
  // Everything above went wrong in the same two processes, which are as well as before.
  for (const daemon of daemons) assert.equal(daemon.child.exitCode, null, daemon.log);
  await rig[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

async function failedFile(fullName: string, text: string | null): Promise<{ message: string; problems: string[] }> {
  const repo = await rig.repo(text === null ? { other: "" } : { ".toroid.yml": text });
  await rig.push(repo, { fullName });
  await until("the build to be there", () => rig.build(1, fullName));
  const ended = await rig.ended(1, fullName);
  assert.equal(ended.outcome, "failed");
  return {
    message: ended.message,
    problems: ended.problems.map((one) => `${one.file}:${one.line}:${one.column} ${one.message}`),
  };
}

test("a broken .toroid.yml fails the build with every problem, its line and column", LIMIT, async () => {
  const { message, problems } = await failedFile("bad/keys", "script: [make\n");
  assert.match(message, /problem.* \.toroid\.yml:[0-9]+:[0-9]+ /);
  assert.ok(problems.length >= 1);
  const two = await failedFile("bad/two", "scirpt: make\nworkdir: ../up\nscript: make\n");
  assert.equal(two.problems.length, 2, two.problems.join("\n"));
  assert.match(two.problems[0] ?? "", /^\.toroid\.yml:1:1 .*scirpt/);
});

test("a missing .toroid.yml fails the build and says how to begin", LIMIT, async () => {
  const { problems } = await failedFile("bad/none", null);
  assert.match(problems.join(), /\.toroid\.yml/);
});

test("an unknown environment in next, and a cycle, are named", LIMIT, async () => {
  const unknown = await failedFile(
    "bad/next",
    "script: make\nenvironments:\n  stage: { run: x, next: prdo }\n  prod: { run: x }\n",
  );
  assert.match(unknown.problems.join(), /prdo/);
  const cycle = await failedFile(
    "bad/cycle",
    "script: make\nnext: a\nenvironments:\n  a: { run: x, next: b }\n  b: { run: x, next: a }\n",
  );
  assert.match(cycle.problems.join(), /a → b → a|b → a → b/);
});

test("a commit that does not exist fails the build and is named", LIMIT, async () => {
  const repo = await rig.repo({ ".toroid.yml": "script: echo hi\n" });
  const payload = await repo.pushPayload({ after: await repo.head(), fullName: "bad/commit" });
  const gone = "0123456789abcdef0123456789abcdef01234567";
  await rig.queue.send({ ...payload, after: gone, head_commit: { ...payload.head_commit, id: gone } }, PUSH);
  await until("the build to be there", () => rig.build(1, "bad/commit"));
  const ended = await rig.ended(1, "bad/commit");
  assert.equal(ended.outcome, "failed");
  assert.match(ended.message, new RegExp(`commit ${gone.slice(0, 12)} is not in `));
});

test("a repository that asks for a password fails the build instead of waiting for one", LIMIT, async () => {
  const server = createServer((_request, response) => {
    response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
  }).listen(0, "127.0.0.1");
  await until("the server to listen", () => server.listening);
  const { port } = server.address() as AddressInfo;
  const repo = await rig.repo({ ".toroid.yml": "script: echo hi\n" });
  const payload = await repo.pushPayload({ after: await repo.head(), fullName: "bad/password" });
  const clone_url = `http://127.0.0.1:${port}/x.git`;
  // https is what forges send; the transport under it is the same.
  await rig.queue.send({ ...payload, repository: { ...payload.repository, clone_url } }, PUSH);
  await until("the build to be there", () => rig.build(1, "bad/password"));
  const ended = await rig.ended(1, "bad/password");
  server.close();
  assert.equal(ended.outcome, "failed");
  assert.match(ended.message, /password|credential|sign|log in|http/i);
});

test("a deleted ref and another event build nothing and are gone from the queue", LIMIT, async () => {
  const repo = await rig.repo({ ".toroid.yml": "script: echo hi\n" });
  const head = await repo.head();
  await rig.queue.send(await repo.pushPayload({ before: head, after: "0".repeat(40), fullName: "bad/deleted" }), PUSH);
  await rig.queue.send({ zen: "Keep it simple", hook_id: 1 }, { "X-GitHub-Event": "ping" });
  await until("the queue to be empty", async () => {
    const { waiting, inFlight } = await rig.queue.counts();
    return waiting + inFlight === 0;
  });
  assert.deepEqual(await rig.builds("bad/deleted"), []);
});

test("what is no message of anybody's goes to the dead-letter queue with its reason", LIMIT, async () => {
  const already = (await rig.queue.counts(rig.queue.deadLetterUrl)).waiting;
  await rig.queue.send("this is not JSON");
  await rig.queue.send({ ref: "refs/heads/main", repository: 7 }, PUSH);
  await until(
    "both to be set aside",
    async () => (await rig.queue.counts(rig.queue.deadLetterUrl)).waiting === already + 2,
  );
  const dead = await rig.queue.receive({ url: rig.queue.deadLetterUrl });
  const reasons = dead.map((one) => one.MessageAttributes?.["Toroid-Reason"]?.StringValue ?? "");
  assert.ok(
    reasons.every((reason) => reason.length > 10),
    reasons.join("; "),
  );
  assert.ok(
    reasons.some((reason) => reason.includes("`before` of the push is missing")),
    reasons.join("; "),
  );
});

test("a message of a megabyte is taken or refused, and the next one is built", LIMIT, async () => {
  const repo = await rig.repo({ ".toroid.yml": "script: echo small\n" });
  const payload = await repo.pushPayload({ after: await repo.head(), fullName: "bad/huge" });
  const padding = "x".repeat(1_048_576 - JSON.stringify({ ...payload, padding: "" }).length);
  await rig.queue.send({ ...payload, padding }, {});
  await rig.push(repo, { fullName: "bad/after-huge" });
  await until("the next build", () => rig.build(1, "bad/after-huge"));
  assert.equal((await rig.ended(1, "bad/after-huge")).outcome, "passed");
  await until("the large one to be built", () => rig.build(1, "bad/huge"));
  assert.equal((await rig.ended(1, "bad/huge")).outcome, "passed");
});

test("a script that asks for an environment that is not there fails with a sentence", LIMIT, async () => {
  const repo = await rig.repo({ ".toroid.yml": 'script: echo nowhere >> "$TOROID_QUEUE"\n' });
  await rig.push(repo, { fullName: "bad/queue" });
  await until("the build to be there", () => rig.build(1, "bad/queue"));
  const ended = await rig.ended(1, "bad/queue");
  assert.equal(ended.outcome, "failed");
  assert.match(ended.stages.find((one) => one.name === "build")?.message ?? "", /nowhere/);
});
