import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { program } from "../../support/child.ts";
import { assertNoLeaks, snapshot } from "../../support/leaks.ts";
import { needs } from "../../support/skips.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";

const before = await snapshot();
after(() => assertNoLeaks(before));

const SETUP = join(import.meta.dirname, "..", "..", "..", "scripts", "setup");
const PROGRAMS = ["git", "make", "cc", "flock"];

test("packages are installed once; when all is there nothing is printed", async (t) => {
  if (!needs(t, { program: PROGRAMS })) return;
  await using dir = await checkout();
  assert.match(await setup(dir), /^setup: installing npm packages\n$/m);
  assert.equal(await setup(dir), "");
  assert.equal(await installs(dir), 1);
});

test("a changed lockfile is installed again", async (t) => {
  if (!needs(t, { program: PROGRAMS })) return;
  await using dir = await checkout();
  await setup(dir);
  await writeFile(join(dir.path, "package-lock.json"), "{ }\n");
  await setup(dir);
  assert.equal(await installs(dir), 2);
});

test("of two at once, one installs and the other waits for it", async (t) => {
  if (!needs(t, { program: PROGRAMS })) return;
  await using dir = await checkout("sleep 0.5");
  const said = await Promise.all([setup(dir), setup(dir)]);
  assert.equal(await installs(dir), 1);
  assert.ok(said.includes("setup: waiting for another setup of this checkout\n"));
});

test("an install that was killed is done again, once what it started has ended", async (t) => {
  if (!needs(t, { program: PROGRAMS })) return;
  await using dir = await checkout("[ -e again ] || { sleep 0.5; echo end of the first >> calls; }");
  await using first = program("sh", [join(dir.path, "scripts", "setup")], environment(dir));
  await until("the install to begin", async () => (await installs(dir)) === 1);
  first.kill("SIGKILL");
  await first.exited;
  await writeFile(join(dir.path, "again"), "");
  await setup(dir);
  assert.match(await readFile(join(dir.path, "calls"), "utf8"), /^ci .*\nend of the first\nci .*\n$/);
});

test("where npm ci refuses the lockfile, npm install reads the same one", async (t) => {
  if (!needs(t, { program: PROGRAMS })) return;
  await using dir = await checkout('[ "$1" = install ] || { echo "npm error code EUSAGE"; exit 1; }');
  assert.match(await setup(dir), /npm ci failed \(EUSAGE\): trying npm install with the same lockfile/);
  assert.match(await readFile(join(dir.path, "calls"), "utf8"), /^ci .*\ninstall --no-save /);
});

test("without a home directory npm keeps its cache in the project", async (t) => {
  if (!needs(t, { program: PROGRAMS })) return;
  await using dir = await checkout('echo "$npm_config_cache" > cache-used');
  await setup(dir, { HOME: "/nonexistent" });
  assert.equal(await readFile(join(dir.path, "cache-used"), "utf8"), `${dir.path}/.toroid/cache/npm\n`);
});

test("an unknown option is refused", async () => {
  await using dir = await checkout();
  await assert.rejects(setup(dir, {}, ["--loud"]), /usage: sh scripts\/setup/);
});

/** A checkout with nothing in it but what the script looks at, and an npm that notes how it was called. */
async function checkout(npm = ":"): Promise<TempDir> {
  const dir = await tempDir();
  const at = (path: string): string => join(dir.path, path);
  for (const folder of ["scripts", "bin", "kit/nats-server", ".toroid/cache/nats-server-9.9.9"]) {
    await mkdir(at(folder), { recursive: true });
  }
  await copyFile(SETUP, at("scripts/setup"));
  await writeFile(at("package-lock.json"), "{}\n");
  await writeFile(at("kit/nats-server/version.ts"), 'export const PINNED_VERSION = "9.9.9";\n');
  for (const [name, text] of [
    ["bin/npm", `echo "$*" >> calls\n${npm}\nmkdir -p node_modules\n`],
    [".toroid/cache/nats-server-9.9.9/nats-server", ""],
  ] as const) {
    await writeFile(at(name), `#!/bin/sh\n${text}`);
    await chmod(at(name), 0o755);
  }
  return dir;
}

function environment(dir: TempDir): NodeJS.ProcessEnv {
  return { PATH: `${join(dir.path, "bin")}:${process.env["PATH"] ?? ""}`, HOME: dir.path };
}

/** What the script prints; rejects when it fails. */
async function setup(
  dir: TempDir,
  env: NodeJS.ProcessEnv = {},
  args: readonly string[] = ["--quiet"],
): Promise<string> {
  const all = { ...process.env, TOROID_NATS_SERVER: "", ...environment(dir), ...env };
  return new Promise((resolve, reject) => {
    execFile("sh", [join(dir.path, "scripts", "setup"), ...args], { env: all }, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(error);
    });
  });
}

async function installs(dir: TempDir): Promise<number> {
  const calls = await readFile(join(dir.path, "calls"), "utf8").catch(() => "");
  return calls.split("\n").filter((line) => line !== "").length;
}
