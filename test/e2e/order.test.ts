/** Pushes that arrive in another order than they were made: what the scripts of an environment saw, on real parts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BuildSummary } from "../../protocol/summary.ts";
import type { GitRepo } from "../support/repo.ts";
import { Rig, systemForAll } from "../support/rig.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 120_000 };
let rig: Rig;
systemForAll((made) => {
  rig = made;
});

function files(queue: "newest" | "every"): Readonly<Record<string, string>> {
  return {
    ".toroid.yml": `kind: application
script: echo building
environments:
  prod: { queue: ${queue}, run: 'echo "deployed $TOROID_COMMIT with $TOROID_FENCE over \${TOROID_PREVIOUS_COMMIT:-nothing}"' }
`,
  };
}

interface Line {
  readonly fullName: string;
  readonly repo: GitRepo;
  /** Its commits; the first is live. */
  readonly commits: readonly [string, string, string, string];
}

/** A branch of four commits, of which the first is live and the others are not pushed yet. */
async function lineOf(fullName: string, queue: "newest" | "every"): Promise<Line> {
  const repo = await rig.repo(files(queue));
  const first = await rig.push(repo, { fullName });
  assert.equal((await rig.ended(1, fullName)).outcome, "passed");
  const [second, third, fourth] = [await repo.commit(), await repo.commit(), await repo.commit()];
  return { fullName, repo, commits: [first, second, third, fourth] };
}

/** The push of the commit at `at`, taken off the queue before the next is put there. */
async function deliver({ fullName, repo, commits }: Line, at: 1 | 2 | 3): Promise<BuildSummary> {
  const commit = await rig.push(repo, { fullName, before: commits[at - 1] ?? "", after: commits[at] });
  return until(`commit ${at} to have a build`, async () =>
    (await rig.builds(fullName)).find((one) => one.commit === commit),
  );
}

/** What the script of prod said, in the order of its fences. */
async function deployed({ fullName }: Line): Promise<readonly string[]> {
  const builds = await rig.builds(fullName);
  const logs = await Promise.all(builds.map(({ number }) => rig.log(number, "prod", "", fullName)));
  return logs
    .flatMap((log) => [...log.matchAll(/^deployed (\w+) with (\d+) over (\w+)$/gm)])
    .toSorted((a, b) => Number(a[2]) - Number(b[2]))
    .map(([, commit, , previous]) => `${commit} over ${previous}`);
}

async function paused({ fullName }: Line): Promise<AsyncDisposable> {
  await rig.post(`/api/v1/environments/${fullName}/prod/pause`, { reason: "until all are there" });
  return {
    async [Symbol.asyncDispose]() {
      await rig.post(`/api/v1/environments/${fullName}/prod/resume`, {});
    },
  };
}

test(
  "where every one goes, pushes that arrive last first are deployed in the order of their commits",
  LIMIT,
  async () => {
    const line = await lineOf("acme/every", "every");
    const { fullName, commits } = line;
    {
      await using _ = await paused(line);
      for (const at of [3, 1, 2] as const) await deliver(line, at);
      const waiting = await until("three to wait for prod", async () => {
        const found = (await rig.environment("prod", fullName))?.waiting ?? [];
        return found.length === 3 ? found.map(({ number }) => number) : undefined;
      });
      assert.deepEqual(waiting, [3, 4, 2], "as numbered in the order of acceptance");
    }
    for (const number of [2, 3, 4]) assert.equal((await rig.ended(number, fullName)).outcome, "passed");
    const [first, second, third, fourth] = commits;
    assert.deepEqual(await deployed(line), [
      `${first} over nothing`,
      `${second} over ${first}`,
      `${third} over ${second}`,
      `${fourth} over ${third}`,
    ]);
  },
);

test("where the newest goes, that is the newest commit, though it arrived first", LIMIT, async () => {
  const line = await lineOf("acme/newest", "newest");
  const { fullName, commits } = line;
  {
    await using _ = await paused(line);
    for (const at of [3, 2, 1] as const) await deliver(line, at);
    for (const number of [3, 4]) {
      const build = await rig.ended(number, fullName);
      assert.equal(build.outcome, "superseded", `#${number}: ${build.message}`);
      const { message } = build.stages.find(({ name }) => name === "prod") ?? {};
      assert.equal(message, "#2, which contains its commit, waits for the same environment");
    }
  }
  assert.equal((await rig.ended(2, fullName)).outcome, "passed");
  const [first, , , fourth] = commits;
  assert.deepEqual(await deployed(line), [`${first} over nothing`, `${fourth} over ${first}`]);
});

test("what arrives when a commit that contains it is live is superseded, and says by what", LIMIT, async () => {
  const line = await lineOf("acme/late", "every");
  const { fullName, commits } = line;
  await deliver(line, 3);
  assert.equal((await rig.ended(2, fullName)).outcome, "passed");
  await deliver(line, 1);
  const late = await rig.ended(3, fullName);
  assert.deepEqual(Rig.outcomes(late), { build: "passed", prod: "superseded" });
  assert.equal(
    late.stages.find(({ name }) => name === "prod")?.message,
    "#2, which contains its commit, is live already",
  );
  assert.equal((await rig.environment("prod", fullName))?.live?.commit, commits[3]);
});

test("moving a branch back deploys what it was moved to", LIMIT, async () => {
  const line = await lineOf("acme/moved-back", "newest");
  const { fullName, repo, commits } = line;
  for (const at of [1, 2] as const) {
    await deliver(line, at);
    assert.equal((await rig.ended(at + 1, fullName)).outcome, "passed");
  }
  await repo.git("reset", "--quiet", "--hard", commits[1]);
  await rig.push(repo, { fullName, before: commits[2] });
  await until("it to be accepted", async () => (await rig.builds(fullName)).length === 4);
  assert.equal((await rig.ended(4, fullName)).outcome, "passed");
  assert.equal((await rig.environment("prod", fullName))?.live?.commit, commits[1]);
});
