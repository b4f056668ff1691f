import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type BuildFilter,
  BuildIndex,
  type BuildState,
  buildState,
  type Indexed,
  matches,
} from "../../../../coordinator/projections/build-index.ts";
import { compare } from "../../../../coordinator/projections/pages.ts";

const REPOSITORIES = ["acme/api", "acme/web", "zeta/app"];
const ALL: BuildFilter = { branch: null, state: null, author: null };

function indexOf(builds: readonly Indexed[]): BuildIndex {
  const index = new BuildIndex();
  for (const build of builds) index.put(build);
  return index;
}

const anyBuilds = fc.array(
  fc.record({
    repository: fc.constantFrom(...REPOSITORIES),
    end: fc.constantFrom<[Indexed["status"], Indexed["outcome"]]>(
      ["planning", null],
      ["running", null],
      ["finished", "passed"],
      ["finished", "failed"],
    ),
    branch: fc.constantFrom("main", "dev", null),
    author: fc.constantFrom("Ada", "ada", "Bob"),
  }),
  { maxLength: 60 },
);

test("what is found is what matches, newest first, from wherever a page begins", () => {
  const anyFilter = fc.record({
    branch: fc.constantFrom("main", "dev", "gone", null),
    state: fc.constantFrom<BuildState | null>(null, ...buildState.options),
    author: fc.constantFrom("ADA", "Bob", "nobody", null),
  });
  fc.assert(
    fc.property(anyBuilds, anyFilter, fc.nat(60), (made, filter, after) => {
      const numbers = new Map<string, number>();
      const builds = made.map(({ repository, end: [status, outcome], branch, author }, at): Indexed => {
        const number = (numbers.get(repository) ?? 0) + 1;
        numbers.set(repository, number);
        // Some are made in the same millisecond.
        return { repository, number, status, outcome, branch, author, createdAtMs: Math.floor(at / 2) };
      });
      const wanted = builds.filter((build) => matches(build, filter)).toSorted(compare);
      const place = builds.toSorted(compare)[after] ?? null;
      const expected = place === null ? wanted : wanted.filter((one) => compare(one, place) > 0);
      const found = [...indexOf(builds).find(REPOSITORIES, filter, place)];
      assert.deepEqual(
        found.map(({ repository, number }) => `${repository}#${number}`),
        expected.map(({ repository, number }) => `${repository}#${number}`),
      );
    }),
  );
});

test("a build that changes is found as it is now, and only in the repositories that are asked for", () => {
  const build: Indexed = {
    repository: "acme/api",
    number: 7,
    status: "running",
    outcome: null,
    branch: "main",
    author: "Ada",
    createdAtMs: 1,
  };
  const index = indexOf([build, { ...build, status: "finished", outcome: "failed" }]);
  const found = (filter: Partial<BuildFilter>, of: readonly string[] = REPOSITORIES): number =>
    [...index.find(of, { ...ALL, ...filter }, null)].length;
  assert.deepEqual([found({ state: "active" }), found({ state: "failed" }), found({})], [0, 1, 1]);
  assert.equal(found({}, ["acme/web", "none/there"]), 0);
});

test("a million builds are found in, and take little memory", () => {
  const index = new BuildIndex();
  const before = process.memoryUsage();
  for (let at = 0; at < 1_000_000; at += 1) {
    index.put({
      repository: `acme/r${at % 20}`,
      number: Math.floor(at / 20) + 1,
      status: "finished",
      outcome: at === 3 ? "failed" : "passed",
      branch: at % 50 === 0 ? `feature-${at % 5_000}` : "main",
      author: `person ${at % 300}`,
      createdAtMs: at,
    });
  }
  const after = process.memoryUsage();
  // With what was left behind while it grew.
  const grown = after.arrayBuffers - before.arrayBuffers;
  assert.ok(grown < 60_000_000, `${grown} bytes`);
  const names = Array.from({ length: 20 }, (_, at) => `acme/r${at}`);
  // The oldest but three of them: all are looked at.
  const [only, ...others] = index.find(names, { ...ALL, state: "failed" }, null);
  assert.deepEqual([only, others], [{ repository: "acme/r3", number: 1, createdAtMs: 3 }, []]);
});
