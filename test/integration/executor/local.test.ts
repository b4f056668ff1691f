import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type LocalRunOptions, runLocally } from "../../../executor/local.ts";
import { IMAGES } from "../../support/image-cache.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../support/leaks.ts";
import { GitRepo } from "../../support/repo.ts";
import { needs } from "../../support/skips.ts";
import { weakHere } from "../../support/weak.ts";
import { NEEDS, SANDBOX } from "./rig.ts";

const T = { timeout: 30_000 };
const FILE = `
script: ["ls -A; cat new; git status --short; echo $NOTE", "exit 4"]
after: echo bye
`;

let repo: GitRepo;
let leaks: Snapshot;

before(async () => {
  leaks = await snapshot();
  repo = await GitRepo.create({ files: { ".toroid.yml": FILE, "sub/b": "x", ".gitignore": "ignored\n" } });
});

after(async () => {
  await repo[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

async function run(over: Partial<LocalRunOptions> = {}) {
  const told: string[] = [];
  const local = await runLocally({
    directory: repo.path,
    stage: null,
    sandbox: SANDBOX,
    allowWeak: weakHere(),
    defaultImage: "host",
    imagesDir: "/nonexistent",
    images: IMAGES,
    cacheDir: "/nonexistent",
    packer: null,
    params: { NOTE: "noted" },
    onBytes: (data) => void told.push(Buffer.from(data).toString()),
    onPhase: (phase) => void told.push(`<${phase}>`),
    say: (line) => void told.push(`(${line})`),
    extras: [],
    cancelled: new AbortController().signal,
    ...over,
  });
  return { local, told: told.join("") };
}

test(
  "a stage runs on the working tree as it is, with what is not committed and without what is ignored",
  T,
  async (t) => {
    if (!needs(t, NEEDS)) return;
    await writeFile(join(repo.path, "new"), "not committed\n");
    await writeFile(join(repo.path, "ignored"), "");
    await symlink("sub/b", join(repo.path, "link"));
    const { local, told } = await run({ directory: join(repo.path, "sub") });
    assert.equal(
      told,
      "<script>.git\n.gitignore\n.toroid.yml\nlink\nnew\nsub\nnot committed\n?? link\n?? new\nnoted\n<after>bye\n",
    );
    assert.equal(local.kind, "run");
    if (local.kind !== "run") return;
    const { ruling } = local.run;
    assert.deepEqual(
      [local.stage, ruling.kind === "ended" ? ruling.outcome : ruling.code, ruling.message],
      ["build", "failed", "exit code 4 in script"],
    );
  },
);

test("a stage that the file does not have is refused with those that it has", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await assert.rejects(run({ stage: "prod" }), {
    code: "TOR_NOT_FOUND",
    message: "there is no stage prod; the file has build",
  });
});

test("a file with mistakes is told with all of them", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await writeFile(join(repo.path, ".toroid.yml"), "scrip: x\n");
  const { local } = await run();
  assert.equal(local.kind, "invalid");
  await writeFile(join(repo.path, ".toroid.yml"), FILE);
});

test("a list of hosts is refused where nothing can hold a build to it", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await writeFile(join(repo.path, ".toroid.yml"), "script: echo ran\nnetwork: [203.0.113.5]\n");
  await assert.rejects(run(), { code: "TOR_NETWORK_MISSING" });
  await writeFile(join(repo.path, ".toroid.yml"), FILE);
});

test("a person can end it", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await writeFile(join(repo.path, ".toroid.yml"), "script: echo begun; sleep 1000\n");
  const cancelled = new AbortController();
  const { local } = await run({
    cancelled: cancelled.signal,
    onBytes: () => cancelled.abort(new Error("interrupted")),
  });
  assert.ok(local.kind === "run" && local.run.ruling.kind === "ended");
  assert.deepEqual([local.run.ruling.outcome, local.run.ruling.message], ["cancelled", "interrupted"]);
});

test("words are added to the last line of the script, whatever is in them", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await writeFile(join(repo.path, ".toroid.yml"), "script: ['echo first', 'printf \"<%s>\"']\n");
  const { told } = await run({ extras: ["a b", "it's", "$NOTE"] });
  assert.equal(told, "<script>first\n<a b><it's><$NOTE>");
});

test("an entry point gets them behind its environment, and what the environment says", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const file =
    "script: echo built\nentrypoint: deploy\nkind: application\nenvironments:\n  prod: { env: { REGION: mars } }\n";
  await writeFile(join(repo.path, ".toroid.yml"), file);
  await writeFile(join(repo.path, "deploy"), 'echo "$REGION $TOROID_ENVIRONMENT: $*"\n');
  const { told } = await run({ stage: "prod", extras: ["--dry", "run"] });
  assert.equal(told, "<script>mars prod: prod --dry run\n");
});

test("a secret that is not in the environment is named, and the stage goes without", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  process.env["GIVEN_KEY"] = "the given one";
  await writeFile(
    join(repo.path, ".toroid.yml"),
    "script: 'echo \"$GIVEN_KEY ${ABSENT_KEY-none}\"'\nsecrets: [GIVEN_KEY, ABSENT_KEY]\n",
  );
  const { told } = await run();
  delete process.env["GIVEN_KEY"];
  assert.match(told, /^\(without `ABSENT_KEY`: secrets are on executors; set it in your environment/);
  assert.match(told, /<script>\*\*\* none\n$/);
});
