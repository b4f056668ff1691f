import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { importTravis } from "../../../bin/import/travis.ts";
import { lint, planOf } from "../../../protocol/pipeline/plan.ts";
import { tempDir } from "../../support/temp.ts";
import { toroid } from "./toroid.ts";

function made(travis: string): { readonly text: string; readonly notes: readonly string[] } {
  const of = importTravis(".travis.yml", travis);
  assert.ok("text" in of, JSON.stringify(of));
  assert.deepEqual(lint(".toroid.yml", of.text, null), [], of.text);
  return of;
}

/** Without the comments. */
function lines(travis: string): readonly string[] {
  return made(travis)
    .text.trimEnd()
    .split("\n")
    .filter((line) => !line.startsWith("#"));
}

function stages(travis: string): readonly string[] {
  const planned = planOf(".toroid.yml", made(travis).text, {
    repository: "a/b",
    ref: "refs/heads/main",
    branch: "main",
    tag: null,
    commit: "0".repeat(40),
    message: "",
    changedPaths: null,
    defaultBranch: null,
    tree: { template: "none", files: [] },
  });
  assert.ok(planned.kind === "plan", planned.kind);
  return planned.plan.stages.map(({ name }) => name);
}

test("commands, variables and branches are what they were", () => {
  const travis = `
language: generic
branches: { only: [main, "release/*"], except: [wip] }
env: { global: [A=1, 'B="two words"'] }
before_install: ./prepare
install: [./one, ./two]
before_script: ./start
script: make test
after_script: ./clean
`;
  assert.deepEqual(lines(travis), [
    "on:",
    '  branches: ["main", "release/*", "!wip"]',
    "env:",
    '  A: "1"',
    "  B: two words",
    "install:",
    "  - ./prepare",
    "  - ./one",
    "  - ./two",
    "script:",
    "  - ./start",
    "  - make test",
    "after: ./clean",
  ]);
  assert.deepEqual(made(travis).notes, []);
});

test("versions and rows of variables are a stage each, as many as Travis had jobs", () => {
  const python = "language: python\npython: [3.9, 3.10]\nscript: pytest\n";
  assert.deepEqual(stages(python), ["build PYTHON=3.9", "build PYTHON=3.10"]);
  assert.match(made(python).notes.join("\n"), /name an image that has its python, as `image: python-\$\{PYTHON\}`/);
  const both = "language: node_js\nnode_js: [22, 24]\nenv: ['DB=pg MODE=a', 'DB=my MODE=b']\ninstall: skip\n";
  assert.equal(stages(both).length, 4);
  assert.equal(stages("script: x\nenv: [DB=pg, DB=my]\n").length, 2);
});

test("what Travis did by itself is written, and said to be a guess", () => {
  assert.deepEqual(lines("language: ruby\n"), ["install: bundle install", "script: bundle exec rake"]);
  assert.equal(made("language: ruby\n").notes.length, 2);
  assert.match(made("language: haskell\n").notes.join("\n"), /language haskell: what Travis does .* is not known here/);
  assert.deepEqual(lines("addons: { apt: { packages: [jq, make] } }\nscript: make\n"), [
    'install: "apt-get update && apt-get install -y jq make"',
    "script: make",
  ]);
});

test("what cannot be carried over is said, and nothing is left out in silence", () => {
  const travis = `
script: make
services: [postgresql]
cache: bundler
deploy: { provider: heroku }
os: osx
after_success: ./report
notifications: { email: false }
jobs: { include: [{ script: make }] }
env: { global: [{ secure: "abc" }, { TOKEN: { secure: "abc" } }] }
branches: { only: [/^v/] }
frobnicate: yes
`;
  const { notes, text } = made(travis);
  for (const key of [
    "services",
    "cache",
    "deploy",
    "os",
    "after_success",
    "notifications",
    "jobs",
    "TOKEN",
    "/\\^v/",
    "frobnicate",
  ]) {
    assert.match(notes.join("\n"), new RegExp(key));
  }
  for (const note of notes) assert.ok(text.includes(`# - ${note}`), note);
});

test("whatever the file says, what is made of it lints", () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom("A=1", "B='x y'", "3.10", "/re/", "skip", "main", "yes", "#", "- x", "a: b"),
  );
  const value = fc.oneof(
    word,
    fc.array(word, { maxLength: 3 }),
    fc.dictionary(word, word, { maxKeys: 3 }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
  );
  const keys = [
    "language",
    "node_js",
    "env",
    "install",
    "script",
    "before_install",
    "after_script",
    "branches",
    "addons",
    "matrix",
    "x",
  ];
  const file = fc.dictionary(fc.constantFrom(...keys), value, { minKeys: 1 });
  fc.assert(
    fc.property(file, fc.constantFrom("node_js", "generic"), (fields, language) => {
      const of = importTravis(".travis.yml", JSON.stringify({ language, ...fields }));
      if ("text" in of) assert.deepEqual(lint(".toroid.yml", of.text, null), [], of.text);
    }),
    { numRuns: 300 },
  );
});

test("the command writes it once, shows it with --print, and says what is wrong with the file", async () => {
  await using dir = await tempDir();
  const at = { cwd: dir.path };
  const missing = await toroid(["import"], at);
  assert.deepEqual([missing.exit, missing.out], [2, ""]);
  assert.match(missing.err, /there is no \.travis\.yml here/);
  await writeFile(join(dir.path, ".travis.yml"), "script: make\ncache: bundler\n");
  const printed = await toroid(["import", "--print"], at);
  assert.deepEqual([printed.exit, printed.err], [0, "toroid: cache: there are no caches yet\n"]);
  const wrote = await toroid(["import", "--json"], at);
  assert.deepEqual((JSON.parse(wrote.out) as { wrote: string[] }).wrote, [".toroid.yml"]);
  assert.equal(await readFile(join(dir.path, ".toroid.yml"), "utf8"), printed.out);
  const again = await toroid(["import"], at);
  assert.match(again.err, /there is a \.toroid\.yml already: --force/);
  assert.equal(again.exit, 2);
  await writeFile(join(dir.path, ".travis.yml"), "script: [make\n");
  const broken = await toroid(["import", "--force"], at);
  assert.deepEqual([broken.exit, /\.travis\.yml:\d+:\d+/.test(broken.out)], [2, true]);
});
