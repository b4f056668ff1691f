import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ACCEPTED_KEPT, repositoryActor } from "../../../../coordinator/actors/repository.ts";
import { type Push, shortOf } from "../../../../protocol/work.ts";
import { commitOf, Lived, push } from "../samples.ts";

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
    [...repository.state.pushes].map(([ref, pushes]) => [ref, pushes.map(({ number }) => number)]),
    [
      ["refs/heads/next", [2]],
      ["refs/heads/main", [1, 5]],
    ],
  );
  for (let at = 0; at < 100; at += 1) repository.tell(accept(`more ${at}`));
  const main = repository.state.pushes.get("refs/heads/main") ?? [];
  assert.deepEqual([main.length, main.at(-1)?.number], [64, 105]);
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

test("times grow with the numbers, though clocks of coordinators differ", () => {
  const repository = new Lived(repositoryActor);
  for (const [key, nowMs] of [
    ["a", 5_000],
    ["b", 2_000],
    ["c", 6_000],
  ] as const) {
    repository.nowMs = nowMs;
    repository.tell(accept(key));
  }
  assert.deepEqual(
    repository.log.map(({ atMs }) => atMs),
    [5_000, 5_000, 6_000],
  );
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

const MAIN_PUSHES = ["a", "b", "c", "d"];

/** Each push moved main on from the one before it; `accepted` in this order. What each was told to come before. */
function afterEach(accepted: readonly number[], changes: Partial<Push> = {}): readonly (readonly string[])[] {
  const repository = new Lived(repositoryActor);
  for (const at of accepted) {
    const before = at === 0 ? null : commitOf(at);
    repository.tell(accept(MAIN_PUSHES[at] ?? "", { before, commit: commitOf(at + 1), ...changes }));
  }
  return repository.log.map(({ after }) => after ?? []);
}

test("a push that comes late is told what its branch has become since, as far as that is known", () => {
  const [, b, c, d] = [1, 2, 3, 4].map((number) => shortOf(commitOf(number)));
  assert.deepEqual(afterEach([0, 1, 2, 3]), [[], [], [], []]);
  assert.deepEqual(afterEach([1, 2, 3, 0]), [[], [], [], [b, c, d]]);
  assert.deepEqual(afterEach([3, 1, 2, 0]), [[], [], [d], [b, c, d]], "b came before c was known");
  assert.deepEqual(afterEach([1, 0], { ref: "refs/tags/v1" }), [[], []]);
  assert.deepEqual(afterEach([1, 0], { commit: null }), [[], []]);
});

test("a commit that its branch came back to is not late", () => {
  const repository = new Lived(repositoryActor);
  const [one, two] = [commitOf(1), commitOf(2)];
  repository.tell(accept("there", { before: null, commit: one }));
  repository.tell(accept("on", { before: one, commit: two }));
  repository.tell(accept("back", { before: two, commit: one }));
  assert.deepEqual(repository.log.at(-1)?.after, []);
});

test("nor is one that was there before anything was known of its branch", () => {
  const repository = new Lived(repositoryActor);
  const [one, two, three] = [commitOf(1), commitOf(2), commitOf(3)];
  repository.tell(accept("on", { before: one, commit: two }));
  repository.tell(accept("further", { before: two, commit: three }));
  repository.tell(accept("back", { before: three, commit: one }));
  assert.deepEqual(repository.log.at(-1)?.after, []);
});

test("a branch that goes in circles is followed once round", () => {
  const repository = new Lived(repositoryActor);
  const [one, two, three] = [commitOf(1), commitOf(2), commitOf(3)];
  repository.tell(accept("on", { before: two, commit: three }));
  repository.tell(accept("back", { before: three, commit: two }));
  repository.tell(accept("to it", { before: one, commit: two }));
  repository.tell(accept("late", { before: null, commit: one }));
  assert.deepEqual(repository.log.at(-1)?.after, [two, three].map(shortOf));
});
