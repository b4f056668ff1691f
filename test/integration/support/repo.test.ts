import assert from "node:assert/strict";
import { after, test } from "node:test";
import { assertNoLeaks, snapshot } from "../../support/leaks.ts";
import { GitRepo } from "../../support/repo.ts";

const before = await snapshot();
after(() => assertNoLeaks(before));

const ZEROS = "0".repeat(40);

test("a push names its commits, oldest first, with what each one changed", async () => {
  await using repo = await GitRepo.create({ files: { "a.txt": "a", "old/b.txt": "b" } });
  const first = await repo.head();
  const second = await repo.commit({ files: { "a.txt": "aa", "old/b.txt": null }, message: "two\n\nwith a body" });
  const third = await repo.commit({ files: { "run.sh*": "#!/bin/sh\n" } });

  const payload = await repo.pushPayload({ before: first, after: third });
  assert.deepEqual(
    payload.commits.map(({ id, added, removed, modified }) => ({ id, added, removed, modified })),
    [
      { id: second, added: [], removed: ["old/b.txt"], modified: ["a.txt"] },
      { id: third, added: ["run.sh"], removed: [], modified: [] },
    ],
  );
  assert.equal(payload.commits[0]?.message, "two\n\nwith a body");
  assert.equal(payload.head_commit?.id, third);
  assert.deepEqual([payload.created, payload.deleted, payload.forced], [false, false, false]);
  assert.match(await repo.git("ls-tree", third, "run.sh"), /^100755 /);
});

test("the repository bears the local names, and nothing of the payload's own is left", async () => {
  await using repo = await GitRepo.create({ files: { a: "a" } });
  const payload = await repo.pushPayload({ after: await repo.head(), fullName: "acme/api" });
  assert.equal(payload.repository.full_name, "acme/api");
  assert.equal(payload.repository.clone_url, repo.url);
  assert.match(repo.url, /^file:\/\/\//);
  assert.equal(JSON.stringify(payload.repository).includes("Hello-World"), false);
});

test("a new, a deleted and a rewritten branch are told apart", async () => {
  await using repo = await GitRepo.create({ files: { a: "a" } });
  const base = await repo.head();
  const left = await repo.commit({ files: { a: "left" }, branch: "topic" });
  await repo.branch("topic", base);
  const right = await repo.commit({ files: { a: "right" }, branch: "topic" });
  const ref = "refs/heads/topic";

  assert.equal((await repo.pushPayload({ after: right, ref })).created, true);
  assert.equal((await repo.pushPayload({ before: left, after: right, ref })).forced, true);
  const gone = await repo.pushPayload({ before: right, after: ZEROS, ref });
  assert.deepEqual([gone.deleted, gone.head_commit, gone.commits], [true, null, []]);
});

test("a push of an annotated tag has the tag as after and its commit as head", async () => {
  await using repo = await GitRepo.create({ files: { a: "a" } });
  const commit = await repo.head();
  const tag = await repo.tag("v1", true);
  assert.notEqual(tag, commit);
  assert.equal((await repo.pushPayload({ after: tag, ref: "refs/tags/v1" })).head_commit?.id, commit);
  assert.equal(await repo.tag("v2"), commit);
});

test("the same commits have the same ids in every run, whatever this machine's settings", async () => {
  await using one = await GitRepo.create({ files: { a: "a" } });
  await using two = await GitRepo.create({ files: { a: "a" } });
  assert.equal(await one.head(), await two.head());
});
