import assert from "node:assert/strict";
import { existsSync, globSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ArtifactCache, isEntry } from "../../../executor/artifacts/cache.ts";
import { tempDir } from "../../support/temp.ts";

const [A, B, C, D] = ["a", "b", "c", "d"].map((letter) => letter.repeat(64)) as [string, string, string, string];

const removed = (path: string): Promise<void> => rm(path, { recursive: true });

function openCache(dir: string, mostBytes: number, remove = removed): Promise<ArtifactCache> {
  return ArtifactCache.open(dir, mostBytes, remove);
}

const fillWith =
  (bytes: number) =>
  async (dir: string): Promise<number> => {
    await writeFile(join(dir, "file"), "x".repeat(bytes));
    return bytes;
  };

async function useOnce(cache: ArtifactCache, hex: string, bytes = 10): Promise<void> {
  await cache.hold(hex, fillWith(bytes));
  await cache.letGo(hex);
}

/** First letters of what is there. */
function left(dir: string): readonly string[] {
  return globSync("*", { cwd: dir })
    .filter(isEntry)
    .map((name) => name.slice(0, 1))
    .toSorted();
}

test("what is there is not filled again, and what is being filled is filled once for all", async () => {
  await using dir = await tempDir();
  const cache = await openCache(dir.path, 100);
  let fills = 0;
  const fill = async (draft: string): Promise<number> => {
    fills += 1;
    return fillWith(10)(draft);
  };
  const paths = await Promise.all([cache.hold(A, fill), cache.hold(A, fill), cache.hold(A, fill)]);
  paths.push(await cache.hold(A, fill));
  assert.equal(fills, 1);
  assert.equal(new Set(paths).size, 1);
  assert.ok(existsSync(join(paths[0] ?? "", "file")));
});

test("a fill that fails leaves nothing, and the next one begins anew", async () => {
  await using dir = await tempDir();
  const cache = await openCache(dir.path, 100);
  const fail = async (draft: string): Promise<number> => {
    await writeFile(join(draft, "half"), "");
    throw new Error("no");
  };
  const both = await Promise.allSettled([cache.hold(A, fail), cache.hold(A, fail)]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ["rejected", "rejected"],
  );
  assert.deepEqual(await readdir(dir.path), []);
  assert.ok(existsSync(await cache.hold(A, fillWith(1))));
});

test("the least recently used go when there is too much", async () => {
  await using dir = await tempDir();
  const cache = await openCache(dir.path, 30);
  for (const hex of [A, B, C, A, D]) await useOnce(cache, hex);
  assert.deepEqual(left(dir.path), ["a", "c", "d"]);
  assert.equal((await readdir(dir.path)).length, 3);
});

test("none that a stage has goes, however large; it goes when the last one lets go of it", async () => {
  await using dir = await tempDir();
  const cache = await openCache(dir.path, 30);
  await cache.hold(A, fillWith(100));
  await cache.hold(A, fillWith(100));
  await useOnce(cache, B);
  assert.deepEqual(left(dir.path), ["a"]);
  await cache.letGo(A);
  assert.deepEqual(left(dir.path), ["a"]);
  await cache.letGo(A);
  assert.deepEqual(left(dir.path), []);
});

test("one that is asked for while it goes is filled anew", async () => {
  await using dir = await tempDir();
  const going = Promise.withResolvers<void>();
  const slow = async (path: string): Promise<void> => {
    await going.promise;
    await removed(path);
  };
  const cache = await openCache(dir.path, 5, slow);
  await cache.hold(A, fillWith(10));
  const gone = cache.letGo(A);
  await Promise.resolve();
  const again = await cache.hold(A, fillWith(10));
  going.resolve();
  await gone;
  assert.ok(existsSync(join(again, "file")));
});

test("the next executor knows sizes and the order of use, and what was half done is no entry", async () => {
  await using dir = await tempDir();
  {
    const cache = await openCache(dir.path, 100);
    for (const hex of [A, B, C]) await useOnce(cache, hex);
    await useOnce(cache, A);
  }
  for (const name of [".draft-1", "e".repeat(64)]) {
    await mkdir(join(dir.path, name));
    assert.equal(isEntry(name), false);
  }
  const cache = await openCache(dir.path, 20);
  assert.deepEqual(left(dir.path), ["a", "c"]);
  await cache.hold(A, () => Promise.reject(new Error("it is there")));
});
