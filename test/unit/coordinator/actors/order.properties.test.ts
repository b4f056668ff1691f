import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { contains, inOrder } from "../../../../coordinator/actors/order.ts";
import type { Standing } from "../../../../protocol/events.ts";
import { commitOf, standing } from "../samples.ts";
import { acts, branchOf, known, reordered } from "./order-history.ts";

const numbers = (those: readonly Standing[]): readonly number[] => those.map(({ number }) => number);

/** Whatever anybody might claim, true or not, of builds 1 to 8. */
const claims: fc.Arbitrary<readonly Standing[]> = fc
  .array(
    fc.record({
      on: fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 8 }),
      after: fc.subarray([1, 2, 3]),
      commit: fc.integer({ min: 1, max: 8 }),
      origin: fc.constantFrom("push" as const, "push" as const, "rewind" as const, "wish" as const),
      ref: fc.constantFrom("refs/heads/main", "refs/tags/v1"),
    }),
    { maxLength: 8 },
  )
  .map((made) =>
    made.map(({ on, after, commit, ...rest }, at) => {
      const afterwards = after.map((one) => commitOf(one).slice(0, 12));
      return standing(at + 1, on, { ...rest, commit: commitOf(commit), after: afterwards });
    }),
  );

test("whatever is claimed, there is one order of all, in whichever order they are looked at", () => {
  const lists = claims.chain((made) =>
    fc.tuple(fc.constant(made), fc.shuffledSubarray([...made], { minLength: made.length })),
  );
  fc.assert(
    fc.property(lists, ([made, shuffled]) => {
      const ordered = numbers(inOrder(made));
      assert.deepEqual(ordered, numbers(inOrder(shuffled)));
      assert.deepEqual(
        ordered.toSorted((a, b) => a - b),
        numbers(made),
      );
    }),
  );
});

test("pushes that were accepted in order stay so, wherever the branch was moved", () => {
  fc.assert(
    fc.property(acts("grow", "merge", "amend", "rewind"), (made) => {
      const repository = branchOf(made);
      const pushes = known(
        repository,
        repository.pushes.map((_, at) => at),
      );
      assert.deepEqual(numbers(inOrder(pushes)), numbers(pushes));
    }),
    { numRuns: 500 },
  );
});

test("however pushes of a branch are accepted, they go in the order in which they were pushed", () => {
  fc.assert(
    fc.property(reordered("grow", "merge", "amend"), ({ repository, accepted }) => {
      const pushes = known(repository, accepted);
      assert.deepEqual(numbers(inOrder(pushes)), numbers(pushes));
    }),
    { numRuns: 500 },
  );
});

test("whichever of them wait, one that another contains goes before it", () => {
  const some = reordered("grow", "merge").chain(({ repository, accepted }) =>
    fc.subarray([...known(repository, accepted)]),
  );
  fc.assert(
    fc.property(some, (pushes) => {
      const ordered = inOrder(pushes);
      for (const [at, one] of ordered.entries()) {
        for (const later of ordered.slice(at))
          assert.ok(!contains(one, later), `#${one.number} before #${later.number}`);
      }
    }),
  );
});

test("what has nothing to do with each other goes as it was accepted", () => {
  const unrelated = fc.array(fc.constantFrom("push" as const, "rewind" as const, "wish" as const), { maxLength: 9 });
  fc.assert(
    fc.property(unrelated, (origins) => {
      const pushes = origins.map((origin, at) => standing(at + 1, [], { origin }));
      assert.deepEqual(numbers(inOrder(pushes.toReversed())), numbers(pushes));
    }),
  );
});
