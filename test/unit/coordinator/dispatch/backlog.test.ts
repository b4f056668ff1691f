import assert from "node:assert/strict";
import { test } from "node:test";
import { Backlog, type Group } from "../../../../coordinator/dispatch/backlog.ts";
import type { Priority } from "../../../../protocol/pipeline/plan.ts";
import { waitSubject } from "../../../../protocol/subjects.ts";
import type { Waiting } from "../../../../protocol/waiting.ts";

const RUNS_ON = { pool: "default", labels: [] };
const all = (): boolean => true;

function of(repository: string, number: number, priority: Priority = "normal"): Waiting {
  return { repository, number, stage: "build", round: 1, queuedSeq: number, queue: "work", priority, runsOn: RUNS_ON };
}

function subjectOf({ queue, priority, runsOn, repository }: Waiting): string {
  return waitSubject(queue, priority, runsOn, repository);
}

function backlogOf(...held: readonly Waiting[]): Backlog {
  const backlog = new Backlog();
  for (const [at, one] of held.entries()) backlog.add(subjectOf(one), one, at + 1);
  return backlog;
}

const numbers = (backlog: Backlog): readonly string[] =>
  [...backlog.groups].map(({ repository, held }) => `${repository} ${held.map((one) => one.waiting.number).join(",")}`);

test("groups go in order, and what could not be sent is the first again", () => {
  const backlog = backlogOf(of("a/a", 1), of("a/a", 2), of("b/b", 1));
  const [group] = [...backlog.groups] as [Group];
  const taken = [backlog.take(group.subject), backlog.take(group.subject)].flatMap((one) => one ?? []);
  assert.deepEqual(
    taken.map(({ seq }) => seq),
    [1, 2],
  );
  assert.deepEqual([numbers(backlog), backlog.take(group.subject)], [["b/b 1"], undefined]);
  backlog.putBack(group, taken);
  assert.deepEqual(numbers(backlog), ["b/b 1", "a/a 1,2"]);
});

test("a message that comes again is known", () => {
  const backlog = backlogOf(of("a/a", 1));
  backlog.add(subjectOf(of("a/a", 1)), of("a/a", 1), 1);
  assert.deepEqual(numbers(backlog), ["a/a 1"]);
});

test("what others took out is forgotten by counting, but not what came since", () => {
  const backlog = backlogOf(of("a/a", 1), of("a/a", 2), of("a/a", 3), of("b/b", 1), of("a/a", 4));
  backlog.keep({ [subjectOf(of("a/a", 1))]: 1 }, 4);
  assert.deepEqual(numbers(backlog), ["a/a 3,4"]);
  backlog.keep({}, 5);
  assert.ok(backlog.isEmpty);
});

test("how many are before a stage counts a turn of each other repository for each of its own", () => {
  const many = Array.from({ length: 10 }, (_, at) => of("a/a", at + 1));
  const backlog = backlogOf(...many, of("b/b", 1), of("b/b", 2), of("c/c", 1, "high"), of("d/d", 1, "low"));
  const before = (repository: string, number: number) => backlog.before({ ...of(repository, number) }, all);
  assert.equal(before("b/b", 1), 2, "one of a/a, and what goes first");
  assert.equal(before("b/b", 2), 4);
  assert.equal(before("a/a", 10), 9 + 2 + 1);
  assert.equal(before("d/d", 1), 13);
  assert.equal(before("c/c", 1), 0);
  assert.equal(before("e/e", 1), null);
  assert.equal(
    backlog.before(of("b/b", 1), () => false),
    0,
    "others of another pool are not in its way",
  );
});
