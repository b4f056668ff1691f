/** Where commits stand in real repositories. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Checkouts } from "../../../executor/checkout.ts";
import { planPush } from "../../../executor/plan.ts";
import { type History, type Push, shortOf } from "../../../protocol/work.ts";
import { GitRepo } from "../../support/repo.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";
import { push } from "../../unit/coordinator/samples.ts";

const T = { timeout: 60_000 };
const SETTINGS = { remote: "https", allowLocal: true, configFile: null, silenceMs: 10_000 } as const;

let dir: TempDir;
let mirrors = 0;

before(async () => {
  dir = await tempDir();
});

after(() => dir[Symbol.asyncDispose]());

async function repoOf(): Promise<{ readonly repo: GitRepo; readonly first: string }> {
  const repo = await GitRepo.create({ files: { ".toroid.yml": "script: make test\n" } });
  return { repo, first: await repo.head() };
}

/** Each executor has mirrors of its own. */
function executor(): Checkouts {
  mirrors += 1;
  return new Checkouts(SETTINGS, join(dir.path, `mirrors-${mirrors}`));
}

async function historyOf(repo: GitRepo, of: Partial<Push>, checkouts = executor()): Promise<History> {
  const pushed = push({ remote: { https: repo.url, ssh: null }, ...of });
  const planned = await planPush(checkouts, pushed, AbortSignal.timeout(30_000));
  assert.ok(planned.kind === "plan" && planned.history !== undefined);
  return planned.history;
}

test("what a commit contains is told, with what was merged into it", T, async () => {
  const { repo, first } = await repoOf();
  await using _ = repo;
  const second = await repo.commit();
  await repo.branch("side", first);
  const side = await repo.commit();
  await repo.branch("main");
  await repo.git("merge", "--quiet", "--no-ff", "--no-edit", "side");
  const commit = await repo.head();
  const history = await historyOf(repo, { commit, before: second });
  assert.deepEqual(history, { ancestors: [second, side, first].map(shortOf), tip: null, rewinds: false });
  const root = await historyOf(repo, { commit: first, created: true });
  assert.deepEqual(root.ancestors, []);
});

test("a tag's history is that of its commit", T, async () => {
  const { repo, first } = await repoOf();
  await using _ = repo;
  await repo.commit();
  const tag = await repo.tag("v1", true);
  const history = await historyOf(repo, { ref: "refs/tags/v1", commit: tag, created: true });
  assert.deepEqual(history, { ancestors: [shortOf(first)], tip: null, rewinds: false });
});

test("a push that is late sees what its branch has become, however long ago that was", T, async () => {
  const { repo, first } = await repoOf();
  await using _ = repo;
  await repo.grow(300);
  const tip = await repo.head("refs/heads/main");
  assert.equal((await historyOf(repo, { commit: first, created: true })).tip, shortOf(tip));
  assert.equal((await historyOf(repo, { commit: tip, before: first })).ancestors.includes(shortOf(first)), false);
});

test("what has taken the place of a commit is not what it became", T, async () => {
  const { repo } = await repoOf();
  await using _ = repo;
  const lost = await repo.commit();
  await repo.git("commit", "--quiet", "--amend", "--allow-empty", "--message", "better");
  assert.equal((await historyOf(repo, { commit: lost })).tip, null);
});

test("a branch that was moved back is noticed, whether the forge says so or not", T, async () => {
  const { repo, first } = await repoOf();
  await using _ = repo;
  const second = await repo.commit();
  const known = executor();
  await historyOf(repo, { commit: second, before: first }, known);
  await repo.git("reset", "--quiet", "--hard", first);
  for (const forced of [true, false]) {
    const history = await historyOf(repo, { commit: first, before: second, forced }, known);
    assert.deepEqual([history.rewinds, history.tip], [true, null], `forced: ${forced}`);
  }
});

test(
  "what was there before is not needed to plan: a forced push from nobody knows where may be one back",
  T,
  async () => {
    const { repo, first } = await repoOf();
    await using _ = repo;
    const gone = "b".repeat(40);
    assert.equal((await historyOf(repo, { commit: first, before: gone, forced: true })).rewinds, true);
    assert.equal((await historyOf(repo, { commit: first, before: gone })).rewinds, false);
  },
);

test("a commit that replaces another moves nothing back", T, async () => {
  const { repo } = await repoOf();
  await using _ = repo;
  const lost = await repo.commit();
  const known = executor();
  await historyOf(repo, { commit: lost }, known);
  await repo.git("commit", "--quiet", "--amend", "--allow-empty", "--message", "better");
  const commit = await repo.head();
  assert.equal((await historyOf(repo, { commit, before: lost, forced: true }, known)).rewinds, false);
});
