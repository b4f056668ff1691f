import assert from "node:assert/strict";
import { mkdir, stat, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { Checkouts } from "../../../executor/checkout.ts";
import { planPush } from "../../../executor/plan.ts";
import type { Push } from "../../../protocol/work.ts";
import { GitRepo } from "../../support/repo.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";
import { push } from "../../unit/coordinator/samples.ts";

const T = { timeout: 30_000 };
const SETTINGS = { remote: "https", allowLocal: true, configFile: null, silenceMs: 10_000 } as const;
const FILE = { ".toroid.yml": "script: make test\n" };

let dir: TempDir;
let repo: GitRepo;
let mirrors = 0;

before(async () => {
  dir = await tempDir();
  repo = await GitRepo.create({ files: { ...FILE, "api/a.txt": "a\n" } });
});

after(async () => {
  await repo[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

/** Plans with an empty mirror cache. */
function plan(over: Partial<Push> & Pick<Push, "commit">, checkouts = freshCheckouts()): ReturnType<typeof planPush> {
  const pushed = push({ remote: { https: repo.url, ssh: null }, message: "", author: "", ...over });
  return planPush(checkouts, pushed, new AbortController().signal);
}

function freshCheckouts(): Checkouts {
  mirrors += 1;
  return new Checkouts(SETTINGS, join(dir.path, `mirrors-${mirrors}`));
}

test("a push is planned from the file at its commit, with the commit's own message and author", T, async () => {
  const commit = await repo.commit({ message: "subject\n\nbody" });
  const planned = await plan({ commit, message: "what the forge says" });
  assert.equal(planned.kind, "plan");
  assert.deepEqual(
    {
      message: planned.source?.message,
      author: planned.source?.author,
      branch: planned.source?.branch,
      commit: planned.source?.commit,
    },
    { message: "subject\n\nbody", author: "Ada Example <ada@example.com>", branch: "main", commit },
  );
  assert.deepEqual(planned.kind === "plan" ? planned.plan.stages.map(({ name }) => name) : [], ["build"]);
});

test("a ref without a commit is resolved, a branch before a tag", T, async () => {
  const head = await repo.head();
  const planned = await plan({ commit: null, ref: "main" });
  assert.deepEqual([planned.source?.commit, planned.source?.ref], [head, "refs/heads/main"]);
  await assert.rejects(plan({ commit: null, ref: "nowhere" }), { code: "TOR_NOT_FOUND" });
});

test("an annotated tag is planned as the commit that it is of", T, async () => {
  const pushedAs = await repo.tag("v1.0", true);
  const head = await repo.head();
  assert.notEqual(pushedAs, head);
  for (const commit of [pushedAs, null]) {
    const planned = await plan({ commit, ref: "refs/tags/v1.0" });
    assert.deepEqual([planned.source?.commit, planned.source?.tag, planned.source?.branch], [head, "v1.0", null]);
  }
});

test("a commit without the file is invalid, and says how to start", T, async () => {
  const commit = await repo.commit({ branch: "bare", files: { ".toroid.yml": null } });
  const planned = await plan({ commit, ref: "refs/heads/bare" });
  assert.equal(planned.kind, "invalid");
  const [problem] = planned.kind === "invalid" ? planned.problems : [];
  assert.equal(problem?.message, "this commit has no .toroid.yml");
  assert.match(problem?.hint ?? "", /begin with one line/);
  await repo.branch("main");
});

test("a file with mistakes is invalid with all of them and the text that they are in", T, async () => {
  const text = "scrip: make\nmatrix: 3\n";
  const commit = await repo.commit({ branch: "wrong", files: { ".toroid.yml": text } });
  const planned = await plan({ commit, ref: "refs/heads/wrong" });
  assert.equal(planned.kind, "invalid");
  if (planned.kind !== "invalid") return;
  assert.equal(planned.text, text);
  assert.ok(planned.problems.length >= 2);
  await repo.branch("main");
});

test(
  "path filters look at what the push changed, and for a new branch at what it has more than the default branch",
  T,
  async () => {
    const filtered = 'on: { push: { paths: ["api/**"] } }\nscript: make\n';
    const earlier = await repo.commit({ files: { ".toroid.yml": filtered } });
    const outside = await repo.commit({ files: { "web/x": "1" } });
    const inside = await repo.commit({ files: { "api/x": "1" } });
    assert.equal((await plan({ commit: outside, before: earlier })).kind, "skip");
    assert.equal((await plan({ commit: inside, before: outside })).kind, "plan");
    await repo.branch("feature");
    const onBranch = await repo.commit({ branch: "feature", files: { "web/y": "1" } });
    assert.equal((await plan({ commit: onBranch, ref: "refs/heads/feature", created: true })).kind, "skip");
    const more = await repo.commit({ files: { "api/y": "1" } });
    assert.equal((await plan({ commit: more, ref: "refs/heads/feature", created: true })).kind, "plan");
    await repo.branch("main");
    await repo.commit({ files: FILE });
  },
);

test("a commit that a forced push has left behind is still found by its name", T, async () => {
  const lost = await repo.commit({ branch: "rewritten", message: "lost" });
  await repo.branch("rewritten", "main");
  const kept = await repo.commit({ message: "kept" });
  const checkouts = freshCheckouts();
  assert.equal((await plan({ commit: kept, ref: "refs/heads/rewritten" }, checkouts)).source?.message, "kept");
  assert.equal((await plan({ commit: lost, ref: "refs/heads/rewritten" }, checkouts)).source?.message, "lost");
  await repo.branch("main");
});

test("a branch that is gone by now does not hide its commit", T, async () => {
  const commit = await repo.commit({ branch: "short-lived", message: "short" });
  await repo.tag("keeps-it");
  await repo.branch("main");
  await repo.git("branch", "-D", "short-lived");
  assert.equal((await plan({ commit, ref: "refs/heads/short-lived" })).source?.message, "short");
});

test("an address that asks for a password fails at once with a sentence, and for good", T, async () => {
  const server = createServer((_request, response) => {
    response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const remote = { https: `http://127.0.0.1:${port}/acme/api.git`, ssh: null };
    await assert.rejects(plan({ commit: "1".repeat(40), remote }), (error: Error & { code?: string }) => {
      assert.equal(error.code, "TOR_GIT_AUTH");
      assert.match(error.message, /asks for a password or key that this executor does not have/);
      return true;
    });
  } finally {
    server.close();
  }
});

test("what a killed git left locked holds nobody up, and is removed when it is old enough", T, async () => {
  const checkouts = freshCheckouts();
  await plan({ commit: await repo.head() }, checkouts);
  const lock = join(dir.path, `mirrors-${mirrors}`, "acme__api", "refs", "remotes", "origin", "main.lock");
  await mkdir(dirname(lock), { recursive: true });
  await writeFile(lock, "");
  const during = await repo.commit({ message: "during the lock" });
  assert.equal((await plan({ commit: during }, checkouts)).source?.message, "during the lock");
  await utimes(lock, 1, 1);
  const commit = await repo.commit({ message: "after the lock" });
  assert.equal((await plan({ commit }, checkouts)).source?.message, "after the lock");
  await assert.rejects(stat(lock), { code: "ENOENT" });
});

test("an address where nobody answers may answer later", T, async () => {
  const remote = { https: "http://127.0.0.1:9/acme/api.git", ssh: null };
  await assert.rejects(plan({ commit: "1".repeat(40), remote }), { code: "TOR_GIT_UNREACHABLE" });
});

test("an address that is no repository, or that would be an option, is refused", T, async () => {
  await assert.rejects(plan({ commit: null, remote: { https: `${dir.path}/nothing`, ssh: null } }), {
    code: "TOR_NOT_FOUND",
  });
  for (const https of [
    "--upload-pack=touch /tmp/x",
    "ext::sh -c id",
    "-oProxyCommand=id:x",
    "ssh://-oProxyCommand=id/x",
  ]) {
    await assert.rejects(plan({ commit: null, remote: { https, ssh: null } }), { code: "TOR_INVALID_INPUT" });
  }
  await assert.rejects(plan({ commit: null, ref: "--upload-pack=id" }), { code: "TOR_INVALID_INPUT" });
});
