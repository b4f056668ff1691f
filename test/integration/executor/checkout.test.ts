import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { BORROWED_OBJECTS, Checkouts } from "../../../executor/checkout.ts";
import type { CheckedSource } from "../../../protocol/work.ts";
import { GitRepo } from "../../support/repo.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";

const T = { timeout: 30_000 };
const SETTINGS = { remote: "https", allowLocal: true, configFile: null, silenceMs: 10_000 } as const;
const run = promisify(execFile);

let dir: TempDir;
let repo: GitRepo;
let count = 0;

before(async () => {
  dir = await tempDir();
  repo = await GitRepo.create({
    files: {
      "a.txt": "one\n",
      "run*": "#!/bin/sh\n",
      ".gitattributes": "*.txt filter=evil\n*.bin -text\n",
      "ü/ö.txt": "x",
    },
  });
});

after(async () => {
  await repo[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

function sourceOf(commit: string, ref = "refs/heads/main"): CheckedSource {
  return { ref, branch: null, tag: null, before: null, commit, message: "", author: "", defaultBranch: null };
}

async function checkOut(checkouts: Checkouts, commit: string, ref?: string): Promise<string> {
  count += 1;
  const into = join(dir.path, `src-${count}`);
  await checkouts.checkOut(
    "acme/api",
    { https: repo.url, ssh: null },
    sourceOf(commit, ref),
    into,
    new AbortController().signal,
  );
  return into;
}

const mirrorsAt = (name: string): string => join(dir.path, name);

test(
  "a checkout is a real repository whose objects are borrowed from the mirror as the workspace will see it",
  T,
  async () => {
    await repo.tag("v1", true);
    const commit = await repo.commit({ files: { "b.txt": "two\n" } });
    const checkouts = new Checkouts(SETTINGS, mirrorsAt("real"));
    const into = await checkOut(checkouts, commit);
    assert.equal(await readFile(join(into, "b.txt"), "utf8"), "two\n");
    assert.equal(await readFile(join(into, "ü", "ö.txt"), "utf8"), "x");
    assert.ok(((await stat(join(into, "run"))).mode & 0o111) !== 0);
    const alternates = join(into, ".git", "objects", "info", "alternates");
    assert.equal(await readFile(alternates, "utf8"), `${BORROWED_OBJECTS}\n`);
    await writeFile(alternates, `${join(mirrorsAt("real"), "acme__api", "objects")}\n`);
    const git = async (...args: string[]) => (await run("git", args, { cwd: into })).stdout.trim();
    assert.equal(await git("describe"), `v1-1-g${commit.slice(0, 7)}`);
    assert.equal(await git("status", "--porcelain"), "");
    assert.equal(await git("rev-parse", "origin/main"), commit);
  },
);

test("a commit that is in the mirror needs no network", T, async () => {
  const commit = await repo.head();
  const moved = join(dir.path, "moved");
  await cp(repo.path, moved, { recursive: true });
  const checkouts = new Checkouts(SETTINGS, mirrorsAt("offline"));
  const from = async (https: string, into: string): Promise<void> => {
    await checkouts.checkOut("acme/api", { https, ssh: null }, sourceOf(commit), into, new AbortController().signal);
  };
  await from(moved, join(dir.path, "online"));
  await run("rm", ["-rf", moved]);
  await from(moved, join(dir.path, "offline-src"));
});

test("many checkouts of a commit that is not there yet fetch it once", T, async () => {
  const commit = await repo.commit({ files: { "c.txt": "three\n" } });
  const checkouts = new Checkouts(SETTINGS, mirrorsAt("many"));
  const places = await Promise.all(Array.from({ length: 8 }, async () => checkOut(checkouts, commit)));
  for (const into of places) assert.equal(await readFile(join(into, "c.txt"), "utf8"), "three\n");
});

test("hooks, filters and templates of the host or of a repository are not obeyed", T, async () => {
  const home = join(dir.path, "home");
  const touched = join(dir.path, "touched");
  await mkdir(join(home, "hooks"), { recursive: true });
  const evil = `#!/bin/sh\ntouch ${touched}\n`;
  for (const hook of ["post-checkout", "post-index-change", "reference-transaction"]) {
    await writeFile(join(home, "hooks", hook), evil, { mode: 0o755 });
  }
  await writeFile(
    join(home, ".gitconfig"),
    `[core]\n\thooksPath = ${home}/hooks\n\tfsmonitor = "touch ${touched}; false"\n[filter "evil"]\n\tsmudge = touch ${touched}\n\trequired = true\n`,
  );
  const kept = { HOME: process.env["HOME"], GIT_DIR: process.env["GIT_DIR"] };
  process.env["HOME"] = home;
  process.env["GIT_DIR"] = "/nonexistent";
  try {
    const into = await checkOut(new Checkouts(SETTINGS, mirrorsAt("evil")), await repo.head());
    assert.equal(await readFile(join(into, "a.txt"), "utf8"), "one\n");
    await assert.rejects(stat(touched));
  } finally {
    for (const [name, value] of Object.entries(kept)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});

test("local addresses are refused unless the operator allows them", T, async () => {
  const checkouts = new Checkouts({ ...SETTINGS, allowLocal: false }, mirrorsAt("refused"));
  await assert.rejects(checkOut(checkouts, await repo.head()), /set TOROID_ALLOW_LOCAL_REMOTES=1/);
});

test("a repository of SHA-256 objects is checked out like any other", T, async (t) => {
  const path = join(dir.path, "sha256");
  await run("git", ["init", "--quiet", "--object-format=sha256", "--initial-branch=main", path]);
  await writeFile(join(path, "f"), "new\n");
  const env = {
    ...process.env,
    GIT_AUTHOR_NAME: "a",
    GIT_AUTHOR_EMAIL: "a@b",
    GIT_COMMITTER_NAME: "a",
    GIT_COMMITTER_EMAIL: "a@b",
  };
  await run("git", ["add", "--all"], { cwd: path });
  await run("git", ["commit", "--quiet", "-m", "x"], { cwd: path, env });
  const commit = (await run("git", ["rev-parse", "HEAD"], { cwd: path })).stdout.trim();
  assert.equal(commit.length, 64);
  const into = join(dir.path, "sha256-src");
  const checkouts = new Checkouts(SETTINGS, mirrorsAt("sha256-mirrors"));
  await checkouts.checkOut("acme/new", { https: path, ssh: null }, sourceOf(commit), into, t.signal);
  assert.equal(await readFile(join(into, "f"), "utf8"), "new\n");
});
