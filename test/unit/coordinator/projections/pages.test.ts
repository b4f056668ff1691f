import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { compare, type Place, pageOfAll, placeFrom, placeText } from "../../../../coordinator/projections/pages.ts";
import type { BuildSummary } from "../../../../protocol/summary.ts";
import { build } from "../../../support/summaries.ts";

/** Repositories by name, with the times of their builds; null: without a summary. */
type Times = Readonly<Record<string, readonly (number | null)[]>>;

function world(times: Times) {
  let reads = 0;
  const repositories = Object.entries(times).map(([repository, { length: builds }]) => ({ repository, builds }));
  const read = async ({ repository, number }: { repository: string; number: number }): Promise<BuildSummary | null> => {
    reads += 1;
    const createdAtMs = times[repository]?.[number - 1] ?? null;
    return createdAtMs === null ? null : build(number, { repository, createdAtMs });
  };
  const all = Object.entries(times).flatMap(([repository, list]) =>
    list.flatMap((createdAtMs, at) => (createdAtMs === null ? [] : [{ repository, number: at + 1, createdAtMs }])),
  );
  return { repositories, read, all: all.sort(compare), reads: () => reads };
}

/** All pages, one after the other. */
async function paged(times: Times, limit: number): Promise<readonly Place[][]> {
  const { repositories, read } = world(times);
  const pages: Place[][] = [];
  let place: Place | null = null;
  do {
    const page: { builds: readonly BuildSummary[]; next: Place | null } = await pageOfAll(
      repositories,
      read,
      place,
      limit,
    );
    pages.push(page.builds.map(({ repository, number, createdAtMs }) => ({ repository, number, createdAtMs })));
    place = page.next === null ? null : placeFrom(placeText(page.next));
  } while (place !== null);
  return pages;
}

test("pages of all repositories are one list, newest first, each build once", async () => {
  const times = { "a/x": [10, 30, 50], "b/y": [20, 40, 40, 60], "c/z": [] };
  const pages = await paged(times, 3);
  assert.deepEqual(
    pages.map((page) => page.map(({ repository, number }) => `${repository}#${number}`)),
    [["b/y#4", "a/x#3", "b/y#3"], ["b/y#2", "a/x#2", "b/y#1"], ["a/x#1"]],
  );
});

test("a full last page is the last one", async () => {
  assert.deepEqual((await paged({ "a/x": [1, 2, 3, 4] }, 2)).length, 2);
  assert.deepEqual(await paged({}, 2), [[]]);
});

test("whatever was built when, pages of any size tell of everything once and in order", async () => {
  const steps = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 40 });
  const gone = fc.integer({ min: 0, max: 10 });
  const some = fc.array(fc.tuple(steps, gone, gone), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(some, fc.integer({ min: 1, max: 9 }), async (repositories, limit) => {
      const times: Record<string, (number | null)[]> = {};
      for (const [at, [list, dropped, unseen]] of repositories.entries()) {
        let now = 100;
        const grown: (number | null)[] = list.map((step) => (now += step));
        // The oldest have none any more, the newest none yet.
        times[`o/${"edcba"[at] ?? ""}`] = grown.map((atMs, n) =>
          n < dropped || n >= grown.length - unseen ? null : atMs,
        );
      }
      assert.deepEqual((await paged(times, limit)).flat(), world(times).all);
    }),
  );
});

test("a page deep in a million builds takes a few reads of each repository", async () => {
  const count = 100_000;
  const times = Object.fromEntries(
    Array.from({ length: 10 }, (_, at) => [`o/r${at}`, Array.from({ length: count }, (__, n) => n * 10 + at)]),
  );
  const { repositories, read, reads } = world(times);
  const place = { repository: "o/r3", number: 40_000, createdAtMs: 399_993 };
  const { builds } = await pageOfAll(repositories, read, place, 30);
  assert.deepEqual(builds[0]?.createdAtMs, 399_992);
  assert.ok(reads() < 10 * 60, `${reads()} reads`);
});

test("a place is read as it was written, and nothing else is one", () => {
  const place = { repository: "acme/web-2", number: 17, createdAtMs: 1_760_000_000_000 };
  assert.deepEqual(placeFrom(placeText(place)), place);
  for (const text of ["17", "1-0-acme/api", "x-1-acme/api", "1-2-", ""]) assert.equal(placeFrom(text), null, text);
});
