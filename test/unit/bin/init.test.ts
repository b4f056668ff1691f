import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { detect } from "../../../bin/init/detect.ts";
import { needs } from "../../support/skips.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";
import { BIN, toroid } from "./toroid.ts";

async function checkout(files: Readonly<Record<string, string>>): Promise<TempDir> {
  const dir = await tempDir("toroid-init-");
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir.path, path)), { recursive: true });
    await writeFile(join(dir.path, path), content);
  }
  return dir;
}

const read = (dir: TempDir, path: string): Promise<string> => readFile(join(dir.path, path), "utf8");
const HEAD = "# What Toroid runs for a push. `toroid lint` checks this file, `toroid run` runs it here.\n";

describe("init", { concurrency: 2 }, () => {
  test("a library gets what its package manager and its tests are", async () => {
    await using dir = await checkout({ Gemfile: "", "a.gemspec": "", "spec/a_spec.rb": "" });
    const { exit, err } = await toroid(["init"], { cwd: dir.path });
    assert.equal(exit, 0, err);
    assert.match(
      err,
      /^found Gemfile\nwrote \.toroid\.yml\nnext: read \.toroid\.yml, try it with `sudo toroid run`, then\n/,
    );
    assert.equal(await read(dir, ".toroid.yml"), `${HEAD}install: bundle install\nscript: bundle exec rspec\n`);
    assert.equal((await toroid(["lint"], { cwd: dir.path })).exit, 0);
  });

  test("an application gets environments, a template, and an entry point when it is asked for", async () => {
    const files = { "package.json": '{"scripts":{"start":"x","test":"vitest"}}', "package-lock.json": "{}" };
    await using dir = await checkout(files);
    const words = ["init", "--environments", "stage prod", "--entrypoint", "--json"];
    const { exit, out, err } = await toroid(words, { cwd: dir.path });
    assert.equal(exit, 0, err);
    assert.deepEqual(JSON.parse(out), { wrote: [".toroid.yml", ".packer", "bin/deploy"] });
    assert.equal(
      await read(dir, ".toroid.yml"),
      `${HEAD}kind: application
image: { packer: .packer }   # what this Packer template makes, once
install: npm ci
script: npm test
entrypoint: bin/deploy   # called as: bin/deploy <environment>
environments:
  stage:
  prod: { approval: {} }
`,
    );
    assert.match(
      await read(dir, ".packer"),
      /^# The image that this repository[^]*"package-lock\.json", "package\.json"/,
    );
    assert.match(await read(dir, "bin/deploy"), /^#!\/bin\/sh\n/);
    assert.equal((await stat(join(dir.path, "bin/deploy"))).mode & 0o111, 0o111);
    assert.equal((await toroid(["lint"], { cwd: dir.path })).exit, 0);
  });

  test("nothing is overwritten without --force, and nothing written when one file is in the way", async () => {
    await using dir = await checkout({ "go.mod": "", ".toroid.yml": "script: mine\n", "bin/deploy": "mine" });
    const refused = await toroid(["init", "--yes"], { cwd: dir.path });
    assert.equal(refused.exit, 2);
    assert.match(
      refused.err,
      /there is a \.toroid\.yml already: --force writes it anew, --packer writes its \.packer alone/,
    );
    assert.equal(await read(dir, ".toroid.yml"), "script: mine\n");
    const forced = await toroid(["init", "--yes", "--force", "--kind", "library"], { cwd: dir.path });
    assert.equal(forced.exit, 0, forced.err);
    assert.equal(await read(dir, ".toroid.yml"), `${HEAD}install: go mod download\nscript: go test ./...\n`);
    await using other = await checkout({ Makefile: "test:\n", deploy: "mine" });
    const app = ["init", "--kind", "application", "--entrypoint"];
    assert.match((await toroid(app, { cwd: other.path })).err, /there is a deploy already/);
    assert.deepEqual(await readdir(other.path), ["Makefile", "deploy"]);
  });

  test("a template that is there is kept, and --packer writes the one of a file that is there", async () => {
    const own = 'build {\n  sources = ["source.null.toroid"]\n}\n';
    await using kept = await checkout({ "go.mod": "", ".packer": own });
    const first = await toroid(["init", "--kind", "application"], { cwd: kept.path });
    assert.equal(first.exit, 0, first.err);
    assert.equal(await read(kept, ".packer"), own);
    assert.match(first.err, /next: write bin\/deploy, which deploys; --entrypoint begins it for you/);

    const file = "image: { packer: true }\ninstall: make deps\nscript: make\n";
    await using dir = await checkout({ Makefile: "deps:\n", ".toroid.yml": file });
    const { exit, err } = await toroid(["init", "--packer"], { cwd: dir.path });
    assert.equal(exit, 0, err);
    assert.equal(await read(dir, ".toroid.yml"), file);
    assert.match(await read(dir, ".packer"), /sources {5}= \["Makefile"\][^]*"make deps",/);
    await using without = await checkout({ ".toroid.yml": "install: make\nscript: make\n" });
    assert.match(
      (await toroid(["init", "--packer"], { cwd: without.path })).err,
      /\.toroid\.yml does not ask for \.packer: write `image: \{ packer: \.packer \}` into it/,
    );
  });

  test("what it cannot know is asked for in a sentence", async () => {
    await using dir = await checkout({ README: "" });
    const nothing = await toroid(["init"], { cwd: dir.path });
    assert.equal(nothing.exit, 2);
    assert.match(nothing.err, /nothing here says how it is tested: say it with --test, for example --test 'make test'/);
    const kind = await toroid(["init", "--kind", "app"], { cwd: dir.path });
    assert.match(kind.err, /--kind is `library` or `application`/);
    const odd = await toroid(["init", "--test", "echo 'a: b' # c", "--kind", "application", "--environments", "all"], {
      cwd: dir.path,
    });
    assert.match(odd.err, /`all` is reserved and cannot name an environment/);
    const fine = await toroid(["init", "--test", "echo 'a: b' # c"], { cwd: dir.path });
    assert.equal(fine.exit, 0, fine.err);
    assert.equal(await read(dir, ".toroid.yml"), `${HEAD}script: "echo 'a: b' # c"\n`);
  });

  test("at a terminal it asks three questions, and Enter takes what it says", async (t) => {
    if (!needs(t, { program: "script" })) return;
    await using dir = await checkout({ "Cargo.toml": "" });
    const told = await atTerminal(dir.path, ["application\r", "\r", "dev prod\r"]);
    assert.match(told, /Is it a library, or an application that is deployed\? \[library\]/);
    assert.match(told, /How is it tested\? \[cargo test\]/);
    assert.match(told, /Which environments, in order\? \[stage, prod\]/);
    const file = await read(dir, ".toroid.yml");
    assert.match(
      file,
      /^kind: application\n[^]*^script: cargo test\n[^]*^ {2}dev:\n {2}prod: \{ approval: \{\} \}\n$/m,
    );
  });

  test("who ends the questions has agreed to nothing", async (t) => {
    if (!needs(t, { program: "script" })) return;
    await using dir = await checkout({ "Cargo.toml": "" });
    assert.match(await atTerminal(dir.path, ["library\r", "\u0003"]), /interrupted \(TOR_INTERRUPTED\)/);
    assert.deepEqual(await readdir(dir.path), ["Cargo.toml"]);
  });
});

/** Runs `toroid init` at a terminal of its own; each answer is typed when it asks. */
async function atTerminal(cwd: string, answers: readonly string[]): Promise<string> {
  const command = `${process.execPath} ${BIN} init`;
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    cwd,
    stdio: ["pipe", "pipe", "inherit"],
    timeout: 30_000,
  });
  const left = [...answers];
  let told = "";
  for await (const chunk of child.stdout) {
    told += String(chunk);
    if (/\] $|\? $/.test(stripVTControlCharacters(told)) && left.length > 0) {
      child.stdin.write(left.shift() ?? "");
      told += "\n";
    }
  }
  return told;
}

describe("detect", () => {
  const found = (files: readonly string[], texts: Readonly<Record<string, string>> = {}) => {
    const { kind, install, script } = detect({ files: [...files, ...Object.keys(texts)], texts });
    return [kind, install.join("; "), script.join("; ")];
  };

  test("what package managers and conventions say", () => {
    assert.deepEqual(found(["Gemfile", "bin/rails", "config/application.rb"]), [
      "application",
      "bundle install",
      "bin/rails test",
    ]);
    assert.deepEqual(found(["yarn.lock"], { "package.json": '{"scripts":{"build":"x"}}' }), [
      "library",
      "yarn install --frozen-lockfile",
      "yarn run build",
    ]);
    assert.deepEqual(
      found([], { "package.json": '{"scripts":{"test":"echo no test specified"}}', Makefile: "check:\n" }),
      ["library", "npm install", "make check"],
    );
    assert.deepEqual(found(["pyproject.toml", "uv.lock"]), ["library", "uv sync --locked", "uv run pytest"]);
    assert.deepEqual(found(["requirements.txt", "manage.py"]), [
      "application",
      "pip install -r requirements.txt",
      "python manage.py test",
    ]);
    assert.deepEqual(found(["Cargo.toml", "Cargo.lock", "src/main.rs"]), [
      "application",
      "cargo fetch --locked",
      "cargo test --locked",
    ]);
    assert.deepEqual(found([], { Makefile: "CC := x\nall:\n" }), ["library", "", "make"]);
    assert.deepEqual(found(["README"]), ["library", "", ""]);
    assert.deepEqual(found([], { "package.json": "{ not json" }), ["library", "npm install", ""]);
  });

  test("what Travis ran is what is run, with its own install or the package manager's", () => {
    const texts = { ".travis.yml": "language: ruby\nbefore_script: ./prepare\nscript:\n  - rake a\n  - rake b\n" };
    assert.deepEqual(found(["Gemfile"], texts), ["library", "bundle install", "./prepare; rake a; rake b"]);
    const own = { ".travis.yml": "install: ./get\nscript: rake\n" };
    assert.deepEqual(found(["Gemfile"], own), ["library", "./get", "rake"]);
    assert.deepEqual(found(["go.mod"], { ".travis.yml": "[" }), ["library", "go mod download", "go test ./..."]);
  });
});
