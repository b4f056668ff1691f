/** A program that others could use: its help, its manual page, its installation and the examples of its README. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, chown, copyFile, mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { execa } from "execa";
import { HELPER, NEEDS } from "../../abuse/rig.ts";
import { needs } from "../../support/skips.ts";
import { tempDir } from "../../support/temp.ts";

const SANDBOX = join(import.meta.dirname, "..", "..", "..", "sandbox");
const PAGE = join(SANDBOX, "toroid-sandbox.1");
const ORDINARY_USER = 61_234;

async function help(...words: readonly string[]): Promise<string> {
  return (await execa(HELPER, [...words, "--help"])).stdout;
}

/** Names of commands, of one word or two, as the help lists them. */
async function commands(): Promise<readonly string[]> {
  const names = [...(await help()).matchAll(/^ {2}([a-z]+(?: [a-z]+)?) {2,}/gm)].map(([, name = ""]) => name);
  assert.ok(names.includes("run") && names.includes("net up"), names.join());
  return names;
}

/** Options that a text is about: those that begin a line of the help, or follow a `.TP` of the page. */
function options(text: string, heads: RegExp): readonly string[] {
  const lines = [...text.matchAll(heads)].map(([line]) => line.replaceAll("\\-", "-"));
  return [...new Set(lines.flatMap((line) => line.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? []))].sort();
}

describe("toroid-sandbox, as a program of its own,", () => {
  test("documents the same options in its help and in its manual page", async (t) => {
    if (!needs(t, { path: HELPER })) return;
    const page = await readFile(PAGE, "utf8");
    for (const name of await commands()) {
      const told = options(await help(...name.split(" ")), /^ {2}--[a-z-]+/gm);
      const section = page.split(`.SH OPTIONS OF ${name.toUpperCase()}\n`)[1]?.split("\n.SH ")[0];
      assert.ok(section !== undefined || told.length === 0, `the page has no section of ${name}`);
      assert.deepEqual(options(section ?? "", /(?<=^\.TP\n)\..*$/gm), told, name);
    }
  });

  test("names every command in the manual page and in the README's contract", async (t) => {
    if (!needs(t, { path: HELPER })) return;
    const page = (await readFile(PAGE, "utf8")).replaceAll("\\-", "-");
    const synopsis = page.split("\n.SH ").find((part) => part.startsWith("SYNOPSIS")) ?? "";
    const contract = (await readFile(join(SANDBOX, "README.md"), "utf8")).split("\n## Contract\n")[1] ?? "";
    for (const name of await commands()) {
      assert.match(synopsis, new RegExp(`^\\.B toroid-sandbox ${name}`, "m"), `the page's synopsis and ${name}`);
      assert.ok(contract.includes(`\ntoroid-sandbox ${name} `), `the README's contract and ${name}`);
    }
  });

  test("has a help for each command that is the command's own, and 125 for what is none", async (t) => {
    if (!needs(t, { path: HELPER })) return;
    for (const name of await commands()) {
      const [first = ""] = (await help(...name.split(" "))).split("\n");
      assert.ok(first.startsWith(`  toroid-sandbox ${name}`), first);
    }
    assert.equal((await help("net")).match(/^ {2}toroid-sandbox net (up|down|check)/gm)?.length, 3);
    for (const words of [[], ["frobnicate"], ["net"], ["net", "sideways"]]) {
      const { exitCode, stderr } = await execa(HELPER, words, { reject: false });
      assert.deepEqual([exitCode, stderr.split("\n").length], [125, 1]);
    }
    assert.match((await execa(HELPER, ["--version"])).stdout, /^toroid-sandbox \d+\.\d+\.\d+$/);
  });

  test("has a manual page that a strict reader of such pages takes without a word", async (t) => {
    if (!needs(t, { program: "mandoc" })) return;
    const lint = await execa("mandoc", ["-T", "lint", PAGE], { reject: false });
    assert.equal(lint.stdout + lint.stderr, "");
  });

  test("is installed as one program and one page, where it is told", async (t) => {
    if (!needs(t, { program: ["make", "cc"] })) return;
    await using dir = await tempDir();
    await execa("make", ["-s", "-C", SANDBOX, "install", `DESTDIR=${dir.path}`, "PREFIX=/opt/toroid"]);
    const { stdout } = await execa("find", [dir.path, "-type", "f", "-printf", "%P %m\n"]);
    const [program, page] = ["opt/toroid/bin/toroid-sandbox", "opt/toroid/share/man/man1/toroid-sandbox.1"];
    assert.deepEqual(stdout.split("\n").sort(), [`${program} 755`, `${page} 644`]);
    assert.match((await execa(join(dir.path, program), ["--version"])).stdout, /^toroid-sandbox /);
  });

  test("does what the examples of its README say", async (t) => {
    if (!needs(t, { ...NEEDS, program: ["setpriv", "cc"] })) return;
    const readme = await readFile(join(SANDBOX, "README.md"), "utf8");
    const section = readme.split("\n## Using it without Toroid\n")[1]?.split("\n## ")[0] ?? "";
    const examples = [...section.matchAll(/\n([^\n]+)\n[^`]*?```sh\n([^]*?)```\n\n```\n([^]*?)```/g)];
    assert.equal(examples.length, 3);
    for (const [, about = "", script = "", output = ""] of examples) {
      await using dir = await tempDir();
      const done = await runExample(dir.path, script, about.includes("not root"));
      assert.deepEqual([done.stdout, done.stderr], [output, ""], about);
    }
  });
});

/** In a directory of its own, with the helper on PATH and nothing else of ours. */
async function runExample(
  dir: string,
  script: string,
  ordinary: boolean,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  for (const folder of [dir, dirname(dir)]) await chmod(folder, (await stat(folder)).mode | 0o111);
  const bin = join(dir, "bin");
  const work = join(dir, "work");
  await mkdir(bin);
  await mkdir(work);
  await copyFile(HELPER, join(bin, "toroid-sandbox"));
  await chmod(join(bin, "toroid-sandbox"), 0o755);
  if (ordinary) await chown(work, ORDINARY_USER, ORDINARY_USER);
  const who = ordinary ? ORDINARY_USER : 0;
  const words = [`--reuid=${who}`, `--regid=${who}`, "--clear-groups", "--", "sh", "-e", "-c", script];
  const env = { PATH: `${bin}:${process.env["PATH"] ?? ""}` };
  const { stdout, stderr } = await execa("setpriv", words, { cwd: work, env, reject: false, stripFinalNewline: false });
  assert.ok(existsSync(work));
  return { stdout, stderr };
}
