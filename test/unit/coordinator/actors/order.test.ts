import assert from "node:assert/strict";
import { test } from "node:test";
import { afterGoing, comesBefore, inOrder } from "../../../../coordinator/actors/order.ts";
import type { Standing } from "../../../../protocol/events.ts";
import { shortOf } from "../../../../protocol/work.ts";
import { commitOf, standing } from "../samples.ts";

const short = (number: number): string => shortOf(commitOf(number));
const numbers = (those: readonly Standing[]): readonly number[] => those.map(({ number }) => number);

/** Builds 1 and 2, in the order of acceptance, and which of them comes first. */
const PAIRS: readonly [string, Standing, Standing, 1 | 2][] = [
  ["nothing is known", standing(1), standing(2), 1],
  ["2 contains 1", standing(1), standing(2, [1]), 1],
  ["1 contains 2", standing(1, [2]), standing(2), 2],
  ["1 contains 2, of another branch", standing(1, [2]), standing(2, [], { ref: "refs/heads/next" }), 2],
  ["1 contains 2, a tag", standing(1, [2]), standing(2, [], { ref: "refs/tags/v1" }), 2],
  ["1 contains 2, which moved its branch back", standing(1, [2]), standing(2, [], { origin: "rewind" }), 1],
  ["1 contains 2, which somebody asked for", standing(1, [2]), standing(2, [], { origin: "wish" }), 1],
  ["1 moved its branch back and contains 2", standing(1, [2], { origin: "rewind" }), standing(2), 2],
  ["somebody asked for 1, and it contains 2", standing(1, [2], { origin: "wish" }), standing(2), 2],
  ["both are of one commit", standing(1), standing(2, [], { commit: commitOf(1) }), 1],
  ["the branch became 1 after 2", standing(1), standing(2, [], { after: [short(1)] }), 2],
  ["the branch was moved back from 2 to 1", standing(1), standing(2, [1], { after: [short(1)] }), 2],
  ["2 moved the branch back to before 1 was there", standing(1, [2]), standing(2, [], { after: [short(9)] }), 2],
  ["1 is what the branch of 2 had become", standing(1), standing(2, [], { tip: short(1) }), 2],
  ["1 contains what the branch of 2 had become", standing(1, [9]), standing(2, [], { tip: short(9) }), 2],
  ["the branch of 2 had become something else", standing(1, [8]), standing(2, [], { tip: short(9) }), 1],
];

for (const [name, one, two, first] of PAIRS) {
  test(`#${first} comes first when ${name}`, () => {
    assert.equal(comesBefore(one, two), first === 1);
    assert.equal(comesBefore(two, one), first === 2);
    assert.deepEqual(numbers(inOrder([one, two])), first === 1 ? [1, 2] : [2, 1]);
  });
}

/** More of them, each as what would make a circle or a mistake of pairs alone. */
const ORDERS: readonly [string, readonly Standing[], readonly number[]][] = [
  ["one that came late goes right before what contains it", [standing(1, [3]), standing(2), standing(3)], [3, 1, 2]],
  ["all that came late do", [standing(1, [3, 4]), standing(2), standing(3), standing(4, [3])], [3, 4, 1, 2]],
  ["the last of three came first", [standing(1, [2, 3]), standing(2, [3]), standing(3)], [3, 2, 1]],
  [
    "after a branch was moved back, what it goes on to is meant, though it was there before",
    [standing(1), standing(2, [1, 4]), standing(3, [], { origin: "rewind" }), standing(4, [3])],
    [1, 2, 3, 4],
  ],
  [
    "moving another branch back changes nothing",
    [standing(1), standing(2, [1, 4]), standing(3, [], { origin: "rewind", ref: "refs/heads/next" }), standing(4)],
    [1, 4, 2, 3],
  ],
  [
    "what is put before another takes along what its push came after",
    [standing(1, [3]), standing(2), standing(3, [], { before: short(2) })],
    [2, 3, 1],
  ],
];

for (const [name, those, order] of ORDERS) {
  test(name, () => assert.deepEqual(numbers(inOrder(those)), order));
}

test("of what went, that is remembered which nothing newer contains", () => {
  const [one, two, other] = [standing(1), standing(2, [1]), standing(3)];
  assert.deepEqual(numbers(afterGoing([one], two)), [2]);
  assert.deepEqual(numbers(afterGoing([two], other)), [3, 2]);
  assert.deepEqual(numbers(afterGoing([other, two], standing(4, [2]))), [4, 3]);
});

test("once a branch was moved back, what went from it before is over; not what went from others", () => {
  const tag = standing(2, [], { ref: "refs/tags/v1" });
  assert.deepEqual(numbers(afterGoing([tag, standing(1)], standing(3, [], { origin: "rewind" }))), [3, 2]);
});

test("only a few are remembered of what has nothing to do with each other", () => {
  let went: readonly Standing[] = [];
  for (let number = 1; number <= 20; number += 1) went = afterGoing(went, standing(number));
  assert.deepEqual(numbers(went), [20, 19, 18, 17, 16, 15, 14, 13]);
});
