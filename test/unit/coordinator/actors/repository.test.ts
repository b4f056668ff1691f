import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ACCEPTED_KEPT, repositoryActor } from "../../../../coordinator/actors/repository.ts";
import { Lived, push } from "../samples.ts";

const accept = (key: string, changes = {}) => ({ kind: "accept", key, push: push(changes), by: "queue" }) as const;

test("pushes are numbered from one, in the order of acceptance", () => {
  const repository = new Lived(repositoryActor);
  for (const key of ["a", "b", "c"]) assert.equal(repository.tell(accept(key)), "accepted");
  assert.deepEqual(
    repository.log.map(({ key, number }) => [key, number]),
    [
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ],
  );
});

test("a push that comes again keeps its number and takes no other", () => {
  const repository = new Lived(repositoryActor);
  repository.tell(accept("a"));
  assert.equal(repository.tell(accept("a")), "nothing");
  repository.tell(accept("b"));
  assert.equal(repository.tell(accept("a")), "nothing");
  assert.equal(repository.state.accepted.get("a")?.number, 1);
  assert.equal(repository.state.lastNumber, 2);
});

test("a repository remembers where it is and what its default branch is, though a later push does not say", () => {
  const repository = new Lived(repositoryActor);
  repository.tell(accept("a"));
  const moved = { https: "https://git.example/acme/new.git", ssh: null };
  repository.tell(accept("b", { remote: moved, defaultBranch: null }));
  assert.deepEqual(repository.state.remote, moved);
  assert.equal(repository.state.defaultBranch, "main");
});

test("two repositories know nothing of each other", () => {
  const [one, other] = [new Lived(repositoryActor), new Lived(repositoryActor)];
  one.tell(accept("a"));
  assert.equal(other.state.accepted.size, 0);
  assert.equal(other.tell(accept("a")), "accepted");
  assert.equal(repositoryActor.initial.accepted.size, 0);
});

test("whatever arrives how often, numbers have no gaps and no repeats, and each push has one", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("a", "b", "c", "d", "e", "f"), { maxLength: 40 }), (keys) => {
      const repository = new Lived(repositoryActor);
      for (const key of keys) repository.tell(accept(key));
      assert.deepEqual(
        repository.log.map(({ number }) => number),
        [...new Set(keys)].map((_, at) => at + 1),
      );
      assert.deepEqual([...repository.state.accepted.keys()], [...new Set(keys)]);
    }),
  );
});

test("the pushes of each branch are remembered, a few of them; neither tags nor what somebody asked for", () => {
  const repository = new Lived(repositoryActor);
  repository.tell(accept("a"));
  repository.tell(accept("b", { ref: "refs/heads/next" }));
  repository.tell(accept("c", { ref: "refs/tags/v1" }));
  repository.tell(accept("d", { commit: null }));
  repository.tell(accept("e"));
  assert.deepEqual(
    [...repository.state.pushes],
    [
      ["refs/heads/next", [2]],
      ["refs/heads/main", [1, 5]],
    ],
  );
  for (let at = 0; at < 100; at += 1) repository.tell(accept(`more ${at}`));
  const main = repository.state.pushes.get("refs/heads/main") ?? [];
  assert.deepEqual([main.length, main.at(-1)], [64, 105]);
  assert.equal(repositoryActor.initial.pushes.size, 0);
});

test("what matters of a log is as long after ten thousand pushes as after a few, and numbers go on", () => {
  const repository = new Lived(repositoryActor);
  const count = 10_000;
  for (let at = 1; at <= count; at += 1) repository.tell(accept(`push ${at}`));
  assert.equal(repository.state.lastNumber, count);
  assert.equal(repository.state.accepted.size, ACCEPTED_KEPT);
  assert.equal(
    repository.tell(accept(`push ${count - ACCEPTED_KEPT + 1}`)),
    "nothing",
    "the oldest that is remembered",
  );

  const newest = repository.log.at(-1);
  assert.ok(newest !== undefined);
  // Sequences of this log are counted from one.
  const read = repository.log.slice(newest.since - 1);
  assert.equal(read.length, ACCEPTED_KEPT + 1);
  const again = read.reduce(
    (state, event, at) => repositoryActor.apply(state, event, newest.since + at),
    repositoryActor.initial,
  );
  assert.deepEqual([...again.accepted], [...repository.state.accepted]);
  assert.equal(again.lastNumber, count);
});

test("branches are remembered for as long as they are among the newest", () => {
  const repository = new Lived(repositoryActor);
  repository.tell(accept("old", { ref: "refs/heads/old" }));
  for (let at = 0; at < 600; at += 1) {
    repository.tell(accept(`main ${at}`));
    repository.tell(accept(`branch ${at}`, { ref: `refs/heads/topic-${at}` }));
  }
  assert.deepEqual([repository.state.pushes.size, repository.state.pushes.has("refs/heads/old")], [500, false]);
  assert.equal(repository.state.pushes.get("refs/heads/main")?.length, 64);
});
